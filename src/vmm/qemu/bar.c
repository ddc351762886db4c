/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory for pixels of a running machine (docs/gui.md §3): a file that QEMU holds for writing becomes a device in a root port. Once in the machine's
 * life: it is never taken out again, and a machine whose state is saved never gets it.
 */
#include "base/str.h"
#include "vmm/qemu/monitor.h"

#define MEMORY "pixels0"

struct bar_call {
	struct vmm_monitor *m;
	uint32_t port;
	vmm_done_fn done;
	void *arg;
};

static void end(struct bar_call *c, const char *error)
{
	c->done(error, c->arg);
	free(c);
}

static void on_undone(json_t *ret, const char *error, void *arg)
{
	/* What failed was told already. */
}

static void on_device(json_t *ret, const char *error, void *arg)
{
	struct bar_call *c = arg;

	/* So that it can be tried again. */
	if (!ret)
		(void)qmp_call(c->m->qmp, "object-del", json_pack("{s:s}", "id", MEMORY), on_undone, NULL);
	end(c, ret ? NULL : error);
}

static void on_memory(json_t *ret, const char *error, void *arg)
{
	struct bar_call *c = arg;
	char bus[16];

	if (!ret) {
		end(c, error);
		return;
	}
	if (str_printf(bus, sizeof bus, "rp%u", c->port) < 0)
		abort(); /* a port has at most 10 digits */
	if (qmp_call(c->m->qmp, "device_add", json_pack("{s:s, s:s, s:s, s:s}", "driver", "ivshmem-plain", "id", "pixels", "memdev", MEMORY, "bus", bus),
		     on_device, c) < 0)
		end(c, "the machine does not take commands");
}

int qemu_bar_add(struct vmm_monitor *m, uint32_t port, uint32_t mib, int fd, vmm_done_fn fn, void *fn_arg)
{
	struct bar_call *c = xcalloc(1, sizeof *c);
	char path[40];
	int r;

	*c = (struct bar_call){ .m = m, .port = port, .done = fn, .arg = fn_arg };
	r = str_printf(path, sizeof path, "/proc/self/fd/%d", fd) < 0 ? -EINVAL : 0;
	if (r == 0)
		r = qmp_call(m->qmp, "object-add",
			     json_pack("{s:s, s:s, s:I, s:s, s:b}", "qom-type", "memory-backend-file", "id", MEMORY, "size",
				       (json_int_t)mib << 20, "mem-path", path, "share", 1),
			     on_memory, c);
	if (r < 0)
		free(c);
	return r;
}
