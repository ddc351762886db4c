/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text for nft: every kind of rule, both families, and what must never become text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/net/fwd.h"
#include "base/str.h"
#include "proto/netport.h"

void fwd_names_done(struct fwd *f)
{
	(void)f;
}

static const struct nft_host hosts[] = {
	{ .name = "good.example", .n = 2, .addr = { "192.0.2.7", "192.0.2.8" } },
	{ .name = "good.example", .v6 = true, .n = 1, .addr = { "2001:db8::7" } },
	{ .name = "evil.example", .n = 1, .addr = { "0.0.0.0/0; accept" } },
};

/* The chain that some rules make, without what every chain has. */
static char *chain(const char *const *lines, bool v6)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 16);
	struct fw_rule rules[8];
	struct nft_source s = { .v6 = v6, .rules = rules };
	static const char head4[] = "add chain ip qubes-firewall qbs-10-137-0-5\nflush chain ip qubes-firewall qbs-10-137-0-5\n";
	static const char tail4[] = "add rule ip qubes-firewall qbs-10-137-0-5 counter reject with icmp type admin-prohibited\n";
	static const char head6[] = "add chain ip6 qubes-firewall qbs-fd09--5\nflush chain ip6 qubes-firewall qbs-fd09--5\n";
	static const char tail6[] = "add rule ip6 qubes-firewall qbs-fd09--5 counter reject with icmpv6 type admin-prohibited\n";
	const char *head = v6 ? head6 : head4, *tail = v6 ? tail6 : tail4;
	struct err e = { 0 };
	char *text;
	size_t n;

	assert_int_equal(str_copy(s.addr, sizeof s.addr, v6 ? "fd09::5" : "10.137.0.5"), 0);
	for (; *lines; lines++)
		assert_int_equal(fw_parse(&rules[s.n_rules++], rd_mem(*lines, strlen(*lines)), &e), 0);
	nft_fw_source(&w, &s, hosts, ARRAY_SIZE(hosts));
	if (!wr_ok(&w))
		return NULL;
	text = wr_take(&w, &n);
	assert_true(str_starts(text, head) && str_ends(text, tail));
	memmove(text, text + strlen(head), n + 1 - strlen(head));
	text[strlen(text) - strlen(tail)] = '\0';
	return text;
}

#define PRE4 "add rule ip qubes-firewall qbs-10-137-0-5 "
#define PRE6 "add rule ip6 qubes-firewall qbs-fd09--5 "

static void check(const char *line, bool v6, const char *expected)
{
	const char *const lines[] = { line, NULL };
	_cleanup_free_ char *text = chain(lines, v6);

	assert_non_null(text);
	assert_string_equal(text, expected);
}

static void test_rules(void **state)
{
	check("action=accept", false, PRE4 "accept\n");
	check("action=drop", false, PRE4 "counter reject with icmp type admin-prohibited\n");
	check("action=drop", true, PRE6 "counter reject with icmpv6 type admin-prohibited\n");
	check("action=accept dst4=192.0.2.0/24", false, PRE4 "ip daddr 192.0.2.0/24 accept\n");
	check("action=accept dst4=192.0.2.0/24", true, "");
	check("action=accept dst6=2001:db8::/32", true, PRE6 "ip6 daddr 2001:db8::/32 accept\n");
	check("action=accept dst6=2001:db8::/32", false, "");
	check("action=accept proto=tcp dstports=80-80", false, PRE4 "tcp dport 80 accept\n");
	check("action=accept proto=udp dstports=1-9", false, PRE4 "udp dport 1-9 accept\n");
	check("action=accept proto=tcp", false, PRE4 "meta l4proto 6 accept\n");
	check("action=accept proto=icmp", false, PRE4 "meta l4proto 1 accept\n");
	check("action=accept proto=icmp icmptype=8", false, PRE4 "meta l4proto 1 icmp type 8 accept\n");
	check("action=accept proto=icmp icmptype=128", true, PRE6 "meta l4proto 58 icmpv6 type 128 accept\n");
	check("action=accept specialtarget=dns", false,
	      PRE4 "ip daddr @dns-addr tcp dport 53 accept\n" PRE4 "ip daddr @dns-addr udp dport 53 accept\n");
	check("action=accept proto=udp specialtarget=dns", false, PRE4 "ip daddr @dns-addr udp dport 53 accept\n");
}

