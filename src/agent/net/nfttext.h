/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text that nft gets, from values. Table and chain names are the reference's (specs/guest-network.md §1.5), so that a user's scripts find
 * what they know. Pure: no name is resolved, no program run. Every text is one transaction: it is in force as a whole or not at all.
 */
#ifndef AGENT_NET_NFTTEXT_H
#define AGENT_NET_NFTTEXT_H

#include "base/wr.h"
#include "proto/firewall.h"

#define NFT_ADDR_CAP 46 /* an address as text */
#define NFT_HOST_ADDRS 32 /* of one name in one family */
#define NFT_NAMESERVERS 3

/* Numbers of protocols: a small qube has no /etc/protocols in which nft could look up their names. */
#define NFT_PROTO_ICMP 1u
#define NFT_PROTO_TCP 6u
#define NFT_PROTO_UDP 17u
#define NFT_PROTO_ICMP6 58u

/* The addresses of a name in one family, as texts. n = 0: it has none, or is not known (yet). */
struct nft_host {
	char name[256];
	bool v6;
	size_t n;
	char addr[NFT_HOST_ADDRS][NFT_ADDR_CAP];
};

/* A client of this qube and what it may do. */
struct nft_source {
	char addr[NFT_ADDR_CAP]; /* normal text form, of the family of v6 */
	bool v6;
	bool closed; /* its rules could not be read: nothing passes */
	const struct fw_rule *rules;
	size_t n_rules;
};

/* nft_base: tables `ip qubes` and `ip6 qubes` of every qube, empty of clients; ipv6 false: no IPv6 packet passes but on lo. */
void nft_base(struct wr *w, bool ipv6);
/* nft_dns: the chain dnat-dns for the virtual name servers. No name server: questions are dropped. */
void nft_dns(struct wr *w, const char virtual_addr[][NFT_ADDR_CAP], size_t n_virtual, const char server[][NFT_ADDR_CAP], size_t n_servers);
/* nft_client adds or removes one client behind an interface: the pair may send, the address may come from nowhere else. */
void nft_client(struct wr *w, bool add, const char *ifname, const char *addr, bool v6);
/* nft_hidden makes or removes the translation of a client that does not know its real address: below everything else on its interface, which must have
   its name already, seen addresses become real ones and the other way round. The real ones never reach it: errors that would tell of them are dropped. */
struct nft_seen {
	const char *addr, *gateway;	      /* the real ones */
	const char *seen_addr, *seen_gateway; /* what the client takes them for */
};
void nft_hidden(struct wr *w, bool add, const char *ifname, const struct nft_seen *s);
/* nft_fw_base: tables `qubes-firewall` with nobody behind them: nothing is forwarded from a client. */
void nft_fw_base(struct wr *w);
/* nft_fw_closed: until qubes-firewall has come nothing is forwarded. What it has loaded already is left alone. */
void nft_fw_closed(struct wr *w);
/* nft_fw_connected: packets with one of these addresses pass on client interfaces only. Replaces what was there. */
void nft_fw_connected(struct wr *w, bool v6, const char addr[][NFT_ADDR_CAP], size_t n);
/* nft_fw_source makes or replaces the chain of one source. hosts: what is known of names; an accepting rule with an unknown name lets nothing
   pass, a refusing one lets nothing after it pass. */
void nft_fw_source(struct wr *w, const struct nft_source *s, const struct nft_host *hosts, size_t n_hosts);
/* nft_fw_jumps replaces the list of sources that have a chain; the others are forwarded nothing. */
void nft_fw_jumps(struct wr *w, bool v6, const char addr[][NFT_ADDR_CAP], size_t n);
/* nft_fw_dns replaces the set dns-addr. */
void nft_fw_dns(struct wr *w, bool v6, const char addr[][NFT_ADDR_CAP], size_t n);

/* nft_addr_ok: addr is an address of that family in the form that inet_ntop gives. */
bool nft_addr_ok(const char *addr, bool v6);
/* nft_ifname_ok: 1 to 15 letters, digits and _-. after a letter or digit. */
bool nft_ifname_ok(const char *s);

#endif
