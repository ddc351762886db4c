/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Network devices of the machine. linkd passes the descriptor on and reads nothing of it: the link's bytes go from QEMU to QEMU. */
#include "base/log.h"
#include "daemon/linkd/linkd.h"
#include "proto/netport.h"

static void on_done(const char *error, void *arg)
{
	pending_done(arg, error);
}

static struct pending *pending_of(struct linkd *d, uint32_t type, uint32_t serial)
{
	struct pending *p = pending_new(d, serial);

	p->type = type;
	return p;
}

int nic_add(struct linkd *d, uint32_t port, const char *mac, int fd, uint32_t serial)
{
	struct pending *p;
	int r;

	if (port >= VMM_PORTS_MAX || !netport_mac_ok(mac))
		return -EINVAL;
	p = pending_of(d, IPC_LD_NIC_ADD, serial);
	r = d->vmm->nic_add(d->monitor, port, mac, fd, on_done, p);
	if (r < 0)
		free(p);
	return r;
}

int nic_cut(struct linkd *d, uint32_t port, uint32_t serial)
{
	struct pending *p;
	int r;

	if (port >= VMM_PORTS_MAX)
		return -EINVAL;
	p = pending_of(d, IPC_LD_NIC_CUT, serial);
	r = d->vmm->nic_cut(d->monitor, port, on_done, p);
	if (r < 0)
		free(p);
	return r;
}

void nic_on_gone(uint32_t port, void *arg)
{
	log_info("a network device was given up: port=%u", port);
	ctl_event(arg, LD_EV_NIC_GONE, port, "");
}
