/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/dnsmsg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <strings.h>

#include "base/str.h"

#define TYPE_A 1u
#define TYPE_AAAA 28u
#define CLASS_IN 1u
#define FLAG_ANSWER 0x8000u
#define FLAG_RECURSION 0x0100u
#define RCODE_MASK 0x000fu
#define RCODE_NO_NAME 3u
#define LABELS_MAX 128

static void u16be(struct wr *w, unsigned v)
{
	wr_u8(w, (uint8_t)(v >> 8));
	wr_u8(w, (uint8_t)v);
}

static uint16_t get16(struct rd *r)
{
	uint16_t hi = rd_u8(r);

	return (uint16_t)(hi << 8 | rd_u8(r));
}

void dns_question(struct wr *w, uint16_t id, const char *name, bool v6)
{
	u16be(w, id);
	u16be(w, FLAG_RECURSION);
	u16be(w, 1);
	for (int i = 0; i < 3; i++)
		u16be(w, 0);
	for (const char *s = name; *s;) {
		size_t n = strcspn(s, ".");

		if (n == 0 || n > 63)
			wr_fail(w);
		wr_u8(w, (uint8_t)n);
		wr_bytes(w, s, n);
		s += n + (s[n] == '.');
	}
	wr_u8(w, 0);
	u16be(w, v6 ? TYPE_AAAA : TYPE_A);
	u16be(w, CLASS_IN);
}

/* The name of the question comes back as it was sent: no pointers. */
static bool same_name(struct rd *r, const char *name)
{
	for (const char *s = name;;) {
		size_t n = rd_u8(r), want = strcspn(s, ".");
		const uint8_t *label = rd_view(r, n);

		if (!label || n != want)
			return false;
		if (n == 0)
			return *s == '\0';
		if (strncasecmp((const char *)label, s, n) != 0)
			return false;
		s += n + (s[n] == '.');
	}
}

static void skip_name(struct rd *r)
{
	for (int i = 0; i < LABELS_MAX; i++) {
		uint8_t n = rd_u8(r);

		if (n == 0)
			return;
		if (n >= 0xc0) {
			rd_skip(r, 1);
			return;
		}
		if (n > 63)
			break;
		rd_skip(r, n);
	}
	rd_fail(r);
}

static void take(struct dns_addrs *ret, struct rd data, bool v6)
{
	uint8_t bin[16] = { 0 };

	rd_bytes(&data, bin, v6 ? 16 : 4);
	if (rd_done(&data) && ret->n < DNS_ADDRS_MAX && inet_ntop(v6 ? AF_INET6 : AF_INET, bin, ret->addr[ret->n], DNS_ADDR_CAP))
		ret->n++;
}

int dns_answer(struct dns_addrs *ret, struct rd r, uint16_t id, const char *name, bool v6)
{
	unsigned got = get16(&r), flags = get16(&r), questions = get16(&r), answers = get16(&r);
	const unsigned type = v6 ? TYPE_AAAA : TYPE_A;
	size_t before = ret->n;

	rd_skip(&r, 4);
	if (!rd_ok(&r) || got != id || !(flags & FLAG_ANSWER) || questions != 1 || !same_name(&r, name) || get16(&r) != type || get16(&r) != CLASS_IN)
		return rd_ok(&r) ? -EAGAIN : -EBADMSG;
	if ((flags & RCODE_MASK) == RCODE_NO_NAME)
		return -ENOENT;
	if (flags & RCODE_MASK)
		return -EBADMSG;
	/* Names that lead to another name are followed by the server; the addresses at the end are what was asked for. */
	for (unsigned i = 0; i < answers && rd_ok(&r); i++) {
		unsigned t, class;
		struct rd data;

		skip_name(&r);
		t = get16(&r);
		class = get16(&r);
		rd_skip(&r, 4);
		data = rd_sub(&r, get16(&r));
		if (rd_ok(&r) && t == type && class == CLASS_IN)
			take(ret, data, v6);
	}
	/* A long answer may be cut: what is whole is used. */
	return rd_ok(&r) || ret->n > before ? 0 : -EBADMSG;
}
