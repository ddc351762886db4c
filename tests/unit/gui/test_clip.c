/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rules of the clipboard between qubes. */
#include "gui/clipd/clipd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct qname name(const char *s)
{
	struct qname q;

	assert_int_equal(qname_parse(&q, s, NULL), 0);
	return q;
}

static void put(struct clip *c, const char *source, uint32_t time, const char *text)
{
	size_t n = strlen(text);
	uint8_t *data = xmalloc(n + 1);
	struct qname q = name(source);

	memcpy(data, text, n);
	clip_put(c, &q, time, data, n);
}

static enum clip_refusal paste(const struct clip *c, const char *target, uint32_t time, uint32_t focus)
{
	struct qname q = name(target);

	return clip_paste_ok(c, &q, time, focus);
}

static void test_order(void **state)
{
	struct clip c = { 0 };

	assert_true(clip_copy_ok(&c, 0));
	assert_true(clip_copy_ok(&c, 0xffffffff));
	put(&c, "work", 1000, "text");
	assert_true(clip_copy_ok(&c, 1000));
	assert_true(clip_copy_ok(&c, 1001));
	assert_false(clip_copy_ok(&c, 999));
	/* The clock of the X server goes around after 49 days. */
	put(&c, "work", 0xfffffff0, "text");
	assert_true(clip_copy_ok(&c, 5));
	assert_false(clip_copy_ok(&c, 0xffffffef));
	assert_true(clip_after(5, 0xfffffff0));
	assert_false(clip_after(7, 7));
	clip_wipe(&c);
}

static void test_paste(void **state)
{
	struct clip c = { 0 };

	assert_int_equal(paste(&c, "bank", 1, 9999), CLIP_EMPTY);
	put(&c, "work", 1000, "secret");
	assert_int_equal(c.len, 6);
	assert_int_equal(paste(&c, "bank", 1001, 9999), CLIP_OK);
	assert_int_equal(paste(&c, "bank", 1001, CLIP_FOCUS_MS), CLIP_OK);
	assert_int_equal(paste(&c, "bank", 1001, CLIP_FOCUS_MS - 1), CLIP_EARLY);
	assert_int_equal(paste(&c, "work", 1001, 9999), CLIP_SAME);
	assert_int_equal(paste(&c, "bank", 999, 9999), CLIP_OLD);
	clip_wipe(&c);
	assert_null(c.data);
	assert_int_equal(paste(&c, "bank", 1001, 9999), CLIP_EMPTY);
}

static void test_empty_copy_clears(void **state)
{
	struct clip c = { 0 };

	put(&c, "work", 1, "secret");
	put(&c, "bank", 2, "");
	assert_int_equal(c.len, 0);
	assert_null(c.data);
	assert_int_equal(paste(&c, "vault", 3, 9999), CLIP_EMPTY);
	clip_wipe(&c);
}

static void test_words(void **state)
{
	for (int i = CLIP_EMPTY; i < CLIP_REFUSALS; i++)
		assert_true(clip_refusal_words((enum clip_refusal)i)[0] != '\0');
	assert_string_equal(clip_refusal_words((enum clip_refusal)99), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order), cmocka_unit_test(test_paste), cmocka_unit_test(test_empty_copy_clears), cmocka_unit_test(test_words) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
