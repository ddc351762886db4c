/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pictures: what is taken from a qube, made smaller, tinted, and written as PNG. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/crc32.h"
#include "proto/image.h"

static int parse(const char *head, size_t pixels, struct image *im)
{
	_cleanup_wr_ struct wr w = wr_grow(IMAGE_ANSWER_MAX + 64);

	wr_cstr(&w, head);
	w.len--; /* without its NUL */
	for (size_t i = 0; i < pixels; i++)
		wr_u8(&w, (uint8_t)i);
	return image_parse(rd_mem(w.buf, w.len), im);
}

static void answers(void **state)
{
	static const char *const bad[] = { "", "2", "2 ", "2 2", " 2 2\n", "2  2\n", "-2 2\n", "+2 2\n", "2 2 \n", "0 2\n", "2 0\n", "02000002 2\n", "1025 1\n", "2x2\n" };
	struct image im;

	assert_int_equal(parse("2 3\n", 24, &im), 0);
	assert_int_equal(im.w, 2);
	assert_int_equal(im.h, 3);
	assert_int_equal(parse("2 3\n", 23, &im), -EBADMSG);
	assert_int_equal(parse("2 3\n", 25, &im), -EBADMSG);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i], 16, &im), -EBADMSG);
}

static void smaller(void **state)
{
	static const uint8_t four[] = { 100, 0, 0, 255, 200, 0, 0, 255, 100, 0, 9, 255, 7, 7, 7, 0, 1, 2, 3, 4, 1, 2, 3, 4 };
	struct image im = { .w = 2, .h = 3, .pixels = rd_mem(four, sizeof four) };
	_cleanup_wr_ struct wr w = wr_grow(256), text = wr_grow(256);
	uint32_t width, height;

	image_small(&w, &im, 3, &width, &height);
	assert_int_equal(width * 10 + height, 23);
	assert_memory_equal(w.buf, four, 12);
	assert_memory_equal(w.buf + 12, "\0\0\0\0", 4); /* what cannot be seen has no colour */
	assert_memory_equal(w.buf + 16, four + 16, 8);
	wr_reset(&w);
	image_small(&w, &im, 2, &width, &height);
	assert_int_equal(width * 10 + height, 12);
	assert_int_equal(w.len, 8);
	assert_memory_equal(w.buf, "\x85\0\3\xbf\1\2\3\4", 8);
	image_put(&text, &im, 2);
	assert_memory_equal(text.buf, "1 2\n\x85\0\3\xbf\1\2\3\4", 12);
	assert_int_equal(image_parse(rd_mem(text.buf, text.len), &im), 0);
}

static void test_tint(void **state)
{
	static const uint32_t labels[] = { 0xcc0000, 0xf57900, 0xedd400, 0x73d216, 0x555555, 0x3465a4, 0x75507b, 0x000000, 0xffffff };
	uint32_t seed = 1;

	/* The label's own colour stays as it is, black and white and the opacity too; grey labels make grey. */
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		assert_int_equal(image_tint(0x12000000 | labels[i], labels[i]), 0x12000000 | labels[i]);
		assert_int_equal(image_tint(0xff000000, labels[i]), 0xff000000);
		assert_int_equal(image_tint(0x00ffffff, labels[i]), 0x00ffffff);
	}
	for (unsigned i = 0; i < 10000; i++) {
		uint32_t v, t;

		seed = seed * 1664525 + 1013904223;
		v = seed;
		t = image_tint(v, 0x555555);
		assert_true((t & 255) == (t >> 8 & 255) && (t & 255) == (t >> 16 & 255) && t >> 24 == v >> 24);
		t = image_tint(v, 0xcc0000);
		assert_true((t & 255) == (t >> 8 & 255) && (t >> 16 & 255) >= (t & 255));
	}
}

/* One chunk: its data, after the checks that every reader makes. */
static struct rd chunk(struct rd *r, const char *type)
{
	uint32_t n = rd_u32be(r), crc;
	struct rd body = rd_sub(r, (size_t)n + 4), data;

	assert_true(rd_ok(r) && rd_left(&body) >= 4);
	crc = crc32_update(0, body.p, rd_left(&body));
	assert_memory_equal(body.p, type, 4);
	rd_skip(&body, 4);
	data = body;
	assert_int_equal(rd_u32be(r), crc);
	return data;
}

static void png(void **state)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 20), px = wr_grow(1 << 20);
	struct image im = { .w = 150, .h = 150 };
	struct rd r, head, data;
	size_t rows = 0;
	bool last = false;

	for (uint32_t i = 0; i < im.w * im.h; i++)
		wr_u32le(&px, i * 2654435761u);
	im.pixels = rd_mem(px.buf, px.len);
	image_png(&w, &im, 0xcc0000);
	assert_true(wr_ok(&w));
	r = rd_mem(w.buf, w.len);
	rd_skip(&r, 8);
	head = chunk(&r, "IHDR");
	assert_int_equal(rd_u32be(&head), 150);
	assert_int_equal(rd_u32be(&head), 150);
	assert_int_equal(rd_u8(&head), 8);
	assert_int_equal(rd_u8(&head), 6);
	data = chunk(&r, "IDAT");
	assert_int_equal((rd_u8(&data) * 256u + 1) % 31, 0); /* 0x78 0x01 */
	rd_skip(&data, 1);
	while (!last) {
		uint16_t n;

		last = rd_u8(&data);
		n = rd_u16le(&data);
		assert_int_equal((uint16_t)~n, rd_u16le(&data));
		rd_skip(&data, n);
		rows += n;
	}
	assert_int_equal(rows, 150 * 601);
	assert_int_equal(rd_left(&data), 4);
	(void)chunk(&r, "IEND");
	assert_int_equal(rd_left(&r), 0);
	wr_reset(&w);
	image_tile(&w, 48, 0x73d216);
	assert_true(wr_ok(&w) && w.len > 48 * 48 * 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(smaller),
		cmocka_unit_test(test_tint),
		cmocka_unit_test(png),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
