/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which rule of a firewall decides about a packet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/fwjudge.h"

#define NOW 1000u

/* Rules by lines; gives the verdict. */
static struct fw_verdict judge(const char *text, const char *to, enum fw_proto proto, uint32_t port)
{
	struct fw_rule rules[16];
	struct fw_packet p = { .proto = proto, .port = port, .icmp = 8 };
	struct rd rd = rd_mem(text, strlen(text)), line;
	struct fw_verdict v;
	size_t n = 0;

	while (rd_line(&rd, &line))
		assert_int_equal(fw_parse(&rules[n++], line, NULL), 0);
	assert_true(fw_destination(&p, to));
	fw_judge(rules, n, &p, NOW, &v);
	return v;
}

#define TCP(rules, to, port) judge(rules, to, FW_PROTO_TCP, port)
#define is(v, want_accept, want_rule, want_maybe)                                                            \
	do {                                                                                                 \
		struct fw_verdict got = (v);                                                                 \
		if (got.accept != (want_accept) || got.rule != (want_rule) || got.maybe != (want_maybe))    \
			fail_msg("line %d: accept=%d rule=%d maybe=%d", __LINE__, got.accept, got.rule, got.maybe); \
	} while (0)

static void test_first_fits(void **state)
{
	is(TCP("", "1.1.1.1", 80), false, -1, -1);
	is(TCP("action=accept", "1.1.1.1", 80), true, 0, -1);
	is(TCP("action=drop dst4=1.1.1.0/24\naction=accept", "1.1.1.1", 80), false, 0, -1);
	is(TCP("action=drop dst4=1.1.1.0/24\naction=accept", "1.1.2.1", 80), true, 1, -1);
	is(TCP("action=accept dst4=1.1.1.1/32", "1.1.1.2", 80), false, -1, -1);
	is(TCP("action=accept dst4=0.0.0.0/0", "1.1.1.2", 80), true, 0, -1);
	is(TCP("action=accept dst6=fd00::/8", "fd09::1", 80), true, 0, -1);
	is(TCP("action=accept dst6=fd00::/8", "fe80::1", 80), false, -1, -1);
	is(TCP("action=accept dst6=::/0", "1.1.1.1", 80), false, -1, -1);
	is(TCP("action=accept dst4=0.0.0.0/0", "fe80::1", 80), false, -1, -1);
}

static void test_protocols(void **state)
{
	is(TCP("action=accept proto=tcp dstports=80-81", "1.1.1.1", 81), true, 0, -1);
	is(TCP("action=accept proto=tcp dstports=80-81", "1.1.1.1", 82), false, -1, -1);
	is(judge("action=accept proto=tcp dstports=80-81", "1.1.1.1", FW_PROTO_UDP, 80), false, -1, -1);
	is(judge("action=accept proto=udp", "1.1.1.1", FW_PROTO_UDP, 9), true, 0, -1);
	is(judge("action=accept proto=icmp", "1.1.1.1", FW_PROTO_ICMP, 0), true, 0, -1);
	is(judge("action=accept proto=icmp icmptype=8", "1.1.1.1", FW_PROTO_ICMP, 0), true, 0, -1);
	is(judge("action=accept proto=icmp icmptype=0", "1.1.1.1", FW_PROTO_ICMP, 0), false, -1, -1);
	is(judge("action=drop proto=tcp\naction=accept", "1.1.1.1", FW_PROTO_ICMP, 0), true, 1, -1);
}

static void test_expiry(void **state)
{
	is(TCP("action=accept expire=1001", "1.1.1.1", 80), true, 0, -1);
	is(TCP("action=accept expire=1000", "1.1.1.1", 80), false, -1, -1);
}

static void test_names_of_servers(void **state)
{
	static const char rules[] = "action=accept specialtarget=dns\naction=drop";

	is(judge(rules, "10.139.1.1", FW_PROTO_UDP, 53), true, 0, -1);
	is(judge(rules, "10.139.1.2", FW_PROTO_TCP, 53), true, 0, -1);
	is(judge(rules, "10.139.1.1", FW_PROTO_UDP, 54), false, 1, -1);
	is(judge(rules, "10.139.1.1", FW_PROTO_ICMP, 0), false, 1, -1);
	/* It may be the NetVM's own server. */
	is(judge(rules, "9.9.9.9", FW_PROTO_UDP, 53), false, 1, 0);
	/* What the NetVM puts in its place is not known. */
	is(judge("action=accept dst4=9.9.9.9/32", "10.139.1.1", FW_PROTO_UDP, 53), false, -1, 0);
	is(judge("action=drop dst4=9.9.9.9/32", "10.139.1.1", FW_PROTO_UDP, 53), false, -1, -1);
}

static enum fw_fit known(void *arg, const char *name, const struct fw_packet *p)
{
	return streq(name, arg) ? FW_FIT_YES : FW_FIT_NO;
}

static void test_names(void **state)
{
	static char name[] = "good.example";
	struct fw_packet p = { .proto = FW_PROTO_TCP, .port = 80 };
	struct fw_rule r;
	struct fw_verdict v;

	is(TCP("action=accept dsthost=good.example", "good.example", 80), true, 0, -1);
	is(TCP("action=accept dsthost=good.example", "bad.example", 80), false, -1, 0);
	is(TCP("action=accept dsthost=good.example", "1.1.1.1", 80), false, -1, 0);
	is(TCP("action=accept dst4=1.1.1.1/32\naction=accept", "good.example", 80), true, 1, -1);
	is(TCP("action=drop dst4=1.1.1.1/32\naction=accept", "good.example", 80), true, 1, 0);
	assert_int_equal(fw_parse(&r, rd_mem("action=accept dsthost=good.example", 34), NULL), 0);
	assert_true(fw_destination(&p, "1.1.1.1"));
	p.fit = known;
	p.arg = name;
	fw_judge(&r, 1, &p, NOW, &v);
	is(v, true, 0, -1);
}

static void test_destinations(void **state)
{
	static const char *const bad[] = { "", "-x", "A.example", "a b", "1.1.1.1/8", "x\n", "fe80::1%eth0" };
	struct fw_packet p;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (fw_destination(&p, bad[i]))
			fail_msg("'%s' is a destination", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_fits), cmocka_unit_test(test_protocols), cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_names_of_servers), cmocka_unit_test(test_names), cmocka_unit_test(test_destinations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
