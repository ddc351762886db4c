/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Network devices of a running machine: one end of a socket pair behind a virtio-net device on a root port. A cut first takes the socket away,
 * which needs nobody's consent; the guest may take its time, or for ever, to give up the device.
 */
#include <unistd.h>

#include "base/str.h"
#include "vmm/qemu/monitor.h"

struct nic_call {
	struct vmm_monitor *m;
	uint32_t port;
	char mac[18];
	vmm_done_fn done;
	void *arg;
};

static void end(struct nic_call *c, const char *error)
{
	c->done(error, c->arg);
	free(c);
}

static const char *name(char out[16], const char *kind, uint32_t port)
{
	if (str_printf(out, 16, "%s%u", kind, port) < 0)
		abort(); /* a port has at most 10 digits */
	return out;
}

static void on_undone(json_t *ret, const char *error, void *arg)
{
	/* What failed was told already. */
}

static void on_device(json_t *ret, const char *error, void *arg)
{
	struct nic_call *c = arg;
	char net[16];

	if (!ret)
		(void)qmp_call(c->m->qmp, "netdev_del", json_pack("{s:s}", "id", name(net, "net", c->port)), on_undone, NULL);
	end(c, ret ? NULL : error);
}

static void on_netdev(json_t *ret, const char *error, void *arg)
{
	struct nic_call *c = arg;
	char net[16], nic[16], bus[16];
	json_t *args;

	if (!ret) {
		end(c, error);
		return;
	}
	/* romfile: a card without boot code, so no file of the host is read for it. */
	args = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "driver", "virtio-net-pci", "id", name(nic, "nic", c->port), "netdev",
			 name(net, "net", c->port), "bus", name(bus, "rp", c->port), "mac", c->mac, "romfile", "");
	if (qmp_call(c->m->qmp, "device_add", args, on_device, c) < 0)
		end(c, "the machine does not take commands");
}

static void on_getfd(json_t *ret, const char *error, void *arg)
{
	struct nic_call *c = arg;
	char net[16], fd[16];

	if (!ret) {
		end(c, error);
		return;
	}
	if (qmp_call(c->m->qmp, "netdev_add",
		     json_pack("{s:s, s:s, s:s}", "type", "socket", "id", name(net, "net", c->port), "fd", name(fd, "fd", c->port)), on_netdev,
		     c) < 0)
		end(c, "the machine does not take commands");
}

int qemu_nic_add(struct vmm_monitor *m, uint32_t port, const char *mac, int fd, vmm_done_fn fn, void *fn_arg)
{
	struct nic_call *c = xcalloc(1, sizeof *c);
	char id[16];
	int r;

	*c = (struct nic_call){ .m = m, .port = port, .done = fn, .arg = fn_arg };
	r = str_copy(c->mac, sizeof c->mac, mac);
	if (r == 0)
		r = qmp_call_fd(m->qmp, "getfd", json_pack("{s:s}", "fdname", name(id, "fd", port)), fd, on_getfd, c);
	if (r < 0)
		free(c);
	return r;
}

static void on_cut(json_t *ret, const char *error, void *arg)
{
	struct nic_call *c = arg;
	char nic[16];

	if (ret)
		(void)qmp_call(c->m->qmp, "device_del", json_pack("{s:s}", "id", name(nic, "nic", c->port)), on_undone, NULL);
	end(c, ret ? NULL : error);
}

int qemu_nic_cut(struct vmm_monitor *m, uint32_t port, vmm_done_fn fn, void *fn_arg)
{
	struct nic_call *c = xcalloc(1, sizeof *c);
	char net[16];
	int r;

	*c = (struct nic_call){ .m = m, .port = port, .done = fn, .arg = fn_arg };
	r = qmp_call(m->qmp, "netdev_del", json_pack("{s:s}", "id", name(net, "net", port)), on_cut, c);
	if (r < 0)
		free(c);
	return r;
}

void qemu_on_device_deleted(struct vmm_monitor *m, json_t *data)
{
	const char *id = json_string_value(json_object_get(data, "device"));
	uint64_t port;

	if (id && str_starts(id, "nic") && str_u64(id + 3, VMM_PORTS_MAX - 1, &port) == 0)
		m->events->nic_gone((uint32_t)port, m->arg);
}
