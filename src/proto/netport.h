/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a network device of a qube is for: the value of the QubesDB key /net-port/SLOT.FUNCTION that dom0 writes before it plugs the device into
 * the root port at that PCI place (docs/network.md §2). Fields by single spaces:
 *   uplink                                      to this qube's NetVM; addresses are in the keys of the reference
 *   client QID MAC IP [IP6] [seen=IP,GATEWAY]   the qube at the other end, its addresses; what it takes for its own address and its gateway's
 *   external ADDRESS/LEN GATEWAY [DNS [DNS]]    outside: what passt or a test network gives
 *   external dhcp                               outside: asked for by the distribution's own client
 */
#ifndef PROTO_NETPORT_H
#define PROTO_NETPORT_H

#include "base/err.h"
#include "base/wr.h"

#define NETPORT_KEY "/net-port/"
#define NETPORT_READY_KEY "/net-port-ready/" /* the qube's answer: name of the interface once it is configured */
/* dom0 writes anything to NETPORT_COUNT_KEY; the qube writes NETPORT_COUNTERS_KEY SLOT = "RX-PACKETS RX-BYTES TX-PACKETS TX-BYTES" of each configured device, then what
   it read to NETPORT_COUNTED_KEY. */
#define NETPORT_COUNT_KEY "/net-count"
#define NETPORT_COUNTERS_KEY "/net-counters/"
#define NETPORT_COUNTED_KEY "/net-counted"
/* Of a VPN qube: a word for the state of its tunnel (docs/network.md §5). */
#define VPN_STATE_KEY "/vpn-state"
#define NETPORT_ADDR_CAP 46

enum netport_role { NETPORT_UPLINK, NETPORT_CLIENT, NETPORT_EXTERNAL, NETPORT_ROLE_N };

struct netport {
	enum netport_role role;
	uint32_t qid;		   /* client */
	char mac[18];		   /* client; lower case */
	char ip[NETPORT_ADDR_CAP]; /* client, external; "" = dhcp */
	char ip6[NETPORT_ADDR_CAP]; /* client; "" = none */
	char seen_ip[NETPORT_ADDR_CAP], seen_gateway[NETPORT_ADDR_CAP]; /* client with a hidden address (IPv4); "" = it knows the real ones */
	uint32_t prefix;	   /* external */
	char gateway[NETPORT_ADDR_CAP];
	char dns[2][NETPORT_ADDR_CAP];
};

/* netport_parse reads a value. -EINVAL with a text; *ret is untouched then. */
int netport_parse(struct netport *ret, const char *value, struct err *e);
/* netport_format writes one; fields must be valid. */
void netport_format(struct wr *w, const struct netport *p);
/* netport_mac_ok: six pairs of lower-case hex digits, not a group address. */
bool netport_mac_ok(const char *s);

#endif
