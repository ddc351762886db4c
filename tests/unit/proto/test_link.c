/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames of the link: bytes as docs/protocol/link.md gives them, header rules, search for a handshake in noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/link.h"

static void test_open_bytes(void **state)
{
	static const uint8_t want[] = { 0x10, 0, 12, 0, 5, 0, 0, 0, 7, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 4, 0 };
	struct link_open o = { .peer = 7, .port = 513, .window = 256 << 10 }, back;
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	struct link_hdr h;

	link_put_open(&w, 5, &o);
	assert_true(wr_ok(&w));
	assert_int_equal(w.len, sizeof want);
	assert_memory_equal(buf, want, sizeof want);
	assert_int_equal(link_get_hdr(buf, LINK_FROM_GUEST, &h), 0);
	assert_int_equal(h.type, LINK_OPEN);
	assert_int_equal(h.chan, 5);
	assert_int_equal(h.len, 12);
	assert_int_equal(link_get_open(buf + LINK_HDR_LEN, h.len, &back), 0);
	assert_int_equal(back.port, 513);
	assert_int_equal(link_get_open(buf + LINK_HDR_LEN, h.len - 1u, &back), -EBADMSG);
	assert_int_equal(link_get_open(buf + LINK_HDR_LEN, h.len + 1u, &back), -EBADMSG);
}

static void test_header_rules(void **state)
{
	static const struct {
		uint8_t b[LINK_HDR_LEN];
		unsigned from;
		int want;
	} rows[] = {
		{ { 0x13, 0, 1, 0, 1, 0, 0, 0 }, LINK_FROM_GUEST, 0 },
		{ { 0x13, 0, 0xf8, 0x7f, 1, 0, 0, 0 }, LINK_FROM_HOST, 0 },	       /* DATA of the largest size */
		{ { 0x13, 0, 0xf9, 0x7f, 1, 0, 0, 0 }, LINK_FROM_HOST, -EBADMSG },     /* one more */
		{ { 0x13, 0, 0, 0, 1, 0, 0, 0 }, LINK_FROM_GUEST, -EBADMSG },	       /* empty DATA */
		{ { 0x13, 0, 1, 0, 0, 0, 0, 0 }, LINK_FROM_GUEST, -EBADMSG },	       /* no channel */
		{ { 0x13, 1, 1, 0, 1, 0, 0, 0 }, LINK_FROM_GUEST, -EBADMSG },	       /* reserved byte */
		{ { 0x15, 0, 0, 0, 1, 0, 0, 0 }, LINK_FROM_GUEST, 0 },
		{ { 0x15, 0, 1, 0, 1, 0, 0, 0 }, LINK_FROM_GUEST, -EBADMSG },	       /* EOF with a payload */
		{ { 0x03, 0, 64, 0, 0, 0, 0, 0 }, LINK_FROM_HOST, 0 },
		{ { 0x03, 0, 64, 0, 0, 0, 0, 0 }, LINK_FROM_GUEST, -EBADMSG },	       /* SEED from a guest */
		{ { 0x03, 0, 64, 0, 1, 0, 0, 0 }, LINK_FROM_HOST, -EBADMSG },	       /* SEED on a channel */
		{ { 0xb1, 0, 36, 0, 0, 0, 0, 0 }, LINK_FROM_HOST, -EBADMSG },	       /* HELLO from the host */
		{ { 0x17, 0, 0, 0, 1, 0, 0, 0 }, LINK_FROM_HOST, -EBADMSG },	       /* unknown */
		{ { 0, 0, 0, 0, 0, 0, 0, 0 }, LINK_FROM_GUEST, -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct link_hdr h;

		assert_int_equal(link_get_hdr(rows[i].b, rows[i].from, &h), rows[i].want);
	}
}

static size_t hello(uint8_t *buf, size_t cap)
{
	struct link_hello h = { .version = 1 };
	struct wr w = wr_mem(buf, cap);

	memcpy(h.magic, link_magic, sizeof h.magic);
	memset(h.guest_nonce, 0xb1, sizeof h.guest_nonce);
	link_put_hello(&w, 0, &h);
	assert_true(wr_ok(&w));
	return w.len;
}

/* Noise in front that ends in each possible part of the frame's beginning, cut into each size of piece. */
static void test_scan(void **state)
{
	uint8_t frame[64], buf[256];
	size_t len = hello(frame, sizeof frame);

	assert_int_equal(len, 44);
	for (size_t part = 0; part < LINK_HDR_LEN + LINK_MAGIC_LEN; part++) {
		for (size_t piece = 1; piece < 50; piece++) {
			struct link_scan s = { 0 };
			bool found = false;
			size_t n = 0, used = 0;

			buf[n++] = 0x55;
			memcpy(buf + n, frame, part);
			n += part;
			memcpy(buf + n, frame, len);
			n += len;
			while (used < n && !found)
				used += link_scan_feed(&s, LINK_HELLO, buf + used, MIN(piece, n - used), &found);
			assert_true(found);
			assert_int_equal(used, n);
			assert_memory_equal(s.buf, frame, len);
		}
	}
}

static void test_scan_only_noise(void **state)
{
	uint8_t buf[4096];
	struct link_scan s = { 0 };
	bool found;

	memset(buf, 0xb1, sizeof buf);
	assert_int_equal(link_scan_feed(&s, LINK_HELLO, buf, sizeof buf, &found), sizeof buf);
	assert_false(found);
	memset(buf, 0, sizeof buf);
	assert_int_equal(link_scan_feed(&s, LINK_HELLO, buf, sizeof buf, &found), sizeof buf);
	assert_false(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_bytes),
		cmocka_unit_test(test_header_rules),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_scan_only_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
