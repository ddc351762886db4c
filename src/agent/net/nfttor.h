/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tables of a Tor gateway in the place of nft_base's. Nothing is forwarded, by no rule and no table: what a client sends either ends at a port of this
 * qube's Tor or is dropped. Of this qube only Tor itself reaches the way out.
 */
#ifndef AGENT_NET_NFTTOR_H
#define AGENT_NET_NFTTOR_H

#include "base/wr.h"

#define TOR_TRANS_PORT 9040
#define TOR_DNS_PORT 5300
/* For programs of the gateway itself: what is redirected within a qube goes to 127.0.0.1, and has to be answered from there. */
#define TOR_DNS_OWN 5301
/* Addresses that Tor gives out for names it has no other for (.onion), torrc's VirtualAddrNetworkIPv4. */
#define TOR_MAPPED "10.192.0.0/10"
/* Where a workstation finds the SOCKS ports, whatever its gateway's own address is. */
#define TOR_VIRTUAL "10.139.1.1"
#define TOR_USER "debian-tor"

/* tor_socks_port gives port i, 0 behind the last. */
unsigned tor_socks_port(size_t i);
/* nft_tor: tables `ip qubes` and `ip6 qubes` without clients. user: the account that Tor runs as, letters, digits and '-'; another name poisons w. */
void nft_tor(struct wr *w, const char *user);

#endif
