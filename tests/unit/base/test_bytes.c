/* SPDX-License-Identifier: GPL-3.0-or-later */
/* err, rd, wr, str: the helpers that every decoder stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/rd.h"
#include "base/str.h"
#include "base/wr.h"

static void test_err_texts(void **state)
{
	struct err e = { 0 };
	char big[1000];

	assert_int_equal(err_set(&e, EINVAL, "bad %s", "thing"), -EINVAL);
	assert_string_equal(e.msg, "bad thing");
	assert_int_equal(e.code, EINVAL);
	assert_int_equal(err_add(&e, -EINVAL, "starting '%s'", "work"), -EINVAL);
	assert_string_equal(e.msg, "starting 'work': bad thing");
	assert_int_equal(err_errno(&e, ENOENT, "opening"), -ENOENT);
	assert_string_equal(e.msg, "opening: No such file or directory");
	err_clear(&e);
	assert_int_equal(e.code, 0);
	assert_string_equal(err_text(&e, -EPERM), strerror(EPERM));
	assert_int_equal(err_add(&e, -EPERM, "doing"), -EPERM);
	assert_string_equal(e.msg, "doing: Operation not permitted");
	/* An error may be told in other words that have the old ones in them. */
	assert_int_equal(err_set(&e, EINVAL, "not so: %s", e.msg), -EINVAL);
	assert_string_equal(e.msg, "not so: doing: Operation not permitted");
	assert_int_equal(err_set(&e, EIO, "%s", err_text(&e, -EINVAL)), -EIO);
	assert_string_equal(e.msg, "not so: doing: Operation not permitted");
	/* Too long texts are cut, never overflow. */
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	assert_int_equal(err_set(&e, EIO, "%s", big), -EIO);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	assert_int_equal(err_errno(&e, EIO, "%s", big), -EIO);
	assert_int_equal(err_add(&e, -EIO, "%s", big), -EIO);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
}

static void test_err_without_place(void **state)
{
	assert_int_equal(err_set(NULL, EINVAL, "x"), -EINVAL);
	assert_int_equal(err_errno(NULL, EINVAL, "x"), -EINVAL);
	assert_int_equal(err_add(NULL, -7, "x"), -7);
	assert_string_equal(err_text(NULL, -ENOENT), strerror(ENOENT));
	err_clear(NULL);
}

