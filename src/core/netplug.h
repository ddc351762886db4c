/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What NetVM and client are told about a link between them: QubesDB keys and values (docs/network.md). Pure. */
#ifndef CORE_NETPLUG_H
#define CORE_NETPLUG_H

#include "core/core.h"
#include "proto/netport.h"

#define NET_PORT_UPLINK 0 /* root port of a qube's own way out; 1 is the GUI's */
#define NET_PORT_FIRST 2  /* the first for clients */
#define NET_PORTS 6	   /* of an ordinary qube: VMM_PORTS of vmm/spec.h */
#define NET_PORTS_MAX 24   /* of a qube that others use as NetVM */

/* net_slot: the PCI place of a root port as its qube sees it, "10.3" (src/vmm/qemu/qemu.h). */
void net_slot(char out[8], uint32_t port);
/* net_ports: how many root ports a qube has. */
uint32_t net_ports(const struct core *c, const struct qube *q);
/* net_client_port fills what a NetVM is told of client q. -ENOTSUP with a text: it has no address, or one that nobody can use. */
int net_client_port(const struct core *c, const struct qube *q, struct netport *ret, struct err *e);
/* net_rules calls put for every key of q's firewall below /qubes-firewall/, for each of its addresses, without rules that have expired, the bare
   key last. Gives the time at which the next rule expires, 0 = never. */
typedef void (*net_put_fn)(void *arg, const char *key, const char *value);
uint64_t net_rules(const struct core *c, const struct qube *q, uint64_t now, net_put_fn put, void *arg);
/* net_rules_prefixes calls put with each key below which net_rules writes, value NULL. */
void net_rules_prefixes(const struct core *c, const struct qube *q, net_put_fn put, void *arg);

#endif
