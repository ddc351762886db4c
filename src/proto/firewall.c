/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Firewall rules as text. */
#include "proto/firewall.h"

#include <arpa/inet.h>

#include "base/str.h"

static const char *const proto_names[] = { [FW_PROTO_TCP] = "tcp", [FW_PROTO_UDP] = "udp", [FW_PROTO_ICMP] = "icmp" };

static int bad(struct err *e, const char *what)
{
	return err_set(e, EINVAL, "%s", what);
}

/* ADDRESS[/PREFIX] of one family; false when it is none. */
static bool address(struct fw_rule *f, const char *s, int family, unsigned bits)
{
	unsigned char raw[16];
	char text[64], shown[64];
	const char *slash = strchr(s, '/');
	size_t n = slash ? (size_t)(slash - s) : strlen(s);
	uint64_t prefix = bits;

	if (n >= sizeof text || (slash && str_u64(slash + 1, bits, &prefix) < 0))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	if (inet_pton(family, text, raw) != 1 || !inet_ntop(family, raw, shown, sizeof shown))
		return false;
	f->dst = family == AF_INET ? FW_DST_4 : FW_DST_6;
	return str_printf(f->addr, sizeof f->addr, "%s/%llu", shown, (unsigned long long)prefix) == 0;
}

static bool host(struct fw_rule *f, const char *s)
{
	if (!s[0] || strlen(s) >= sizeof f->addr || s[0] == '-')
		return false;
	for (const char *p = s; *p; p++)
		if (!ch_digit(*p) && !(*p >= 'a' && *p <= 'z') && !strchr("-._", *p))
			return false;
	f->dst = FW_DST_NAME;
	return str_copy(f->addr, sizeof f->addr, s) == 0;
}

static int key_dst(struct fw_rule *f, const char *key, const char *v, struct err *e)
{
	bool ok = false;

	if (f->dst != FW_DST_NONE)
		return bad(e, "a rule has one destination");
	if (streq(key, "dst4") || streq(key, "dsthost"))
		ok = address(f, v, AF_INET, 32);
	if (!ok && (streq(key, "dst6") || streq(key, "dsthost")))
		ok = address(f, v, AF_INET6, 128);
	if (!ok && (streq(key, "dstname") || streq(key, "dsthost")))
		ok = host(f, v);
	return ok ? 0 : bad(e, "not a destination");
}

static int key_ports(struct fw_rule *f, const char *v, struct err *e)
{
	char from[16];
	const char *dash = strchr(v, '-');
	size_t n = dash ? (size_t)(dash - v) : strlen(v);
	uint64_t a, b;

	if (f->has_ports || n >= sizeof from)
		return bad(e, "not a range of ports");
	memcpy(from, v, n);
	from[n] = '\0';
	if (str_u64(from, 65535, &a) < 0 || str_u64(dash ? dash + 1 : from, 65535, &b) < 0 || a > b)
		return bad(e, "not a range of ports");
	f->has_ports = true;
	f->port_from = (uint32_t)a;
	f->port_to = (uint32_t)b;
	return 0;
}

static int key_proto(struct fw_rule *f, const char *v, struct err *e)
{
	for (unsigned i = FW_PROTO_TCP; f->proto == FW_PROTO_ANY && i <= FW_PROTO_ICMP; i++)
		if (streq(v, proto_names[i])) {
			f->proto = (enum fw_proto)i;
			return 0;
		}
	return bad(e, "proto is tcp, udp or icmp, once");
}

