/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables of a Tor gateway. */
#include "agent/net/nfttor.h"

#include "agent/net/nfttext.h"
#include "base/str.h"

static const unsigned socks[] = {
#define TOR_SOCKS(port, who) port,
#include "agent/net/tor.def"
#undef TOR_SOCKS
};

unsigned tor_socks_port(size_t i)
{
	return i < ARRAY_SIZE(socks) ? socks[i] : 0;
}

/* Not addresses of the world: what a client sends there is no business of Tor, and Tor would refuse it. */
#define NOT_WORLD "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16, 224.0.0.0/3"

static void socks_set(struct wr *w)
{
	wr_printf(w, "{ ");
	for (size_t i = 0; i < ARRAY_SIZE(socks); i++)
		wr_printf(w, "%s%u", i ? ", " : "", socks[i]);
	wr_printf(w, " }");
}

/* Which chains there are, and their names, is the reference's; custom-forward exists, and nothing asks it. */
static void common(struct wr *w, bool v6)
{
	const char *f = v6 ? "ip6" : "ip", *type = v6 ? "ipv6_addr" : "ipv4_addr";

	wr_printf(w, "add table %s qubes\ndelete table %s qubes\ntable %s qubes {\n", f, f, f);
	wr_printf(w, "set downstream {\ntype %s\n}\nset allowed {\ntype ifname . %s\n}\n", type, type);
	wr_printf(w, "chain antispoof {\n");
	if (!v6)
		wr_printf(w, "iifname . ip saddr @allowed accept\n");
	wr_printf(w, "counter drop\n}\n");
	wr_printf(w, "chain prerouting {\ntype filter hook prerouting priority raw; policy accept;\niifgroup 2 goto antispoof\n");
	wr_printf(w, "%s saddr @downstream counter drop\n}\n", f);
	wr_printf(w, "chain dnat-dns {\n}\nchain custom-input {\n}\nchain custom-forward {\n}\n");
	wr_printf(w, "chain forward {\ntype filter hook forward priority filter; policy drop;\ncounter\n}\n");
}

/* A client's connections, each to the port that is for it. What is left as it came is not for this qube and ends in the forward chain, or in the input chain. */
static void from_clients(struct wr *w)
{
	wr_printf(w, "chain tor-clients {\ntype nat hook prerouting priority dstnat; policy accept;\niifgroup 2 goto tor-client\n}\n");
	wr_printf(w, "chain tor-client {\n");
	wr_printf(w, "ip daddr " TOR_VIRTUAL " tcp dport ");
	socks_set(w);
	wr_printf(w, " redirect\nfib daddr type local return\n");
	wr_printf(w, "udp dport 53 redirect to :%u\n", TOR_DNS_PORT);
	wr_printf(w, "ip daddr " TOR_MAPPED " meta l4proto %u redirect to :%u\n", NFT_PROTO_TCP, TOR_TRANS_PORT);
	wr_printf(w, "ip daddr { " NOT_WORLD " } return\n");
	wr_printf(w, "meta l4proto %u redirect to :%u\n}\n", NFT_PROTO_TCP, TOR_TRANS_PORT);
	wr_printf(w, "chain input {\ntype filter hook input priority filter; policy drop;\n");
	/* Less than the head of a question (behind that of UDP) makes Tor 0.4.9.11 with libevent 2.1.12 end: one such packet, and nobody has a network. */
	wr_printf(w, "udp dport { %u, %u } udp length < %u counter drop\n", TOR_DNS_PORT, TOR_DNS_OWN, 8 + 12);
	wr_printf(w, "ct state invalid counter drop\nct state established accept\niifname \"lo\" accept\n");
	wr_printf(w, "iifgroup 2 tcp dport ");
	socks_set(w);
	wr_printf(w, " accept\n");
	/* Only what was sent there by the rules above: nobody speaks with these ports directly. */
	wr_printf(w, "iifgroup 2 ct status dnat tcp dport %u accept\niifgroup 2 ct status dnat udp dport %u accept\n", TOR_TRANS_PORT, TOR_DNS_PORT);
	wr_printf(w, "counter\n}\n");
}

/* This qube's own programs, root's included, go by Tor as clients do. Loops of Tor into itself are cut by its user id. */
static void from_here(struct wr *w, const char *user)
{
	wr_printf(w, "chain tor-own {\ntype nat hook output priority -100; policy accept;\n");
	wr_printf(w, "meta skuid \"%s\" return\noifname \"lo\" return\noifgroup 2 return\n", user);
	wr_printf(w, "udp dport 53 redirect to :%u\n", TOR_DNS_OWN);
	wr_printf(w, "ip daddr " TOR_MAPPED " meta l4proto %u redirect to :%u\n", NFT_PROTO_TCP, TOR_TRANS_PORT);
	wr_printf(w, "ip daddr { " NOT_WORLD " } return\nmeta l4proto %u redirect to :%u\n}\n", NFT_PROTO_TCP, TOR_TRANS_PORT);
	wr_printf(w, "chain output {\ntype filter hook output priority filter; policy drop;\n");
	/* A packet that was sent to this qube's own ports still shows the interface that it would have taken. */
	wr_printf(w, "oifname \"lo\" accept\nip daddr 127.0.0.0/8 ct status dnat accept\noifgroup 2 ct state established accept\n");
	wr_printf(w, "oifgroup 1 meta l4proto %u meta skuid \"%s\" accept\noifgroup 1 meta l4proto %u ct state established accept\n", NFT_PROTO_TCP, user, NFT_PROTO_TCP);
	wr_printf(w, "counter\n}\n");
}

static bool user_ok(const char *s)
{
	return s[0] && strlen(s) < 32 && str_chars(s, "-");
}

void nft_tor(struct wr *w, const char *user)
{
	if (!user_ok(user)) {
		wr_fail(w);
		return;
	}
	common(w, false);
	from_clients(w);
	from_here(w, user);
	wr_printf(w, "}\n");
	/* No IPv6 at all, whatever a key says. */
	common(w, true);
	for (int i = 0; i < 2; i++)
		wr_printf(w, "chain %s {\ntype filter hook %s priority filter; policy drop;\n%s \"lo\" accept\ncounter\n}\n", i ? "output" : "input",
			  i ? "output" : "input", i ? "oifname" : "iifname");
	wr_printf(w, "}\nadd table ip6 qbs-filter\ndelete table ip6 qbs-filter\n");
}