static void test_rd_numbers(void **state)
{
	static const uint8_t b[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct rd r = rd_mem(b, sizeof b);

	assert_int_equal(rd_u8(&r), 1);
	assert_int_equal(rd_u16le(&r), 0x0302);
	assert_int_equal(rd_u32le(&r), 0x07060504);
	assert_true(rd_u64le(&r) == 0x0f0e0d0c0b0a0908);
	assert_true(rd_done(&r));
	r = rd_mem(b, sizeof b);
	assert_int_equal(rd_u32be(&r), 0x01020304);
	assert_true(rd_u64be(&r) == 0x05060708090a0b0c);
	assert_int_equal(rd_left(&r), 3);
	assert_false(rd_done(&r));
}

static void test_rd_is_sticky(void **state)
{
	static const uint8_t b[] = { 1, 2, 3 };
	struct rd r = rd_mem(b, sizeof b);
	uint8_t out[2] = { 9, 9 };

	assert_int_equal(rd_u32le(&r), 0);
	assert_false(rd_ok(&r));
	assert_int_equal(rd_left(&r), 0);
	/* There are bytes left, but nothing is given any more. */
	assert_int_equal(rd_u8(&r), 0);
	rd_bytes(&r, out, 2);
	assert_int_equal(out[0] | out[1], 0);
	assert_null(rd_view(&r, 0));
	assert_false(rd_done(&r));
	r = rd_mem(NULL, 0);
	assert_true(rd_done(&r));
	r = rd_mem(NULL, 5);
	assert_false(rd_ok(&r));
	r = rd_mem(b, 3);
	assert_non_null(rd_view(&r, 0));
	rd_skip(&r, SIZE_MAX);
	assert_false(rd_ok(&r));
}

static void test_rd_sub(void **state)
{
	static const uint8_t b[] = { 1, 2, 3, 4 };
	struct rd r = rd_mem(b, 4), s = rd_sub(&r, 3);

	assert_int_equal(rd_left(&s), 3);
	assert_int_equal(rd_left(&r), 1);
	assert_int_equal(rd_u32le(&s), 0);
	assert_true(rd_ok(&r));
	s = rd_sub(&r, 2);
	assert_false(rd_ok(&s));
	assert_false(rd_ok(&r));
}

static void test_rd_fixed(void **state)
{
	char out[8];
	struct rd r = rd_mem("abc\0\0\0", 6);

	rd_fixed(&r, out, sizeof out, 6);
	assert_true(rd_done(&r));
	assert_string_equal(out, "abc");
	r = rd_mem("abcdef", 6); /* no NUL */
	rd_fixed(&r, out, sizeof out, 6);
	assert_false(rd_ok(&r));
	assert_string_equal(out, "");
	r = rd_mem("abc\0x\0", 6); /* something behind the NUL */
	rd_fixed(&r, out, sizeof out, 6);
	assert_false(rd_ok(&r));
	r = rd_mem("abc\0\0\0", 6); /* no room */
	rd_fixed(&r, out, 3, 6);
	assert_false(rd_ok(&r));
	r = rd_mem("ab", 2); /* short */
	rd_fixed(&r, out, sizeof out, 6);
	assert_false(rd_ok(&r));
}

static void test_rd_texts(void **state)
{
	char out[4], *dup;
	struct rd r = rd_mem("\3\0abc\1\0x", 8), line;

	rd_lstr(&r, out, sizeof out);
	assert_string_equal(out, "abc");
	rd_lstr(&r, out, sizeof out);
	assert_string_equal(out, "x");
	assert_true(rd_done(&r));
	r = rd_mem("\4\0abcd", 6);
	rd_lstr(&r, out, sizeof out);
	assert_false(rd_ok(&r));
	r = rd_mem("\2\0a\0", 4);
	rd_lstr(&r, out, sizeof out);
	assert_false(rd_ok(&r));
	r = rd_mem("\5\0a", 3);
	rd_lstr(&r, out, sizeof out);
	assert_false(rd_ok(&r));

	r = rd_mem("one\n\ntwo", 8);
	assert_true(rd_line(&r, &line) && rd_eq(&line, "one"));
	assert_true(rd_line(&r, &line) && rd_eq(&line, ""));
	assert_true(rd_line(&r, &line) && rd_eq(&line, "two"));
	assert_false(rd_line(&r, &line));

	r = rd_mem("a:b", 3);
	line = rd_until(&r, ':');
	assert_true(rd_eq(&line, "a") && rd_eq(&r, "b"));
	line = rd_until(&r, ':');
	assert_false(rd_ok(&line) || rd_ok(&r));

	r = rd_mem("abc", 3);
	rd_text(&r, out, sizeof out);
	assert_true(rd_done(&r));
	r = rd_mem("abcd", 4);
	rd_text(&r, out, sizeof out);
	assert_false(rd_ok(&r));

	r = rd_mem("abc", 3);
	dup = rd_dup(&r, 3);
	assert_string_equal(dup, "abc");
	free(dup);
	r = rd_mem("abc", 3);
	assert_null(rd_dup(&r, 2));
	r = rd_mem("a\0c", 3);
	assert_null(rd_dup(&r, 10));
}

static void test_wr_numbers(void **state)
{
	static const uint8_t want[] = { 1, 3, 2, 7, 6, 5, 4, 8, 7, 6, 5, 4, 3, 2, 1, 0xa, 0xb, 0xc, 0xd, 0, 0, 0, 0, 0, 0, 0, 1 };
	uint8_t b[sizeof want];
	struct wr w = wr_mem(b, sizeof b);

	wr_u8(&w, 1);
	wr_u16le(&w, 0x0203);
	wr_u32le(&w, 0x04050607);
	wr_u64le(&w, 0x0102030405060708);
	wr_u32be(&w, 0x0a0b0c0d);
	wr_u64be(&w, 1);
	assert_true(wr_ok(&w));
	assert_int_equal(w.len, sizeof want);
	assert_memory_equal(b, want, sizeof want);
	wr_u8(&w, 0);
	assert_false(wr_ok(&w));
	/* A poisoned writer takes nothing more. */
	assert_int_equal(w.len, sizeof want);
}

static void test_wr_texts(void **state)
{
	char b[32];
	struct wr w;

	memset(b, 0x55, sizeof b);
	w = wr_mem(b, sizeof b);
	wr_fixed(&w, "abc", 6);
	wr_lstr(&w, "xy");
	wr_cstr(&w, "z");
	wr_str(&w, "!");
	wr_zero(&w, 2);
	assert_true(wr_ok(&w));
	assert_memory_equal(b, "abc\0\0\0\2\0xyz\0!\0\0", 15);
	w = wr_mem(b, sizeof b);
	wr_fixed(&w, "abc", 3);
	assert_false(wr_ok(&w));
}

static void test_wr_grow(void **state)
{
	struct wr w = wr_grow(1000);
	size_t n;
	char *s;

	for (int i = 0; i < 100; i++)
		wr_str(&w, "0123456789");
	assert_true(wr_ok(&w));
	wr_u8(&w, 0);
	assert_false(wr_ok(&w));
	assert_null(wr_take(&w, &n));
	wr_reset(&w);
	wr_printf(&w, "%s-%d", "x", 7);
	wr_printf(&w, "%0600d", 1); /* longer than the small buffer inside */
	assert_true(wr_ok(&w));
	assert_int_equal(w.len, 603);
	wr_consume(&w, 3);
	assert_int_equal(w.len, 600);
	s = wr_take(&w, &n);
	assert_int_equal(n, 600);
	assert_int_equal(strlen(s), 600);
	assert_int_equal(s[599], '1');
	free(s);
	assert_int_equal(w.len, 0);
	wr_str(&w, "again");
	wr_consume(&w, 99);
	assert_int_equal(w.len, 0);
	wr_free(&w);
}

static void test_str_copies(void **state)
{
	char out[4];

	assert_int_equal(str_copy(out, sizeof out, "abc"), 0);
	assert_string_equal(out, "abc");
	assert_int_equal(str_copy(out, sizeof out, "abcd"), -ENAMETOOLONG);
	assert_string_equal(out, "");
	assert_int_equal(str_printf(out, sizeof out, "%d", 123), 0);
	assert_int_equal(str_printf(out, sizeof out, "%d", 1234), -ENAMETOOLONG);
	assert_string_equal(out, "");
	assert_true(str_starts("abc", "ab") && !str_starts("a", "ab") && str_ends("abc", "bc") && !str_ends("c", "bc"));
}

static void test_str_numbers(void **state)
{
	static const char *const bad[] = { "", " 1", "1 ", "+1", "-1", "01", "0x1", "1a", "1.0" };
	uint64_t v = 7;
	int64_t s;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(str_u64(bad[i], UINT64_MAX, &v), -EINVAL);
	assert_int_equal(v, 7);
	assert_int_equal(str_u64("0", 0, &v), 0);
	assert_int_equal(str_u64("18446744073709551615", UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(str_u64("18446744073709551616", UINT64_MAX, &v), -ERANGE);
	assert_int_equal(str_u64("11", 10, &v), -ERANGE);
	assert_int_equal(str_i64("-5", -5, 5, &s), 0);
	assert_int_equal(s, -5);
	assert_int_equal(str_i64("-6", -5, 5, &s), -ERANGE);
	assert_int_equal(str_i64("--5", -5, 5, &s), -EINVAL);
	assert_int_equal(str_i64("9223372036854775808", INT64_MIN, INT64_MAX, &s), -ERANGE);
}

static void test_str_words(void **state)
{
	uint64_t n;
	bool b = false;

	assert_true(str_bool("Yes", &b) == 0 && b);
	assert_true(str_bool("OFF", &b) == 0 && !b);
	assert_int_equal(str_bool("2", &b), -EINVAL);
	assert_true(str_size("10", &n) == 0 && n == 10);
	assert_true(str_size("10GiB", &n) == 0 && n == 10ull << 30);
	assert_true(str_size("3m", &n) == 0 && n == 3 << 20);
	assert_int_equal(str_size("10X", &n), -EINVAL);
	assert_int_equal(str_size("G", &n), -EINVAL);
	assert_int_equal(str_size("18446744073709551615K", &n), -ERANGE);
	assert_true(str_chars("aZ09_-", "_-") && str_chars("", "") && !str_chars("a.b", "_-") && !str_chars("\xc3\xa4", ""));
}

static void test_str_escape(void **state)
{
	char out[40], small[12];

	assert_string_equal(str_escape(out, sizeof out, "a\n\x1b\\\xff~", 6), "a\\x0a\\x1b\\x5c\\xff~");
	assert_string_equal(str_escape(out, sizeof out, "a\0b", 3), "a\\x00b");
	(void)str_escape(small, sizeof small, "\n\n\n\n\n\n\n\n", 8);
	assert_true(strlen(small) < sizeof small && str_ends(small, "..."));
	for (size_t cap = 1; cap < sizeof out; cap++) {
		char *exact = malloc(cap); /* the sanitizer sees a byte too many */

		(void)str_escape(exact, cap, "abcdefghijklmnopqrstuvwxyz\n\n\n\n", 30);
		assert_true(strlen(exact) < cap);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_err_texts),   cmocka_unit_test(test_err_without_place), cmocka_unit_test(test_rd_numbers),
		cmocka_unit_test(test_rd_is_sticky), cmocka_unit_test(test_rd_sub),	      cmocka_unit_test(test_rd_fixed),
		cmocka_unit_test(test_rd_texts),    cmocka_unit_test(test_wr_numbers),	      cmocka_unit_test(test_wr_texts),
		cmocka_unit_test(test_wr_grow),	    cmocka_unit_test(test_str_copies),	      cmocka_unit_test(test_str_numbers),
		cmocka_unit_test(test_str_words),   cmocka_unit_test(test_str_escape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
