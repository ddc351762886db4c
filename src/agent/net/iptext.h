/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines for `ip -force -batch -` that configure one interface. Pure. Values have passed their parsers; anything else poisons the writer. */
#ifndef AGENT_NET_IPTEXT_H
#define AGENT_NET_IPTEXT_H

#include "base/wr.h"
#include "proto/netport.h"

#define IP_MAC_PROVIDER "fe:ff:ff:ff:ff:ff" /* of every NetVM's side of a link */
#define IP_GROUP_UP 1
#define IP_GROUP_DOWN 2

/* A qube's own addresses towards its NetVM; "" = none. */
struct ip_own {
	char mac[18], ip[NETPORT_ADDR_CAP], gateway[NETPORT_ADDR_CAP], ip6[NETPORT_ADDR_CAP], gateway6[NETPORT_ADDR_CAP];
	char dns[2][NETPORT_ADDR_CAP];
	bool no_default_route;
};

/* ip_uplink: the interface becomes NAME, towards the NetVM: a route to nowhere but the gateway, a fixed neighbour entry. */
void ip_uplink(struct wr *w, const char *old_name, const char *name, const struct ip_own *own);
/* ip_client: the interface becomes vifQID.0; own: this NetVM's addresses as its clients see them (gateway fields). */
void ip_client(struct wr *w, const char *old_name, const char *name, const struct netport *p, const struct ip_own *own);
/* ip_external: an address of the outside. */
void ip_external(struct wr *w, const char *old_name, const char *name, const struct netport *p);
/* ip_client_name gives vifQID.0. */
void ip_client_name(char out[16], uint32_t qid);

#endif
