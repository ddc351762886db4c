/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the rules of a qube say about one packet: the same reading of them as src/agent/net/nftfw.c gives to the kernel, as a pure function, so that a tool
 * can tell beforehand which rule decides. What only the NetVM knows (addresses of names) makes a rule uncertain, never a guess.
 */
#ifndef PROTO_FWJUDGE_H
#define PROTO_FWJUDGE_H

#include "proto/firewall.h"

enum fw_fit { FW_FIT_NO, FW_FIT_YES, FW_FIT_MAYBE };

struct fw_packet {
	bool v6;
	bool named;	  /* the destination is a name whose address is not known here */
	uint8_t addr[16]; /* destination; the first 4 for IPv4 */
	bool dns_server;  /* it is one of the addresses at which qubes ask for names: the NetVM puts the real server's in its place */
	char name[256];	  /* of the destination, when it was given; else "" */
	enum fw_proto proto; /* not FW_PROTO_ANY */
	uint32_t port;	  /* of TCP and UDP */
	uint32_t icmp;	  /* type */
	/* fit tells whether rule name `name` stands for this destination; NULL = nobody knows. */
	enum fw_fit (*fit)(void *arg, const char *name, const struct fw_packet *p);
	void *arg;
};

struct fw_verdict {
	bool accept;
	int rule;  /* number of the rule that decides; -1: none does, so it is refused */
	int maybe; /* the first rule before it that may decide otherwise; -1: the verdict is certain */
};

/* fw_destination fills addr, v6, name, dns_server of p from text: an address, or a name. False: neither. */
bool fw_destination(struct fw_packet *p, const char *text);
/* fw_fits: does the packet fit the rule? An expired rule (before now) fits nothing. */
enum fw_fit fw_fits(const struct fw_rule *r, const struct fw_packet *p, uint64_t now);
void fw_judge(const struct fw_rule *rules, size_t n, const struct fw_packet *p, uint64_t now, struct fw_verdict *ret);

#endif
