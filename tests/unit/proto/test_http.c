/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Heads of HTTP messages: what is understood, and all that is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/http.h"

static int req(const char *text, struct http_request *q)
{
	return http_request_parse(rd_mem(text, strlen(text)), q, NULL);
}

static int resp(const char *text, struct http_response *p)
{
	return http_response_parse(rd_mem(text, strlen(text)), p, NULL);
}

static void head_length(void **state)
{
	static char big[HTTP_HEAD_MAX + 1];

	assert_int_equal(http_head_len("GET / HTTP/1.1\r\n\r\nmore", 22), 18);
	assert_int_equal(http_head_len("GET / HTTP/1.1\r\n\r", 17), 0);
	assert_int_equal(http_head_len("GET / HTTP/1.1\n\n", 16), 0);
	assert_int_equal(http_head_len("a\0b", 3), -EBADMSG);
	memset(big, 'a', sizeof big);
	assert_int_equal(http_head_len(big, HTTP_HEAD_MAX - 1), 0);
	assert_int_equal(http_head_len(big, sizeof big), -EMSGSIZE);
}

static void requests(void **state)
{
	struct http_request q;

	assert_int_equal(req("GET http://Mirror.Example:81/a/b?c=%20 HTTP/1.1\r\nhOST: other\r\nRange: bytes=7-\r\nIf-Range: \"t\"\r\nCache-Control: max-age=0, no-cache\r\n\r\n", &q), 0);
	assert_string_equal(q.url.host, "mirror.example");
	assert_int_equal(q.url.port, 81);
	assert_string_equal(q.url.path, "/a/b?c=%20");
	assert_true(q.range && q.first == 7 && q.no_cache && !q.close);
	assert_string_equal(q.if_range, "\"t\"");
	assert_int_equal(req("GET http://a HTTP/1.0\r\n\r\n", &q), 0);
	assert_true(q.close && streq(q.url.path, "/") && q.url.port == 80);
	assert_int_equal(req("CONNECT a.b:443 HTTP/1.1\r\n\r\n", &q), 0);
	assert_true(q.method == HTTP_CONNECT && q.url.port == 443);
	assert_int_equal(req("HEAD http://[::1]:8/ HTTP/1.1\r\nConnection: x, Close\r\n\r\n", &q), 0);
	assert_true(q.method == HTTP_HEAD && streq(q.url.host, "::1") && q.close);
	/* only the one form of a range; any other is as good as none */
	assert_int_equal(req("GET http://a/ HTTP/1.1\r\nRange: bytes=0-1,5-\r\n\r\n", &q), 0);
	assert_false(q.range);
}

static void bad_requests(void **state)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\r\n\r\n", "GET ftp://a/ HTTP/1.1\r\n\r\n", "GET http://a/ HTTP/2.0\r\n\r\n", "GET http://a/ b HTTP/1.1\r\n\r\n",
		"GET http://user@a/ HTTP/1.1\r\n\r\n", "GET http://a:0/ HTTP/1.1\r\n\r\n", "GET http://a:65536/ HTTP/1.1\r\n\r\n",
		"GET http:///x HTTP/1.1\r\n\r\n", "GET http://-a/ HTTP/1.1\r\n\r\n", "GET http://a..b/ HTTP/1.1\r\n\r\n", "GET http://a/#f HTTP/1.1\r\n\r\n",
		"GET http://a/\x80 HTTP/1.1\r\n\r\n", "GET http://a/ HTTP/1.1\nA: b\r\n\r\n", "GET http://a/ HTTP/1.1\r\nA : b\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "GET http://a/ HTTP/1.1\r\nA: b\rc\r\n\r\n", "GET http://a/ HTTP/1.1\r\n: b\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nA\r\n\r\n", "GET http://[::1/ HTTP/1.1\r\n\r\n", "GET http://[zz]/ HTTP/1.1\r\n\r\n", "CONNECT a HTTP/1.1\r\n\r\n",
		"CONNECT http://a:443 HTTP/1.1\r\n\r\n", "\r\n\r\n", "GET http://a/ HTTP/1.1\r\nA: b\r\n\r\nrest",
	};
	static const char *const refused[] = {
		"POST http://a/ HTTP/1.1\r\n\r\n", "GET http://a/ HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "GET http://a/ HTTP/1.1\r\nContent-Length: x\r\n\r\n",
	};
	struct http_request q;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (req(bad[i], &q) != -EBADMSG)
			fail_msg("not malformed: %s", bad[i]);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (req(refused[i], &q) != -ENOTSUP)
			fail_msg("not refused: %s", refused[i]);
}

