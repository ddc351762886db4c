/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The text of a Tor gateway's tables. What the kernel makes of it: tests/host/run_tor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/net/nfttext.h"
#include "agent/net/nfttor.h"
#include "base/str.h"

static char *made(const char *user)
{
	struct wr w = wr_grow(1 << 16);
	char *text = NULL;

	nft_tor(&w, user);
	if (wr_ok(&w))
		text = wr_take(&w, NULL);
	wr_free(&w);
	return text;
}

/* The rules of one chain, between its braces. */
static char *chain(const char *text, const char *name)
{
	_cleanup_free_ char *head = xasprintf("chain %s {\n", name);
	const char *from = strstr(text, head), *to = from ? strstr(from, "\n}\n") : NULL;

	assert_non_null(from);
	assert_non_null(to);
	return xstrndup(from + strlen(head), (size_t)(to - from) - strlen(head));
}

static void test_nothing_is_forwarded(void **state)
{
	_cleanup_free_ char *text = made(TOR_USER), *v4 = chain(text, "forward"), *v6 = chain(strstr(text, "table ip6 qubes {"), "forward");

	assert_string_equal(v4, "type filter hook forward priority filter; policy drop;\ncounter");
	assert_string_equal(v6, v4);
	assert_null(strstr(text, "dnat to"));
	assert_null(strstr(text, "masquerade"));
	assert_null(strstr(text, "jump custom"));
	assert_null(strstr(strstr(text, "table ip6 qubes {"), "saddr @allowed"));
}

static void test_only_tor_gets_out(void **state)
{
	_cleanup_free_ char *text = made("tor-1"), *out = chain(text, "output");

	assert_string_equal(out, "type filter hook output priority filter; policy drop;\noifname \"lo\" accept\nip daddr 127.0.0.0/8 ct status dnat accept\n"
				 "oifgroup 2 ct state established accept\noifgroup 1 meta l4proto 6 meta skuid \"tor-1\" accept\n"
				 "oifgroup 1 meta l4proto 6 ct state established accept\ncounter");
}

static void test_ports(void **state)
{
	size_t n = 0;

	while (tor_socks_port(n)) {
		assert_in_range(tor_socks_port(n), 9050, 9199);
		for (size_t k = 0; k < n; k++)
			assert_int_not_equal(tor_socks_port(k), tor_socks_port(n));
		n++;
	}
	assert_true(n > 2);
}

static void test_bad_accounts(void **state)
{
	static const char *const bad[] = { "", "tor\"", "a b", "tor;accept", "a-name-that-is-longer-than-accounts-are" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_null(made(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_forwarded),
		cmocka_unit_test(test_only_tor_gets_out),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_bad_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
