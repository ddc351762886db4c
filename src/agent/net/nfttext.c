/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables of every qube. What comes from a variable passed nft_addr_ok or nft_ifname_ok; anything else poisons the writer. */
#include "agent/net/nfttext.h"

#include <arpa/inet.h>

#include "base/str.h"

bool nft_addr_ok(const char *addr, bool v6)
{
	char back[INET6_ADDRSTRLEN];
	uint8_t bin[16];
	int af = v6 ? AF_INET6 : AF_INET;

	return inet_pton(af, addr, bin) == 1 && inet_ntop(af, bin, back, sizeof back) && streq(back, addr);
}

bool nft_ifname_ok(const char *s)
{
	return ch_alnum(s[0]) && strlen(s) < 16 && str_chars(s, "_-.");
}

static const char *fam(bool v6)
{
	return v6 ? "ip6" : "ip";
}

/* Group 1 is the way out, group 2 are the clients. The antispoof chain knows which address belongs to which interface. */
static void table(struct wr *w, bool v6, bool forwards)
{
	const char *f = fam(v6), *type = v6 ? "ipv6_addr" : "ipv4_addr";

	wr_printf(w, "add table %s qubes\ndelete table %s qubes\ntable %s qubes {\n", f, f, f);
	wr_printf(w, "set downstream {\ntype %s\n}\nset allowed {\ntype ifname . %s\n}\n", type, type);
	wr_printf(w, "chain prerouting {\ntype filter hook prerouting priority raw; policy accept;\niifgroup 2 goto antispoof\n");
	wr_printf(w, "%s saddr @downstream counter drop\n}\n", f);
	wr_printf(w, "chain antispoof {\niifname . %s saddr @allowed accept\ncounter drop\n}\n", f);
	wr_printf(w, "chain postrouting {\ntype nat hook postrouting priority srcnat; policy accept;\noifgroup 2 accept\noifname \"lo\" accept\n");
	wr_printf(w, "masquerade\n}\n");
	wr_printf(w, "chain dnat-dns {\ntype nat hook prerouting priority dstnat; policy accept;\n}\n");
	wr_printf(w, "chain custom-input {\n}\nchain custom-forward {\n}\n");
	wr_printf(w, "chain input {\ntype filter hook input priority filter; policy drop;\njump custom-input\nct state invalid counter drop\n");
	wr_printf(w, "iifgroup 2 udp dport %u counter drop\n", v6 ? 546u : 68u);
	wr_printf(w, "ct state established,related accept\niifgroup 2 meta l4proto %u accept\n", v6 ? NFT_PROTO_ICMP6 : NFT_PROTO_ICMP);
	if (v6)
		wr_printf(w, "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept\n");
	wr_printf(w, "iifname \"lo\" accept\n");
	wr_printf(w, v6 ? "iifgroup 2 counter reject with icmpv6 type admin-prohibited\n" :
			  "iifgroup 2 counter reject with icmp type host-prohibited\n");
	wr_printf(w, "counter\n}\n");
	wr_printf(w, "chain forward {\ntype filter hook forward priority filter; policy %s;\n", forwards ? "accept" : "drop");
	if (forwards) {
		wr_printf(w, "jump custom-forward\nct state invalid counter drop\nct state established,related accept\n");
		wr_printf(w, "oifgroup 2 counter drop\n");
	}
	wr_printf(w, "}\n}\n");
}

void nft_base(struct wr *w, bool ipv6)
{
	table(w, false, true);
	table(w, true, ipv6);
	/* Without IPv6 nothing of it passes, whatever a rule above says. */
	wr_printf(w, "add table ip6 qbs-filter\ndelete table ip6 qbs-filter\n");
	if (ipv6)
		return;
	wr_printf(w, "table ip6 qbs-filter {\n");
	for (int i = 0; i < 3; i++) {
		static const char *const hook[] = { "input", "forward", "output" };

		wr_printf(w, "chain %s {\ntype filter hook %s priority filter; policy drop;\n%s\n}\n", hook[i], hook[i],
			  i == 0 ? "iifname \"lo\" accept" : i == 2 ? "oifname \"lo\" accept" : "");
	}
	wr_printf(w, "}\n");
}

