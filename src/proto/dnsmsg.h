/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The little of DNS that a VPN qube needs before its tunnel is there: one question for the addresses of a name, and its answer. Pure. */
#ifndef PROTO_DNSMSG_H
#define PROTO_DNSMSG_H

#include "base/rd.h"
#include "base/wr.h"

#define DNS_PORT 53
#define DNS_MSG_MAX 1232
#define DNS_ADDRS_MAX 16
#define DNS_ADDR_CAP 46

struct dns_addrs {
	char addr[DNS_ADDRS_MAX][DNS_ADDR_CAP];
	size_t n;
};

/* dns_question writes a question for the A (v6: AAAA) records of name; poisons the writer when name is none. */
void dns_question(struct wr *w, uint16_t id, const char *name, bool v6);
/* dns_answer reads the answer to that question: adds addresses to ret (those that fit) and gives 0. -EAGAIN: it answers something else.
   -ENOENT: the server knows no such name. -EBADMSG. */
int dns_answer(struct dns_addrs *ret, struct rd msg, uint16_t id, const char *name, bool v6);

#endif