static void test_names(void **state)
{
	static const char *const refused[] = { "action=drop dsthost=unknown.example", "action=accept", NULL };
	static const char *const evil[] = { "action=accept dsthost=evil.example", NULL };
	_cleanup_free_ char *text = NULL;

	check("action=accept dsthost=good.example", false, PRE4 "ip daddr { 192.0.2.7, 192.0.2.8 } accept\n");
	check("action=accept dsthost=good.example", true, PRE6 "ip6 daddr { 2001:db8::7 } accept\n");
	/* What is not known lets nothing pass; a refusal of it stops what comes after. */
	check("action=accept dsthost=unknown.example", false, "");
	text = chain(refused, false);
	assert_string_equal(text, "");
	/* No address, no text. */
	assert_null(chain(evil, false));
}

static void test_closed(void **state)
{
	_cleanup_wr_ struct wr w = wr_grow(4096);
	struct fw_rule r = { .accept = true };
	struct nft_source s = { .addr = "10.137.0.9", .closed = true, .rules = &r, .n_rules = 1 };
	_cleanup_free_ char *text = NULL;

	nft_fw_source(&w, &s, NULL, 0);
	text = wr_take(&w, NULL);
	assert_null(strstr(text, "accept"));
	assert_non_null(strstr(text, "qbs-10-137-0-9 counter reject"));
}

static void test_closed_until_it_comes(void **state)
{
	_cleanup_wr_ struct wr w = wr_grow(4096);
	_cleanup_free_ char *text = NULL;

	nft_fw_closed(&w);
	text = wr_take(&w, NULL);
	/* Nothing that is there is taken away: the service may have been faster. */
	assert_null(strstr(text, "delete"));
	assert_null(strstr(text, "flush"));
	assert_null(strstr(text, "accept"));
	assert_non_null(strstr(text, "add chain ip6 qubes-firewall forward { type filter hook forward priority filter; policy drop; }"));
}

static void test_bad_values(void **state)
{
	static const char *const bad[] = { "", "10.137.0.5 accept", "10.137.0.05", "1.2.3", "fd09::5", "10.137.0.5\n" };
	static const char *const names[] = { "", "vif1.0;", "-x", "a b", "0123456789abcdef", "\"" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_wr_ struct wr w = wr_grow(4096);
		struct nft_source s = { .closed = true };

		assert_int_equal(str_copy(s.addr, sizeof s.addr, bad[i]), 0);
		nft_fw_source(&w, &s, NULL, 0);
		assert_false(wr_ok(&w));
		wr_reset(&w);
		nft_client(&w, true, "vif1.0", bad[i], false);
		assert_false(wr_ok(&w));
		wr_reset(&w);
		nft_fw_connected(&w, false, &s.addr, 1);
		assert_false(wr_ok(&w));
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_wr_ struct wr w = wr_grow(4096);

		nft_client(&w, true, names[i], "10.137.0.5", false);
		assert_false(wr_ok(&w));
	}
	assert_true(nft_ifname_ok("vif12.0"));
	assert_true(nft_addr_ok("fd09:24ef:4179::a89:7", true));
	assert_false(nft_addr_ok("FD09::7", true));
}

static void test_hidden(void **state)
{
	static const struct nft_seen good = { "10.137.0.5", "10.137.0.3", "192.168.1.5", "192.168.1.1" };
	_cleanup_wr_ struct wr w = wr_grow(8192);
	_cleanup_free_ char *text = NULL;

	for (size_t i = 0; i < 5; i++) {
		struct nft_seen s = good;
		const char **field[] = { &s.addr, &s.gateway, &s.seen_addr, &s.seen_gateway };

		if (i < 4)
			*field[i] = "1.1.1.1 accept";
		nft_hidden(&w, true, i < 4 ? "vif5.0" : "vif5.0\"", &s);
		assert_false(wr_ok(&w));
		wr_reset(&w);
	}
	nft_hidden(&w, true, "vif5.0", &good);
	text = wr_take(&w, NULL);
	assert_non_null(strstr(text, "ip saddr 10.137.0.5 counter drop\nip saddr 192.168.1.5 ip saddr set 10.137.0.5\n"));
	assert_non_null(strstr(text, "ip saddr 10.137.0.3 ip saddr set 192.168.1.1\nip daddr 10.137.0.5 ip daddr set 192.168.1.5\n"));
	assert_true(strstr(text, "delete chain netdev qubes-hidden in-vif5.0\n") < strstr(text, "hook ingress"));
}

