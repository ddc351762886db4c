/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The data ports of one qube. Pure: a table, no descriptor. */
#ifndef QREXEC_DAEMON_PORTS_H
#define QREXEC_DAEMON_PORTS_H

#include "base/defs.h"
#include "proto/qrexec.h"

struct ports {
	uint32_t own;  /* domain id */
	unsigned limit; /* how many of the range may be handed out */
	struct {
		bool used, stale;
		uint32_t peer;
		void *owner;
	} slot[QX_PORT_N];
};

/* ports_alloc gives the lowest free port for a call with peer (0 = dom0), or 0 when there is none. For another qube only every second port is used,
   so that two daemons never choose the same for one pair. */
uint32_t ports_alloc(struct ports *p, uint32_t peer, void *owner);
/* ports_free releases (peer, port) and gives true and its owner; false when that pair is not in use. */
bool ports_free(struct ports *p, uint32_t peer, uint32_t port, void **ret_owner);
/* ports_forget clears an owner that goes away before its call. */
void ports_forget(struct ports *p, const void *owner);
/* ports_stale: the agent is gone and will not tell which calls ended. Such ports are taken again only when no other is left. */
void ports_stale(struct ports *p);

#endif
