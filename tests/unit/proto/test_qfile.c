/* SPDX-License-Identifier: GPL-3.0-or-later */
/* File copy stream: checksum against a bitwise model, header codec, name and link rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "proto/crc32.h"
#include "proto/qfile.h"

static uint32_t model(uint32_t crc, const uint8_t *p, size_t n)
{
	crc = ~crc;
	while (n--) {
		crc ^= *p++;
		for (int k = 0; k < 8; k++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
	}
	return ~crc;
}

static void check_method(enum crc32_method m, const uint8_t *buf, size_t size)
{
	for (size_t n = 0; n < 700; n++)
		for (size_t off = 0; off < 17; off += 4)
			assert_int_equal(crc32_update_by(m, 0, buf + off, n), model(0, buf + off, n));
	/* In pieces of every size, also across the limit between the methods. */
	for (size_t piece = 1; piece < 600; piece += 7) {
		uint32_t crc = 0;

		for (size_t at = 0; at < size; at += piece)
			crc = crc32_update_by(m, crc, buf + at, MIN(piece, size - at));
		assert_int_equal(crc, model(0, buf, size));
	}
}

static void test_crc(void **state)
{
	static uint8_t buf[5000];
	uint32_t x = 12345;
	int methods = 0;

	for (size_t i = 0; i < sizeof buf; i++) {
		x = x * 1664525 + 1013904223;
		buf[i] = (uint8_t)(x >> 24);
	}
	for (enum crc32_method m = CRC32_TABLES; m < CRC32_METHOD_N; m++) {
		if (!crc32_can(m))
			continue;
		methods++;
		check_method(m, buf, sizeof buf);
	}
	print_message("%d of %d methods on this processor\n", methods, (int)CRC32_METHOD_N);
	assert_true(crc32_can(CRC32_TABLES));
	assert_int_equal(crc32_update(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(crc32_update(0, buf, sizeof buf), model(0, buf, sizeof buf));
}

static void test_header(void **state)
{
	static const uint8_t wire[32] = { 4, 0, 0, 0, 0xa4, 0x81, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1,
					  1, 0, 0, 0, 2,    0,	  0, 0, 3, 0, 0, 0, 4, 0, 0, 0 };
	struct qfile_hdr h = { 4, S_IFREG | 0644, 0x0102030405060708, 1, 2, 3, 4 }, got;
	uint8_t buf[32];
	struct wr w = wr_mem(buf, sizeof buf);
	struct rd r;

	qfile_put_hdr(&w, &h);
	assert_true(wr_ok(&w));
	assert_memory_equal(buf, wire, 32);
	r = rd_mem(wire, 32);
	assert_int_equal(qfile_get_hdr(&r, &got), 0);
	assert_memory_equal(&got, &h, sizeof h);
	assert_false(qfile_hdr_is_end(&got));
	r = rd_mem(wire, 31);
	assert_int_equal(qfile_get_hdr(&r, &got), -EBADMSG);
	memset(&h, 0, sizeof h);
	assert_true(qfile_hdr_is_end(&h));
	h.mtime_nsec = 1;
	assert_false(qfile_hdr_is_end(&h));
}

static void test_header_rules(void **state)
{
	static const struct {
		struct qfile_hdr h;
		int want;
	} rows[] = {
		{ { 2, S_IFREG | 0644, 0, 0, 0, 0, 0 }, 0 },
		{ { 0, S_IFREG | 0644, 0, 0, 0, 0, 0 }, EILSEQ },
		{ { QFILE_PATH_MAX + 1, S_IFREG, 0, 0, 0, 0, 0 }, 0 },
		{ { QFILE_PATH_MAX + 2, S_IFREG, 0, 0, 0, 0, 0 }, ENAMETOOLONG },
		{ { 0xffffffff, S_IFREG, 0, 0, 0, 0, 0 }, ENAMETOOLONG },
		{ { 2, S_IFREG, INT64_MAX, 0, 0, 0, 0 }, 0 },
		{ { 2, S_IFREG, 1ull << 63, 0, 0, 0, 0 }, EDQUOT },
		{ { 2, S_IFREG, UINT64_MAX, 0, 0, 0, 0 }, EDQUOT },
		{ { 2, S_IFREG, 0, 0, 999999999, 0, 999999999 }, 0 },
		{ { 2, S_IFREG, 0, 0, 1000000000, 0, 0 }, EPERM },
		{ { 2, S_IFREG, 0, 0, 0, 0, 1000000000 }, EPERM },
		{ { 2, S_IFLNK, QFILE_PATH_MAX, 0, 0, 0, 0 }, 0 },
		{ { 2, S_IFLNK, QFILE_PATH_MAX + 1, 0, 0, 0, 0 }, ENAMETOOLONG },
		{ { 2, S_IFDIR, 0, 0, 0, 0, 0 }, 0 },
		{ { 2, S_IFCHR, 0, 0, 0, 0, 0 }, EINVAL },
		{ { 2, S_IFBLK, 0, 0, 0, 0, 0 }, EINVAL },
		{ { 2, S_IFIFO, 0, 0, 0, 0, 0 }, EINVAL },
		{ { 2, S_IFSOCK, 0, 0, 0, 0, 0 }, EINVAL },
		{ { 2, 0644, 0, 0, 0, 0, 0 }, EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(qfile_hdr_check(&rows[i].h), rows[i].want);
}

static void test_result(void **state)
{
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	struct qfile_result res = { 17, 0xdeadbeef }, got;
	struct rd r;

	qfile_put_result(&w, &res, "a/b");
	assert_int_equal(w.len, QFILE_RESULT_LEN + 4 + 3);
	r = rd_mem(buf, w.len);
	assert_int_equal(qfile_get_result(&r, &got), 0);
	assert_int_equal(got.error, 17);
	assert_int_equal(got.crc, 0xdeadbeef);
	assert_int_equal(rd_u32le(&r), 3);
	assert_true(rd_eq(&r, "a/b"));
}

static int name(const char *s, unsigned flags)
{
	return qfile_name_check(s, strlen(s) + 1, flags);
}

static void test_name_structure(void **state)
{
	static const char *const bad[] = { "", "/", "/a", "a/", ".", "..", "a/.", "a/..", "./a", "../a", "a//b", "a/./b", "a/../b", "//" };
	static const char *const good[] = { "a", "a/b", "...", ".a", "a.", "a..b/c", " ", "-rf", "a b/c d" };
	char big[QFILE_PATH_MAX + 2];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(name(bad[i], 0), EILSEQ);
		assert_int_equal(name(bad[i], QFILE_ALL_NAMES), EILSEQ);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(name(good[i], 0), 0);
	assert_int_equal(qfile_name_check("ab", 2, 0), 0);
	assert_int_equal(qfile_name_check("a\0b", 3, QFILE_ALL_NAMES), EILSEQ);
	assert_int_equal(qfile_name_check("a\0\0", 3, QFILE_ALL_NAMES), EILSEQ);
	assert_int_equal(qfile_name_check("\0", 1, QFILE_ALL_NAMES), EILSEQ);
	memset(big, 'a', sizeof big);
	big[QFILE_PATH_MAX] = '\0';
	assert_int_equal(qfile_name_check(big, QFILE_PATH_MAX + 1, 0), 0);
	big[QFILE_PATH_MAX] = 'a';
	assert_int_equal(qfile_name_check(big, QFILE_PATH_MAX + 1, 0), ENAMETOOLONG);
}

static void test_every_byte(void **state)
{
	for (int c = 1; c < 256; c++) {
		char s[4] = { 'x', (char)c, 'y', 0 };

		assert_int_equal(name(s, 0), c >= 0x20 && c <= 0x7e ? 0 : EILSEQ);
		assert_int_equal(name(s, QFILE_ALL_NAMES), 0);
	}
}

static void test_unicode(void **state)
{
	static const char *const good[] = { "\xc3\xa4", "\xce\xb1\xd0\xb6", "\xe6\xbc\xa2\xe5\xad\x97", "\xe3\x81\x8b\xe3\x82\xab", "\xed\x95\x9c",
					    "e\xcc\x81", "\xe2\x82\xac", "\xf0\xa0\x80\x80", "\xe2\xa0\x81" };
	static const struct {
		const char *s, *why;
	} bad[] = {
		{ "\xd7\x90", "Hebrew" },
		{ "\xd8\xa7", "Arabic" },
		{ "\xe2\x80\xae", "right-to-left override" },
		{ "\xe2\x81\xa6", "isolate" },
		{ "\xe2\x80\x8b", "zero width space" },
		{ "\xc2\xa0", "no-break space" },
		{ "\xc2\x85", "C1 control" },
		{ "\xe3\x85\xa4", "Hangul filler" },
		{ "\xef\xbb\xbf", "byte order mark" },
		{ "\xee\x80\x80", "private use" },
		{ "\xef\xbf\xbe", "not a character" },
		{ "\xe1\xb8", "short sequence" },
		{ "\xc0\xaf", "overlong" },
		{ "\xe0\x80\xaf", "overlong" },
		{ "\xf0\x80\x80\xaf", "overlong" },
		{ "\xed\xa0\x80", "surrogate" },
		{ "\xf4\x90\x80\x80", "beyond the last code point" },
		{ "\xf5\x80\x80\x80", "no such lead byte" },
		{ "\x80", "tail without lead" },
		{ "\xe0\xa8\x81", "Gurmukhi is no listed script" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(name(good[i], 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (name(bad[i].s, 0) != EILSEQ)
			fail_msg("%s was accepted", bad[i].why);
}

static void test_links(void **state)
{
	static const struct {
		const char *name, *target;
		unsigned flags;
		int want;
	} rows[] = {
		{ "a", "b", 0, ENOLINK },
		{ "a", "b", QFILE_UNSAFE_LINKS, 0 },
		{ "d/a", "b", 0, 0 },
		{ "d/a", "./b//c/", 0, 0 },
		{ "d/a", ".", 0, 0 },
		{ "d/a", "/etc/passwd", 0, ENOLINK },
		{ "d/a", "/etc/passwd", QFILE_UNSAFE_LINKS, 0 },
		{ "d/a", "..", 0, ENOLINK },
		{ "d/e/a", "..", 0, 0 },
		{ "d/e/a", "../x", 0, 0 },
		{ "d/e/a", "../..", 0, ENOLINK },
		{ "d/e/f/a", "../../x", 0, 0 },
		{ "d/e/f/a", ".././../x", 0, 0 },
		{ "d/e/f/a", "x/..", 0, ENOLINK },
		{ "d/e/f/a", "../x/../y", 0, ENOLINK },
		{ "d/a", "", 0, ENOLINK },
		{ "d/a", "\x1b[0m", 0, EILSEQ },
		{ "d/a", "\x1b[0m", QFILE_ALL_NAMES, 0 },
		{ "d/a", "\x1b[0m", QFILE_UNSAFE_LINKS, EILSEQ },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (qfile_link_check(rows[i].name, rows[i].target, strlen(rows[i].target), rows[i].flags) != rows[i].want)
			fail_msg("row %zu: %s -> %s", i, rows[i].name, rows[i].target);
	assert_int_equal(qfile_link_check("d/a", "b\0c", 3, 0), ENOLINK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc),	       cmocka_unit_test(test_header),
		cmocka_unit_test(test_header_rules),   cmocka_unit_test(test_result),
		cmocka_unit_test(test_name_structure), cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_unicode),	       cmocka_unit_test(test_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
