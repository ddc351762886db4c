/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables of the service qubes-firewall: a chain for each client. */
#include "agent/net/nfttext.h"
#include "base/str.h"

#define CHAIN_CAP 64

static const char *fam(bool v6)
{
	return v6 ? "ip6" : "ip";
}

static void chain_name(char out[CHAIN_CAP], const char *addr)
{
	if (str_printf(out, CHAIN_CAP, "qbs-%s", addr) < 0)
		abort(); /* an address has at most 45 characters */
	for (char *p = out; *p; p++)
		if (*p == '.' || *p == ':')
			*p = '-';
}

void nft_fw_base(struct wr *w)
{
	for (int v6 = 0; v6 < 2; v6++) {
		const char *f = fam(v6);

		wr_printf(w, "add table %s qubes-firewall\ndelete table %s qubes-firewall\ntable %s qubes-firewall {\n", f, f, f);
		wr_printf(w, "set dns-addr {\ntype %s\n}\n", v6 ? "ipv6_addr" : "ipv4_addr");
		wr_printf(w, "chain qubes-forward {\n}\n");
		wr_printf(w, "chain forward {\ntype filter hook forward priority filter; policy drop;\nct state established,related accept\n");
		wr_printf(w, "iifname != \"vif*\" accept\njump qubes-forward\n}\n");
		wr_printf(w, "chain prerouting {\ntype filter hook prerouting priority -300; policy accept;\n}\n");
		wr_printf(w, "chain postrouting {\ntype filter hook postrouting priority -300; policy accept;\n}\n}\n");
	}
}

void nft_fw_closed(struct wr *w)
{
	for (int v6 = 0; v6 < 2; v6++)
		wr_printf(w, "add table %s qubes-firewall\nadd chain %s qubes-firewall forward { type filter hook forward priority filter; policy drop; }\n",
			  fam(v6), fam(v6));
}

static bool all_ok(struct wr *w, bool v6, const char addr[][NFT_ADDR_CAP], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!nft_addr_ok(addr[i], v6)) {
			wr_fail(w);
			return false;
		}
	return true;
}

static void list(struct wr *w, const char addr[][NFT_ADDR_CAP], size_t n)
{
	wr_printf(w, "{ ");
	for (size_t i = 0; i < n; i++)
		wr_printf(w, "%s%s", i ? ", " : "", addr[i]);
	wr_printf(w, " }");
}

void nft_fw_connected(struct wr *w, bool v6, const char addr[][NFT_ADDR_CAP], size_t n)
{
	static const struct {
		const char *chain, *interface, *which;
	} sides[] = { { "prerouting", "iifname", "saddr" }, { "postrouting", "oifname", "daddr" } };

	if (!all_ok(w, v6, addr, n))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		wr_printf(w, "flush chain %s qubes-firewall %s\n", fam(v6), sides[i].chain);
		if (n == 0)
			continue;
		wr_printf(w, "add rule %s qubes-firewall %s %s != \"vif*\" %s %s ", fam(v6), sides[i].chain, sides[i].interface, fam(v6),
			  sides[i].which);
		list(w, addr, n);
		wr_printf(w, " counter drop\n");
	}
}

void nft_fw_dns(struct wr *w, bool v6, const char addr[][NFT_ADDR_CAP], size_t n)
{
	if (!all_ok(w, v6, addr, n))
		return;
	wr_printf(w, "flush set %s qubes-firewall dns-addr\n", fam(v6));
	if (n == 0)
		return;
	wr_printf(w, "add element %s qubes-firewall dns-addr ", fam(v6));
	list(w, addr, n);
	wr_printf(w, "\n");
}

void nft_fw_jumps(struct wr *w, bool v6, const char addr[][NFT_ADDR_CAP], size_t n)
{
	char chain[CHAIN_CAP];

	if (!all_ok(w, v6, addr, n))
		return;
	wr_printf(w, "flush chain %s qubes-firewall qubes-forward\n", fam(v6));
	for (size_t i = 0; i < n; i++) {
		chain_name(chain, addr[i]);
		wr_printf(w, "add rule %s qubes-firewall qubes-forward %s saddr %s jump %s\n", fam(v6), fam(v6), addr[i], chain);
	}
}

/* --- one source ------------------------------------------------------------------------------------------------------- */

struct ctx {
	struct wr *w;
	const struct nft_source *s;
	const struct nft_host *hosts;
	size_t n_hosts;
	char chain[CHAIN_CAP];
};