static void responses(void **state)
{
	struct http_response p;

	assert_int_equal(resp("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nETag: \"e\"\r\nLast-Modified: now\r\n\r\n", &p), 0);
	assert_true(p.status == 200 && p.has_length && p.length == 12 && streq(p.etag, "\"e\"") && !p.close);
	assert_int_equal(resp("HTTP/1.1 206 x\r\nContent-Range: bytes 5-9/10\r\n\r\n", &p), 0);
	assert_true(p.first == 5 && p.last == 9 && p.total == 10);
	assert_int_equal(resp("HTTP/1.1 206 x\r\nContent-Range: bytes 5-9/*\r\n\r\n", &p), 0);
	assert_true(p.total == 0);
	assert_int_equal(resp("HTTP/1.0 416\r\nContent-Range: bytes */10\r\n\r\n", &p), 0);
	assert_true(p.close && !p.has_range);
	/* a value with odd bytes is not passed on */
	assert_int_equal(resp("HTTP/1.1 302 Found\r\nLocation: http://a/\xff\r\n\r\n", &p), 0);
	assert_string_equal(p.location, "");
}

static void bad_responses(void **state)
{
	static const char *const bad[] = {
		"HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 99 x\r\n\r\n", "HTTP/1.1 2000 x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 206 x\r\n\r\n", "HTTP/1.1 206 x\r\nContent-Range: bytes 9-5/10\r\n\r\n",
		"HTTP/1.1 206 x\r\nContent-Range: bytes 5-9/9\r\n\r\n", "HTTP/1.1 200 OK\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "",
	};
	struct http_response p;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (resp(bad[i], &p) != -EBADMSG)
			fail_msg("not malformed: %s", bad[i]);
}

static void many_fields(void **state)
{
	_cleanup_wr_ struct wr w = wr_grow(HTTP_HEAD_MAX);
	struct http_request q;

	wr_str(&w, "GET http://a/ HTTP/1.1\r\n");
	for (unsigned i = 0; i <= HTTP_FIELDS_MAX; i++)
		wr_printf(&w, "X-%u: y\r\n", i);
	wr_str(&w, "\r\n");
	assert_int_equal(http_request_parse(rd_mem(w.buf, w.len), &q, NULL), -EBADMSG);
}

static void chunks(void **state)
{
	uint64_t n;

	assert_int_equal(http_chunk_line(rd_mem("1aF", 3), &n), 0);
	assert_int_equal(n, 0x1af);
	assert_int_equal(http_chunk_line(rd_mem("", 0), &n), -EBADMSG);
	assert_int_equal(http_chunk_line(rd_mem("5;x=y", 5), &n), -EBADMSG);
	assert_int_equal(http_chunk_line(rd_mem("1234567890abcdef", 16), &n), -EBADMSG);
	assert_int_equal(http_chunk_line(rd_mem("-1", 2), &n), -EBADMSG);
}

/* What is written to a server names the wanted part and nothing else of the caller. */
static void writes(void **state)
{
	struct http_request q;
	char buf[1024];
	struct wr w = wr_mem(buf, sizeof buf);

	assert_int_equal(req("GET http://a:81/x HTTP/1.1\r\nRange: bytes=5-\r\nX-Secret: s\r\nUser-Agent: u\r\nProxy-Authorization: p\r\n\r\n", &q), 0);
	http_request_write(&w, &q, false);
	wr_u8(&w, 0);
	assert_true(wr_ok(&w));
	assert_string_equal(buf, "GET /x HTTP/1.1\r\nHost: a:81\r\nConnection: close\r\nUser-Agent: bulkhead-updates-proxy\r\nRange: bytes=5-\r\n\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head_length), cmocka_unit_test(requests), cmocka_unit_test(bad_requests), cmocka_unit_test(responses),
		cmocka_unit_test(bad_responses), cmocka_unit_test(many_fields), cmocka_unit_test(chunks), cmocka_unit_test(writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
