/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-net: the qubes of the network, what joins them (net_load.c), how that is shown (net_show.c), and where a packet goes (net_trace.c). */
#ifndef TOOL_NET_H
#define TOOL_NET_H

#include "proto/firewall.h"
#include "proto/netport.h"
#include "qdb/client.h"
#include "tool/util.h"

enum net_link {
	NET_LINK_NONE,	/* no NetVM, or one of both does not run */
	NET_LINK_CUT,	/* both run, and nothing joins them */
	NET_LINK_WAITS, /* joined; one of both has not configured its device */
	NET_LINK_UP,
	NET_LINK_UNKNOWN, /* its keys cannot be read */
};

struct net_count {
	bool known;
	uint64_t sent_packets, sent_bytes, got_packets, got_bytes; /* as the qube sees it */
};

struct net_qube {
	char name[64], state[24], netvm[64];
	char ip[NETPORT_ADDR_CAP], ip6[NETPORT_ADDR_CAP];
	uint32_t qid;
	bool provides, filters, outside; /* feature uplink */
	struct net_qube *up; /* its NetVM */
	unsigned depth;
	enum net_link link; /* to its NetVM, or to the outside */
	struct net_count count;
};

struct net {
	struct tool *t;
	struct net_qube *v; /* in the order of the tree: NetVMs before their clients */
	size_t n;
};

/* net_load asks the daemon, and running qubes' QubesDB for the links; counters: also how much passed. 0 or an exit status (printed). End with net_fini. */
int net_load(struct net *net, struct tool *t, bool counters);
/* net_get is net_load that prints nothing: a negative code, and e says why. */
int net_get(struct net *net, struct tool *t, bool counters, struct err *e);
/* net_bytes adds a cell with a number of bytes for people, "-" when it is not known. */
void net_bytes(struct table *tb, bool known, uint64_t n);
void net_fini(struct net *net);
struct net_qube *net_find(const struct net *net, const char *name);
bool net_runs(const struct net_qube *q);
/* net_db opens the QubesDB of a running qube; -errno. */
int net_db(struct qdbc *ret, const char *qube);
const char *net_link_text(const struct net_qube *q);

void net_print(const struct net *net);
void net_json(const struct net *net);
/* net_rules gives the rules of a qube (FW_RULES_MAX). 0 or an exit status (printed). */
int net_rules(struct tool *t, const char *qube, struct fw_rule *rules, size_t *n);
/* net_test has a qube try what it should and should not reach, and judges the answers; to: the address outside, NULL = well-known ones. Exit status as the verb's
   table says. */
int net_test(struct tool *t, const char *qube, const char *to);
/* net_trace prints where a packet goes. Exit status as the verb's table says. */
int net_trace(struct tool *t, const char *qube, const char *dest, const char *proto);

#endif