static void refuse(const struct ctx *c)
{
	wr_printf(c->w, "add rule %s qubes-firewall %s counter reject with %s type admin-prohibited\n", fam(c->s->v6), c->chain,
		  c->s->v6 ? "icmpv6" : "icmp");
}

static const struct nft_host *host_of(const struct ctx *c, const char *name)
{
	for (size_t i = 0; i < c->n_hosts; i++)
		if (c->hosts[i].v6 == c->s->v6 && streq(c->hosts[i].name, name))
			return &c->hosts[i];
	return NULL;
}

/* One statement: destination, protocol, verdict. proto may be narrower than the rule's. */
static void statement(const struct ctx *c, const struct fw_rule *r, const struct nft_host *h, enum fw_proto proto)
{
	const char *f = fam(c->s->v6);
	struct wr *w = c->w;
	unsigned from = r->dns ? 53 : r->port_from, to = r->dns ? 53 : r->port_to;

	wr_printf(w, "add rule %s qubes-firewall %s ", f, c->chain);
	if (r->dns)
		wr_printf(w, "%s daddr @dns-addr ", f);
	if (h) {
		wr_printf(w, "%s daddr ", f);
		list(w, h->addr, h->n);
		wr_printf(w, " ");
	} else if (r->dst == FW_DST_4 || r->dst == FW_DST_6) {
		wr_printf(w, "%s daddr %s ", f, r->addr);
	}
	if (proto == FW_PROTO_TCP || proto == FW_PROTO_UDP) {
		const char *name = proto == FW_PROTO_TCP ? "tcp" : "udp";

		if (!r->dns && !r->has_ports)
			wr_printf(w, "meta l4proto %u ", proto == FW_PROTO_TCP ? NFT_PROTO_TCP : NFT_PROTO_UDP);
		else if (from == to)
			wr_printf(w, "%s dport %u ", name, from);
		else
			wr_printf(w, "%s dport %u-%u ", name, from, to);
	} else if (proto == FW_PROTO_ICMP) {
		wr_printf(w, "meta l4proto %u ", c->s->v6 ? NFT_PROTO_ICMP6 : NFT_PROTO_ICMP);
		if (r->has_icmp)
			wr_printf(w, "%s type %u ", c->s->v6 ? "icmpv6" : "icmp", r->icmp);
	}
	if (r->accept)
		wr_printf(w, "accept\n");
	else
		wr_printf(w, "counter reject with %s type admin-prohibited\n", c->s->v6 ? "icmpv6" : "icmp");
}

/* False: nothing after this rule may pass. */
static bool rule(const struct ctx *c, const struct fw_rule *r)
{
	const struct nft_host *h = NULL;
	bool ports = r->dns || r->has_ports;

	if ((r->dst == FW_DST_4 && c->s->v6) || (r->dst == FW_DST_6 && !c->s->v6))
		return true;
	if (r->dns && (r->proto == FW_PROTO_ICMP || (r->has_ports && (r->port_from > 53 || r->port_to < 53))))
		return true;
	if (r->dst == FW_DST_NAME) {
		h = host_of(c, r->addr);
		if (!h || h->n == 0)
			return r->accept;
		if (!all_ok(c->w, c->s->v6, h->addr, h->n))
			return false;
	}
	if (!ports || r->proto == FW_PROTO_TCP || r->proto == FW_PROTO_UDP) {
		statement(c, r, h, r->proto);
		return true;
	}
	if (r->proto == FW_PROTO_ICMP) /* ports mean nothing there: fw_parse refuses it */
		return r->accept;
	statement(c, r, h, FW_PROTO_TCP);
	statement(c, r, h, FW_PROTO_UDP);
	return true;
}

void nft_fw_source(struct wr *w, const struct nft_source *s, const struct nft_host *hosts, size_t n_hosts)
{
	struct ctx c = { .w = w, .s = s, .hosts = hosts, .n_hosts = n_hosts };

	if (!nft_addr_ok(s->addr, s->v6)) {
		wr_fail(w);
		return;
	}
	chain_name(c.chain, s->addr);
	wr_printf(w, "add chain %s qubes-firewall %s\nflush chain %s qubes-firewall %s\n", fam(s->v6), c.chain, fam(s->v6), c.chain);
	for (size_t i = 0; !s->closed && i < s->n_rules; i++)
		if (!rule(&c, &s->rules[i]))
			break;
	refuse(&c);
}
