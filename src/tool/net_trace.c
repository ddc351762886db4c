/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-net trace: the way of one packet from NetVM to NetVM. Each NetVM judges what comes from the qube before it by that qube's rules, since it sees only that
 * one's address. What a qube's own user set up inside it is not known here.
 */
#include <arpa/inet.h>
#include <time.h>

#include "proto/fwjudge.h"
#include "tool/net.h"

#define EXIT_REFUSED 3
#define EXIT_DOUBT 4
#define HOPS_MAX 64

struct trace {
	struct net net;
	struct fw_packet p;
	const struct net_qube *aim; /* the qube that has the destination's address; NULL = none */
	bool doubt;
	struct fw_rule *rules; /* FW_RULES_MAX */
	struct qdbc db;	       /* of the NetVM that judges; fd -1 = it does not run */
	const char *source;    /* address that it sees */
};

/* /dns/SOURCE/NAME is what the NetVM took the name for when it loaded the rules. */
static enum fw_fit fit(void *arg, const char *name, const struct fw_packet *p)
{
	struct trace *tr = arg;
	char key[QDB_KEY_CAP], value[QDB_VALUE_MAX + 1], *save = NULL;
	uint8_t a[16] = { 0 };

	if (tr->db.fd < 0 || p->named || p->dns_server || str_printf(key, sizeof key, "/dns/%s/%s", tr->source, name) < 0 ||
	    qdbc_read(&tr->db, key, value, sizeof value, NULL) < 0)
		return FW_FIT_MAYBE;
	for (char *s = strtok_r(value, " ", &save); s; s = strtok_r(NULL, " ", &save))
		if (inet_pton(p->v6 ? AF_INET6 : AF_INET, s, a) == 1 && memcmp(a, p->addr, p->v6 ? 16 : 4) == 0)
			return FW_FIT_YES;
	return FW_FIT_NO;
}

static int parse_proto(struct tool *t, struct fw_packet *p, const char *proto, bool has_port)
{
	if (!proto)
		p->proto = FW_PROTO_TCP;
	else if (streq(proto, "tcp") || streq(proto, "udp"))
		p->proto = proto[0] == 't' ? FW_PROTO_TCP : FW_PROTO_UDP;
	else if (streq(proto, "icmp") && !has_port)
		p->proto = FW_PROTO_ICMP;
	else if (streq(proto, "icmp"))
		return tool_usage(t, "icmp has no ports");
	else
		return tool_usage(t, "--proto is tcp, udp or icmp, not '%s'", proto);
	p->icmp = p->v6 ? 128 : 8; /* echo */
	return 0;
}

/* HOST[:PORT]; an IPv6 address with a port stands in brackets; HOST may be a qube. */
static int parse_dest(struct tool *t, struct trace *tr, const char *dest, const char *proto)
{
	char host[300], *colon;
	uint64_t port = 443;
	bool has_port = false;
	int r;

	if (str_copy(host, sizeof host, dest[0] == '[' ? dest + 1 : dest) < 0)
		return tool_usage(t, "the destination is too long");
	colon = dest[0] == '[' ? strstr(host, "]:") : strchr(host, ':');
	if (colon && (dest[0] == '[' || !strchr(colon + 1, ':'))) {
		has_port = true;
		if (str_u64(colon + (dest[0] == '[' ? 2 : 1), 65535, &port) < 0)
			return tool_usage(t, "'%s': the port is a number up to 65535", dest);
		*colon = '\0';
	} else if (dest[0] == '[' && str_ends(host, "]")) {
		host[strlen(host) - 1] = '\0';
	}
	tr->aim = net_find(&tr->net, host);
	if (!fw_destination(&tr->p, tr->aim ? tr->aim->ip : host))
		return tool_usage(t, "'%s' is neither an address nor a host nor a qube of the network", dest);
	for (size_t i = 0; i < tr->net.n && !tr->p.named; i++)
		if (streq(tr->net.v[i].ip, host) || streq(tr->net.v[i].ip6, host))
			tr->aim = &tr->net.v[i];
	tr->p.port = (uint32_t)port;
	r = parse_proto(t, &tr->p, proto, has_port);
	if (r)
		return r;
	printf("%s to %s", proto ? proto : "tcp", host);
	if (tr->p.proto != FW_PROTO_ICMP)
		printf(", port %u", tr->p.port);
	printf("\n");
	return 0;
}

static void print_rule(const struct trace *tr, const char *qube, int no, const char *what)
{
	_cleanup_wr_ struct wr w = wr_grow(2048);

	fw_format(&w, &tr->rules[no]);
	wr_u8(&w, 0);
	printf("  rule %d of %s %s: %s\n", no, qube, what, wr_ok(&w) ? (const char *)w.buf : "");
}

int net_rules(struct tool *t, const char *qube, struct fw_rule *rules, size_t *n)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	struct rd text, line;
	int r = adm_text(&rep, qube, "admin.vm.firewall.Get", NULL, NULL, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	*n = 0;
	text = rd_mem(rep.data, rep.len);
	while (rd_line(&text, &line))
		if (*n == FW_RULES_MAX || fw_parse(&rules[(*n)++], line, &e) < 0)
			return tool_fail(t, "the answer of qubesd has a rule that is none");
	return 0;
}