void nft_dns(struct wr *w, const char virtual_addr[][NFT_ADDR_CAP], size_t n_virtual, const char server[][NFT_ADDR_CAP], size_t n_servers)
{
	static const char *const protos[] = { "udp", "tcp" };

	wr_printf(w, "flush chain ip qubes dnat-dns\n");
	for (size_t i = 0; i < n_virtual; i++) {
		if (!nft_addr_ok(virtual_addr[i], false) || (n_servers && !nft_addr_ok(server[i % n_servers], false))) {
			wr_fail(w);
			return;
		}
		for (size_t p = 0; p < ARRAY_SIZE(protos); p++) {
			wr_printf(w, "add rule ip qubes dnat-dns ip daddr %s %s dport 53 ", virtual_addr[i], protos[p]);
			if (n_servers)
				wr_printf(w, "dnat to %s\n", server[i % n_servers]);
			else
				wr_printf(w, "counter drop\n");
		}
	}
}

void nft_client(struct wr *w, bool add, const char *ifname, const char *addr, bool v6)
{
	/* Adding first makes the removal of something that is not there no error. */
	static const char *const verbs[] = { "add", "delete" };

	if (!nft_ifname_ok(ifname) || !nft_addr_ok(addr, v6)) {
		wr_fail(w);
		return;
	}
	for (int i = 0; i < (add ? 1 : 2); i++)
		wr_printf(w, "%s element %s qubes allowed { \"%s\" . %s }\n%s element %s qubes downstream { %s }\n", verbs[i], fam(v6),
			  ifname, addr, verbs[i], fam(v6), addr);
}

void nft_hidden(struct wr *w, bool add, const char *ifname, const struct nft_seen *s)
{
	static const char *const ways[] = { "in", "out" };

	if (!nft_ifname_ok(ifname) || !nft_addr_ok(s->addr, false) || !nft_addr_ok(s->gateway, false) || !nft_addr_ok(s->seen_addr, false) ||
	    !nft_addr_ok(s->seen_gateway, false)) {
		wr_fail(w);
		return;
	}
	/* Removed first in any case: a chain hangs on a device, and an earlier one of this name may be on its way out. */
	wr_printf(w, "add table netdev qubes-hidden\n");
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		wr_printf(w, "add chain netdev qubes-hidden %s-%s\nflush chain netdev qubes-hidden %s-%s\ndelete chain netdev qubes-hidden %s-%s\n", ways[i],
			  ifname, ways[i], ifname, ways[i], ifname);
	if (!add)
		return;
	wr_printf(w, "table netdev qubes-hidden {\nchain in-%s {\ntype filter hook ingress device \"%s\" priority -500; policy accept;\n", ifname, ifname);
	if (!streq(s->addr, s->seen_addr))
		wr_printf(w, "ip saddr %s counter drop\nip saddr %s ip saddr set %s\n", s->addr, s->seen_addr, s->addr);
	if (!streq(s->gateway, s->seen_gateway))
		wr_printf(w, "ip daddr %s counter drop\nip daddr %s ip daddr set %s\n", s->gateway, s->seen_gateway, s->gateway);
	wr_printf(w, "}\nchain out-%s {\ntype filter hook egress device \"%s\" priority 500; policy accept;\n", ifname, ifname);
	wr_printf(w, "ip protocol icmp icmp type { destination-unreachable, time-exceeded, parameter-problem, redirect } counter drop\n");
	if (!streq(s->gateway, s->seen_gateway))
		wr_printf(w, "ip saddr %s ip saddr set %s\n", s->gateway, s->seen_gateway);
	if (!streq(s->addr, s->seen_addr))
		wr_printf(w, "ip daddr %s ip daddr set %s\n", s->addr, s->seen_addr);
	wr_printf(w, "}\n}\n");
}