/* What netd reads, said again. */
static void test_ports(void **state)
{
	static const char *const good[] = {
		"uplink", "client 5 00:16:3e:5e:6c:00 10.137.0.5", "client 5 00:16:3e:5e:6c:00 10.137.0.5 fd09::5",
		"client 5 00:16:3e:5e:6c:00 10.137.0.5 seen=192.168.1.5,192.168.1.1", "client 5 00:16:3e:5e:6c:00 10.137.0.5 fd09::5 seen=192.168.1.5,192.168.1.1",
		"external 192.0.2.2/24 192.0.2.1", "external 192.0.2.2/24 192.0.2.1 9.9.9.9 9.9.9.10", "external dhcp",
	};
	static const char *const bad[] = {
		"client 5 00:16:3e:5e:6c:00 seen=192.168.1.5,192.168.1.1", "client 5 00:16:3e:5e:6c:00 10.137.0.5 seen=192.168.1.5",
		"client 5 00:16:3e:5e:6c:00 10.137.0.5 seen=,", "client 5 00:16:3e:5e:6c:00 10.137.0.5 seen=192.168.1.5,fd09::1",
		"client 5 00:16:3e:5e:6c:00 10.137.0.5 seen=192.168.1.5,192.168.1.1 fd09::5", "client 5 00:16:3e:5e:6c:00 10.137.0.5 seen=192.168.1.5,192.168.1.1,x",
		"external 192.0.2.2/24 192.0.2.1 9.9.9.9 9.9.9.10 9.9.9.11",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_wr_ struct wr w = wr_grow(512);
		struct netport p;

		assert_int_equal(netport_parse(&p, good[i], NULL), 0);
		netport_format(&w, &p);
		wr_u8(&w, 0);
		assert_string_equal((const char *)w.buf, good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct netport p;

		if (netport_parse(&p, bad[i], NULL) != -EINVAL)
			fail_msg("'%s' is a port", bad[i]);
	}
}

static void test_dns(void **state)
{
	static const char virt[2][NFT_ADDR_CAP] = { "10.139.1.1", "10.139.1.2" }, one[1][NFT_ADDR_CAP] = { "192.0.2.53" };
	_cleanup_wr_ struct wr w = wr_grow(4096);
	_cleanup_free_ char *text = NULL;

	nft_dns(&w, virt, 2, one, 1);
	text = wr_take(&w, NULL);
	assert_non_null(strstr(text, "ip daddr 10.139.1.1 udp dport 53 dnat to 192.0.2.53\n"));
	assert_non_null(strstr(text, "ip daddr 10.139.1.2 tcp dport 53 dnat to 192.0.2.53\n"));
	free(text);
	w = wr_grow(4096);
	nft_dns(&w, virt, 2, NULL, 0);
	text = wr_take(&w, NULL);
	assert_null(strstr(text, "dnat to"));
	assert_non_null(strstr(text, "ip daddr 10.139.1.2 udp dport 53 counter drop\n"));
}

static void test_answers(void **state)
{
	static const char text[] = "192.0.2.1   STREAM good.example\n192.0.2.1   DGRAM  \n192.0.2.2 RAW\nnonsense\n2001:db8::1 STREAM x\n";
	static const char conf[] = "# nameserver 1.1.1.1\nnameserver 192.0.2.53\nsearch x\nnameserver 2001:db8::53\nnameserver\t192.0.2.54\n"
				   "nameserver 1.2.3.4.5\nnameserver 192.0.2.55\nnameserver 192.0.2.56";
	char out[NFT_NAMESERVERS][NFT_ADDR_CAP];
	struct nft_host h = { .name = "good.example" };

	fwd_answer_parse(&h, rd_mem(text, sizeof text - 1));
	assert_int_equal(h.n, 2);
	assert_string_equal(h.addr[1], "192.0.2.2");
	h.v6 = true;
	fwd_answer_parse(&h, rd_mem(text, sizeof text - 1));
	assert_int_equal(h.n, 1);
	assert_int_equal(fwd_nameservers(rd_mem(conf, sizeof conf - 1), false, out), 3);
	assert_string_equal(out[2], "192.0.2.55");
	assert_int_equal(fwd_nameservers(rd_mem(conf, sizeof conf - 1), true, out), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules), cmocka_unit_test(test_names), cmocka_unit_test(test_closed), cmocka_unit_test(test_closed_until_it_comes),
		cmocka_unit_test(test_bad_values), cmocka_unit_test(test_hidden), cmocka_unit_test(test_ports), cmocka_unit_test(test_dns), cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