/* NetVM up judges what comes from q. 0 = it goes on. */
static int filter(struct tool *t, struct trace *tr, const struct net_qube *q, const struct net_qube *up)
{
	struct fw_verdict v;
	size_t n = 0;
	int r = net_rules(t, q->name, tr->rules, &n);

	if (r)
		return r;
	if (!up->filters) {
		printf("  %s has no service qubes-firewall: the rules of %s are not applied\n", up->name, q->name);
		return 0;
	}
	tr->source = tr->p.v6 ? q->ip6 : q->ip;
	tr->db = (struct qdbc){ .fd = -1 };
	if (net_runs(up) && net_db(&tr->db, up->name) < 0)
		tr->db.fd = -1;
	fw_judge(tr->rules, n, &tr->p, (uint64_t)time(NULL), &v);
	if (tr->db.fd >= 0)
		qdbc_fini(&tr->db);
	if (v.maybe >= 0) {
		print_rule(tr, q->name, v.maybe, "may decide, which depends on addresses of names");
		tr->doubt = true;
	}
	if (v.rule >= 0)
		print_rule(tr, q->name, v.rule, v.accept ? "lets it through" : "refuses it");
	else
		printf("  no rule of %s lets it through: refused\n", q->name);
	return v.accept || v.maybe >= 0 ? 0 : EXIT_REFUSED;
}

static void print_hop(const struct net_qube *q)
{
	const char *link = net_link_text(q);

	printf("%s  %s%s%s  %s", q->name, q->ip[0] ? q->ip : "no address", q->ip6[0] ? " " : "", q->ip6, q->state);
	if (q->up && link)
		printf(", link to %s: %s", q->up->name, link);
	if (q->count.known)
		printf(" (%llu packets sent, %llu received)", (unsigned long long)q->count.sent_packets, (unsigned long long)q->count.got_packets);
	printf("\n");
}

/* Whether the packet stops between q and its NetVM, or ends there, whatever the rules say. */
static int stops(const struct trace *tr, const struct net_qube *q)
{
	const struct net_qube *up = q->up;

	if (q->link == NET_LINK_CUT || q->link == NET_LINK_WAITS) {
		printf("  the link to %s is %s: nothing passes\n", up->name, q->link == NET_LINK_CUT ? "not there" : "not ready");
		return EXIT_REFUSED;
	}
	if (tr->p.v6 && (!q->ip6[0] || !up->ip6[0])) {
		printf("  no IPv6 between %s and %s (feature ipv6): nothing of it passes\n", q->name, up->name);
		return EXIT_REFUSED;
	}
	if (tr->aim == up) {
		printf("%s  is the destination: it answers echo, and refuses the rest unless its own user allowed it\n", up->name);
		return tr->p.proto == FW_PROTO_ICMP ? 0 : EXIT_REFUSED;
	}
	if (tr->aim && tr->aim->up == up) {
		printf("%s  drops it: its clients do not reach each other\n", up->name);
		return EXIT_REFUSED;
	}
	return -1;
}

static int end_of_way(const struct trace *tr, const struct net_qube *q)
{
	if (q->netvm[0]) {
		printf("  its NetVM '%s' is not in the list\n", q->netvm);
		return EXIT_REFUSED;
	}
	if (tr->p.v6 && q->outside) {
		printf("  the way outside is for IPv4 only\n");
		return EXIT_REFUSED;
	}
	if (q->outside) {
		printf("  leaves by passt%s\n", q->link == NET_LINK_UP ? "" : ", which is not up now");
		return q->link == NET_LINK_UP || !net_runs(q) ? 0 : EXIT_REFUSED;
	}
	printf(q->provides ? "  has no way outside that dom0 knows of (a NetVM, or the feature uplink)\n" : "  has no NetVM: it reaches nothing\n");
	return EXIT_REFUSED;
}

static int walk(struct tool *t, struct trace *tr, const struct net_qube *q)
{
	int r = 0;

	for (size_t i = 0; i < HOPS_MAX; i++) {
		print_hop(q);
		if (!net_runs(q))
			tool_note(t, "'%s' does not run: this is what would happen", q->name);
		if (!q->up)
			return end_of_way(tr, q);
		r = stops(tr, q);
		if (r >= 0)
			return r;
		r = filter(t, tr, q, q->up);
		if (r)
			return r;
		q = q->up;
	}
	return tool_fail(t, "the chain of NetVMs does not end");
}

int net_trace(struct tool *t, const char *name, const char *dest, const char *proto)
{
	struct trace tr = { .db = { .fd = -1 } };
	const struct net_qube *q;
	int r = tool_qube(t, name);

	if (r == 0)
		r = net_load(&tr.net, t, true);
	if (r)
		return r;
	q = net_find(&tr.net, name);
	tr.p.fit = fit;
	tr.p.arg = &tr;
	tr.rules = xcalloc(FW_RULES_MAX, sizeof *tr.rules);
	if (!q) {
		printf("%s  has no NetVM: it reaches nothing\n", name);
		r = EXIT_REFUSED;
	} else {
		r = parse_dest(t, &tr, dest ? dest : "1.1.1.1", proto);
		if (r == 0)
			r = walk(t, &tr, q);
	}
	if (r == 0 && tr.doubt)
		r = EXIT_DOUBT;
	free(tr.rules);
	net_fini(&tr.net);
	return r;
}
