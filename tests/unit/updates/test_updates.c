/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of the updates proxy that are pure: addresses, settings, heads of kept files. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "updates/updates.h"

static bool is_public(const char *text)
{
	struct up_addr a = { .family = strchr(text, ':') ? 6 : 4 };

	assert_int_equal(inet_pton(a.family == 6 ? AF_INET6 : AF_INET, text, a.b), 1);
	return addr_public(&a);
}

static void addresses(void **state)
{
	static const char *const yes[] = { "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "223.255.255.255",
					   "192.167.1.1", "2001:4860::1", "2a00::1", "3ffe::1" };
	static const char *const no[] = { "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.169.254", "172.16.0.1",
					  "172.31.255.255", "192.168.0.1", "198.19.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::ffff:8.8.8.8",
					  "64:ff9b::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001::1", "2002:7f00:1::" };

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		if (!is_public(yes[i]))
			fail_msg("%s is public", yes[i]);
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		if (is_public(no[i]))
			fail_msg("%s is not public", no[i]);
}

static const struct up_host *find(const struct up_conf *c, const char *url)
{
	struct http_url u;

	assert_int_equal(http_url_parse(rd_mem(url, strlen(url)), &u, NULL), 0);
	return conf_find(c, &u);
}

static void settings(void **state)
{
	static struct up_conf c;
	const char *text = "# mirrors\n\nallow Mirror.example\n\tallow lan.example:3142 private\nproxy http://cache.example:8080/\ncache 2GiB\napt no";

	assert_int_equal(conf_parse(rd_mem(text, strlen(text)), &c, NULL), 0);
	assert_int_equal(c.n_hosts, 2);
	assert_non_null(find(&c, "http://mirror.example/x"));
	assert_non_null(find(&c, "https://mirror.example/x"));
	assert_null(find(&c, "http://mirror.example:8080/x"));
	assert_null(find(&c, "http://mirror.example.evil/x"));
	assert_null(find(&c, "http://lan.example/x"));
	assert_true(find(&c, "http://lan.example:3142/x")->private);
	assert_true(c.has_uplink && c.uplink.port == 8080 && c.no_apt);
	assert_true(c.cache_max == (UINT64_C(2) << 30));
	c.any_host = true;
	assert_non_null(find(&c, "http://any.example/"));
	assert_null(find(&c, "http://any.example:22/"));
	assert_false(find(&c, "http://any.example/")->private);
}

static void bad_settings(void **state)
{
	static const char *const bad[] = { "allow", "allow a b", "allow a private x", "allow a/", "allow http://a", "allow a:0", "allow a:x", "allow a..b", "proxy x", "proxy https://a/",
					   "proxy http://a/b", "cache", "cache -1", "cache 1 2", "apt maybe", "frob x" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		static struct up_conf c;
		struct err e = { 0 };

		memset(&c, 0, sizeof c);
		if (conf_parse(rd_mem(bad[i], strlen(bad[i])), &c, &e) >= 0)
			fail_msg("accepted: '%s'", bad[i]);
		assert_true(str_starts(e.msg, "line 1: "));
	}
}

static void apt_settings(void **state)
{
	static struct up_conf c;
	const char *text = "APT \"\";\nAcquire::http::Proxy \"http://proxy.example:3142/\";\nAcquire::http::Proxy::other \"DIRECT\";\nAcquire::http::Proxy \"http://late.example/\";\n";

	conf_parse_apt(rd_mem(text, strlen(text)), &c);
	assert_true(c.has_uplink && streq(c.uplink.host, "proxy.example") && c.uplink.port == 3142);
	memset(&c, 0, sizeof c);
	c.direct = true;
	conf_parse_apt(rd_mem(text, strlen(text)), &c);
	assert_false(c.has_uplink);
	memset(&c, 0, sizeof c);
	conf_parse_apt(rd_mem("Acquire::http::Proxy \"socks5h://a\";\nAcquire::http::Proxy", 56), &c);
	assert_false(c.has_uplink);
}

static void heads(void **state)
{
	static struct cache_head h = { .host = "a.example", .path = "/pool/x.deb", .type = "t", .modified = "m", .etag = "\"e\"", .port = 80, .total = 12345 }, back;
	static uint8_t buf[CACHE_HEAD];

	assert_int_equal(cache_head_put(buf, &h), 0);
	assert_int_equal(cache_head_get(rd_mem(buf, sizeof buf), &back), 0);
	assert_true(streq(back.host, h.host) && streq(back.path, h.path) && streq(back.etag, h.etag) && back.port == 80 && back.total == 12345);
	buf[2] ^= 1;
	assert_int_equal(cache_head_get(rd_mem(buf, sizeof buf), &back), -EBADMSG);
	assert_int_equal(cache_head_get(rd_mem(buf, 20), &back), -EBADMSG);
}

static void wanted(void **state)
{
	static const struct {
		const char *path;
		bool want;
	} rows[] = {
		{ "/debian/pool/main/a/a_1_all.deb", true }, { "/x/a.rpm", true }, { "/dists/x/main/by-hash/SHA256/00ff", true }, { "/dists/x/InRelease", false },
		{ "/dists/x/main/binary-all/Packages.xz", false }, { "/pool/a.deb?x", false }, { "/pool/../InRelease", false }, { "/pool//a.deb", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static struct http_request q;

		assert_int_equal(str_copy(q.url.path, sizeof q.url.path, rows[i].path), 0);
		if (cache_wants(&q) != rows[i].want)
			fail_msg("%s", rows[i].path);
		q.method = HTTP_HEAD;
		assert_false(cache_wants(&q));
		q.method = HTTP_GET;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses), cmocka_unit_test(settings), cmocka_unit_test(bad_settings), cmocka_unit_test(apt_settings),
		cmocka_unit_test(heads), cmocka_unit_test(wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