static int set_key(struct fw_rule *f, const char *key, const char *v, bool *action, struct err *e)
{
	uint64_t n;

	if (streq(key, "action")) {
		if (*action || (!streq(v, "accept") && !streq(v, "drop")))
			return bad(e, "action is accept or drop, once");
		*action = true;
		f->accept = v[0] == 'a';
		return 0;
	}
	if (str_starts(key, "dst") && !streq(key, "dstports"))
		return key_dst(f, key, v, e);
	if (streq(key, "dstports"))
		return key_ports(f, v, e);
	if (streq(key, "proto"))
		return key_proto(f, v, e);
	if (streq(key, "specialtarget")) {
		if (f->dns || !streq(v, "dns"))
			return bad(e, "specialtarget can only be dns");
		f->dns = true;
		return 0;
	}
	if (streq(key, "icmptype")) {
		if (f->has_icmp || str_u64(v, 255, &n) < 0)
			return bad(e, "icmptype is a number up to 255");
		f->has_icmp = true;
		f->icmp = (uint32_t)n;
		return 0;
	}
	if (streq(key, "expire")) {
		if (f->has_expire || str_u64(v, INT64_MAX, &f->expire) < 0)
			return bad(e, "expire is a time in seconds since 1970");
		f->has_expire = true;
		return 0;
	}
	return bad(e, "unknown key");
}

static int whole(const struct fw_rule *f, bool action, struct err *e)
{
	if (!action)
		return bad(e, "a rule needs an action");
	if (f->has_ports && f->proto != FW_PROTO_TCP && f->proto != FW_PROTO_UDP)
		return bad(e, "dstports needs proto tcp or udp");
	if (f->has_icmp && f->proto != FW_PROTO_ICMP)
		return bad(e, "icmptype needs proto icmp");
	return 0;
}

int fw_parse(struct fw_rule *ret, struct rd line, struct err *e)
{
	struct fw_rule f = { 0 };
	bool action = false;
	char word[300], *eq;
	int r = 0;

	while (r == 0 && rd_left(&line) > 0) {
		const uint8_t *space = memchr(line.p, ' ', rd_left(&line));
		bool comment = rd_left(&line) >= 8 && memcmp(line.p, "comment=", 8) == 0;
		struct rd part = rd_sub(&line, space && !comment ? (size_t)(space - line.p) : rd_left(&line));

		if (space && !comment)
			rd_skip(&line, 1);
		rd_text(&part, word, sizeof word);
		eq = rd_done(&part) ? strchr(word, '=') : NULL;
		if (!eq)
			return bad(e, "not key=value");
		*eq++ = '\0';
		if (!comment)
			r = set_key(&f, word, eq, &action, e);
		else if (!str_chars(eq, ":;,./-_[] ") || str_copy(f.comment, sizeof f.comment, eq) < 0)
			r = bad(e, "a comment has letters, digits and :;,./-_[] only");
	}
	if (r == 0)
		r = whole(&f, action, e);
	if (r == 0)
		*ret = f;
	return r;
}

void fw_format(struct wr *w, const struct fw_rule *f)
{
	static const char *const dst[] = { [FW_DST_4] = "dst4", [FW_DST_6] = "dst6", [FW_DST_NAME] = "dsthost" };

	wr_printf(w, "action=%s", f->accept ? "accept" : "drop");
	if (f->has_expire)
		wr_printf(w, " expire=%llu", (unsigned long long)f->expire);
	if (f->dst != FW_DST_NONE)
		wr_printf(w, " %s=%s", dst[f->dst], f->addr);
	if (f->proto != FW_PROTO_ANY)
		wr_printf(w, " proto=%s", proto_names[f->proto]);
	if (f->dns)
		wr_str(w, " specialtarget=dns");
	if (f->has_ports)
		wr_printf(w, " dstports=%u-%u", f->port_from, f->port_to);
	if (f->has_icmp)
		wr_printf(w, " icmptype=%u", f->icmp);
	if (f->comment[0])
		wr_printf(w, " comment=%s", f->comment);
}

int fw_normalize(struct wr *w, struct rd text, uint64_t now, struct err *e)
{
	struct rd line;
	struct fw_rule f;
	unsigned n = 0;

	while (rd_line(&text, &line)) {
		int r = fw_parse(&f, line, e);

		if (++n > FW_RULES_MAX)
			return bad(e, "too many firewall rules");
		if (r < 0)
			return err_add(e, r, "firewall rule %u", n);
		if (f.has_expire && f.expire <= now)
			continue;
		fw_format(w, &f);
		wr_u8(w, '\n');
	}
	return 0;
}
