/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Firewall rules as text (specs/admin-api.md §6): one rule a line, key=value by single spaces, comment last. Pure; time is given. */
#ifndef PROTO_FIREWALL_H
#define PROTO_FIREWALL_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define FW_RULES_MAX 1024
#define FW_COMMENT_MAX 255

enum fw_dst { FW_DST_NONE, FW_DST_4, FW_DST_6, FW_DST_NAME };
enum fw_proto { FW_PROTO_ANY, FW_PROTO_TCP, FW_PROTO_UDP, FW_PROTO_ICMP };

struct fw_rule {
	bool accept, dns, has_ports, has_icmp, has_expire;
	enum fw_dst dst;
	enum fw_proto proto;
	char addr[256]; /* address/prefix or host name, normal form */
	uint32_t port_from, port_to, icmp;
	uint64_t expire; /* unix seconds */
	char comment[FW_COMMENT_MAX + 1];
};

/* fw_parse reads one line (without its newline). -EINVAL with a text. */
int fw_parse(struct fw_rule *ret, struct rd line, struct err *e);
/* fw_format writes the rule in the order of the reference, without a newline. */
void fw_format(struct wr *w, const struct fw_rule *f);
/* fw_normalize checks a whole text and appends it in normal form, a line a rule, leaving out rules that expired before now (0 = none). Empty
   text is no rule at all. -EINVAL names the line. */
int fw_normalize(struct wr *w, struct rd text, uint64_t now, struct err *e);

#endif
