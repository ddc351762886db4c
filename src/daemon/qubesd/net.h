/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The network of running qubes (docs/network.md): which qube hangs on which NetVM, and the links between their machines. A link is one socket pair
 * whose ends go to the two machines; nothing of it stays here. net.c makes and cuts links, net_keys.c tells the qubes, net_watch.c follows
 * changes of properties and rules.
 */
#ifndef QUBESD_NET_H
#define QUBESD_NET_H

#include "daemon/qubesd/run.h"

/* net_up: the qube is usable: gets its link, or its way outside, and its clients theirs. net_down: it ends: its links end with it. */
void net_up(struct run *r);
void net_down(struct run *r);
/* net_again links a running qube according to its properties of now; an old link to another NetVM is cut first. */
void net_again(struct run *r);
/* net_cut takes the link of r away at both ends. The machines are told at once; net_sync waits for them. */
void net_cut(struct run *r);
/* net_uplink_gone: the program between a NetVM and the outside has ended. */
void net_uplink_gone(struct run *r);
void net_port_gone(struct run *r, uint32_t port);
void net_free(struct run *r);
/* net_sync: true = call goes on by call_synced once every cut that was ordered before has been done. */
bool net_sync(void *ctx, struct call *c);
/* net_save writes what a later core must know of r; net_load takes a value back. */
void net_save(const struct run *r, struct wr *w);
void net_load(struct run *r, const char *value);
/* net_adopted: all running qubes are known: ports of NetVMs follow from their clients. */
void net_adopted(struct qd *d);

/* net_keys.c */
void net_tell_client(struct run *r, uint32_t port, bool on);
void net_tell_provider(struct run *p, struct run *client, uint32_t port, bool on);
void net_tell_external(struct run *r, uint32_t port);
void net_tell_rules(struct run *p, struct run *client);

/* net_watch.c */
void net_watch_start(struct qd *d);

#endif
