/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The part of a run that net.h speaks of: which of its root ports are used, and by whom. */
#ifndef QUBESD_NETSTATE_H
#define QUBESD_NETSTATE_H

#include "base/ev.h"
#include "core/netplug.h"

/* What stands behind a root port of a running qube. */
enum net_use {
	NET_FREE,
	NET_OWN,     /* its own way out */
	NET_CLIENT,  /* a client: peer */
	NET_LEAVING, /* cut; the guest has not given the device up yet */
};

struct run_net {
	struct {
		enum net_use use;
		uint32_t peer; /* qid at the other end, 0 = outside */
	} port[NET_PORTS_MAX];
	uint32_t provider; /* qid of the NetVM that it hangs on, 0 = none */
	uint32_t own, theirs; /* ports of this link, here and there */
	char ip[NETPORT_ADDR_CAP], ip6[NETPORT_ADDR_CAP]; /* as its NetVM was told; "" = not. Without a NetVM the qube itself has none any more */
	bool external; /* hangs on the outside, by port own */
	unsigned uplinks; /* how often a way outside was started */
	struct ev_timer *expiry; /* of the next rule */
};

#endif
