/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rules of guid as functions: places, damage, menus, hints, flags, limits, titles, options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gui/guid/check.h"
#include "gui/guid/opts.h"
#include "gui/guid/text.h"

static const struct rect work = { 0, 30, 1000, 770 };

static void test_place(void **state)
{
	static const uint32_t edge[] = { 0, 1, 2, 6144, 6145, 16384, 16385, 0x7fffffff, 0x80000000u, 0xffffffffu };
	static const int32_t at[] = { 0, -1, 1, 6144, -6145, 16385, -16385, INT32_MAX, INT32_MIN };
	struct rect ok = { 5, -6, 100, 50 };

	assert_true(check_place(&ok));
	assert_true(rect_eq(&ok, &(struct rect){ 5, -6, 100, 50 }));
	for (size_t i = 0; i < ARRAY_SIZE(edge); i++)
		for (size_t j = 0; j < ARRAY_SIZE(at); j++) {
			struct rect r = { at[j], at[ARRAY_SIZE(at) - 1 - j], edge[i], edge[ARRAY_SIZE(edge) - 1 - i] };
			bool foolish = r.w == 0 || r.h == 0 || r.w > INT32_MAX || r.h > INT32_MAX;

			assert_int_equal(check_place(&r), !foolish);
			assert_in_range(r.w, 1, GUI_WIDTH_MAX);
			assert_in_range(r.h, 1, GUI_HEIGHT_MAX);
			assert_true(r.x >= -(int32_t)GUI_WIDTH_MAX && r.x <= (int32_t)GUI_WIDTH_MAX);
			assert_true(r.y >= -(int32_t)GUI_HEIGHT_MAX && r.y <= (int32_t)GUI_HEIGHT_MAX);
		}
}

static void test_damage(void **state)
{
	struct rect out = { 7, 7, 7, 7 };

	assert_true(check_damage(&(struct rect){ 10, 20, 30, 40 }, 100, 100, 100, 100, &out));
	assert_true(rect_eq(&out, &(struct rect){ 10, 20, 30, 40 }));
	/* The smaller of image and window cuts. */
	assert_true(check_damage(&(struct rect){ 10, 20, 300, 400 }, 100, 50, 60, 100, &out));
	assert_true(rect_eq(&out, &(struct rect){ 10, 20, 50, 30 }));
	assert_true(check_damage(&(struct rect){ 0, 0, INT32_MAX, INT32_MAX }, 16384, 6144, 16384, 6144, &out));
	assert_true(rect_eq(&out, &(struct rect){ 0, 0, 16384, 6144 }));
	assert_false(check_damage(&(struct rect){ -1, 0, 10, 10 }, 100, 100, 100, 100, &out));
	assert_false(check_damage(&(struct rect){ 0, INT32_MIN, 10, 10 }, 100, 100, 100, 100, &out));
	assert_false(check_damage(&(struct rect){ 0, 0, 0x80000000u, 10 }, 100, 100, 100, 100, &out));
	assert_false(check_damage(&(struct rect){ 0, 0, 10, 0xffffffffu }, 100, 100, 100, 100, &out));
	assert_false(check_damage(&(struct rect){ 100, 0, 1, 1 }, 100, 100, 100, 100, &out));
	assert_false(check_damage(&(struct rect){ 0, 0, 0, 1 }, 100, 100, 100, 100, &out));
	assert_false(check_damage(&(struct rect){ 0, 0, 1, 1 }, 0, 0, 100, 100, &out));
}

static void test_frame(void **state)
{
	struct frame f = frame_of(true, false, false, 200);
	struct rect in = { 100, 100, 200, 50 }, out = frame_outer(&f, &in), back;

	assert_true(rect_eq(&out, &(struct rect){ 95, 79, 210, 76 }));
	assert_true(frame_inner(&f, &out, &back));
	assert_true(rect_eq(&back, &in));
	/* No strip: menus, fullscreen, narrow ones. */
	assert_int_equal(frame_of(false, false, false, 200).strip, 0);
	assert_int_equal(frame_of(true, false, true, 200).strip, 0);
	assert_int_equal(frame_of(true, false, false, FRAME_STRIP_MIN_W - 1).strip, 0);
	f = frame_of(false, true, false, 24);
	assert_int_equal(f.left, FRAME_SOLID);
	assert_int_equal(f.pattern, 0);
	/* In every case at least three pixels on each side. */
	for (unsigned i = 0; i < 16; i++) {
		f = frame_of(i & 1, i & 2, i & 4, i & 8 ? 500 : 1);
		assert_true(f.left >= 3 && f.top >= 3 && f.right >= 3 && f.bottom >= 3);
		for (uint32_t w = 0; w < 20; w++) {
			bool fits = frame_inner(&f, &(struct rect){ 0, 0, w, 100 }, &back);

			assert_int_equal(fits, w > f.left + f.right);
			assert_true(back.w >= 1 && back.h >= 1);
		}
	}
}

static void test_override(void **state)
{
	/* 90 % of 770,000 pixels. */
	assert_true(check_override(&(struct rect){ 0, 0, 1000, 693 }, &work, 0));
	assert_false(check_override(&(struct rect){ 0, 0, 1000, 694 }, &work, 0));
	assert_false(check_override(&(struct rect){ 0, 0, 1000, 693 }, &work, 1));
	assert_false(check_override(&(struct rect){ 0, 0, 16394, 6154 }, &work, UINT32_MAX));
	assert_true(check_override(&(struct rect){ 0, 0, 100, 10 }, &work, 600000));
}

static void test_on_screen(void **state)
{
	static const int32_t at[] = { -20000, -500, -101, -100, -99, -1, 0, 29, 30, 31, 400, 699, 700, 769, 899, 900, 901, 999, 1000, 20000 };
	static const uint32_t size[] = { 1, 100, 770, 771, 1000, 1001, 16394 };

	for (size_t a = 0; a < ARRAY_SIZE(at); a++)
		for (size_t b = 0; b < ARRAY_SIZE(at); b++)
			for (size_t s = 0; s < ARRAY_SIZE(size); s++) {
				struct rect r = { at[a], at[b], size[s], size[ARRAY_SIZE(size) - 1 - s] }, was = r;
				bool seen = rect_meets(&r, &work), changed = check_on_screen(&r, &work);

				assert_int_equal(changed, !rect_eq(&r, &was));
				if (!seen) {
					assert_false(changed);
					continue;
				}
				assert_true(r.x >= work.x && r.x + (int32_t)r.w <= work.x + (int32_t)work.w);
				assert_true(r.y >= work.y && r.y + (int32_t)r.h <= work.y + (int32_t)work.h);
				assert_true(r.w >= 1 && r.h >= 1 && r.w <= was.w && r.h <= was.h);
			}
}

static void test_join(void **state)
{
	struct rect none = { 0 }, a = { 10, 10, 5, 5 }, b = { 0, 20, 3, 10 }, r;

	r = rect_join(&none, &a);
	assert_true(rect_eq(&r, &a));
	r = rect_join(&a, &none);
	assert_true(rect_eq(&r, &a));
	r = rect_join(&a, &b);
	assert_true(rect_eq(&r, &(struct rect){ 0, 10, 15, 20 }));
	assert_false(rect_meets(&a, &b));
	assert_true(rect_meets(&a, &r));
}

static void test_cursor_flags_hints(void **state)
{
	struct gui_window_hints h = { .flags = 0xffffffffu, .min_w = 500, .max_w = 10, .min_h = 0, .max_h = 0xffffffffu, .w_inc = 0, .base_w = 0xffffffffu };
	uint32_t set, unset;

	assert_true(check_cursor(0) && check_cursor(0x100) && check_cursor(0x198));
	assert_false(check_cursor(1) || check_cursor(0xff) || check_cursor(0x101) || check_cursor(0x19a) || check_cursor(0xffffffffu));
	set = GUI_FLAG_FULLSCREEN | GUI_FLAG_MINIMIZE;
	unset = GUI_FLAG_ATTENTION;
	assert_true(check_flags(&set, &unset));
	assert_int_equal(set, GUI_FLAG_MINIMIZE);
	set = unset = GUI_FLAG_ATTENTION;
	assert_false(check_flags(&set, &unset));
	set = 8;
	unset = 0;
	assert_false(check_flags(&set, &unset));
	check_hints(&h);
	assert_int_equal(h.flags, GUI_HINTS);
	assert_int_equal(h.max_w, 500);
	assert_int_equal(h.min_h, 1);
	assert_int_equal(h.max_h, GUI_HEIGHT_MAX);
	assert_int_equal(h.w_inc, 1);
	assert_int_equal(h.base_w, GUI_WIDTH_MAX);
}

static void test_rate(void **state)
{
	struct rate r = { 0 };
	unsigned n = 0;

	while (n < 100 && rate_ok(&r, 1000, 5, 10000))
		n++;
	assert_int_equal(n, 5);
	assert_false(rate_ok(&r, 2999, 5, 10000));
	assert_true(rate_ok(&r, 3000, 5, 10000)); /* a fifth of the time: one more */
	assert_false(rate_ok(&r, 3000, 5, 10000));
	for (n = 0; n < 100 && rate_ok(&r, 100000, 5, 10000); n++)
		;
	assert_int_equal(n, 5);
	/* Over a long time never more than the rate, whatever the rhythm. */
	r = (struct rate){ 0 };
	n = 0;
	for (uint64_t t = 0; t < 100000; t += 7)
		n += rate_ok(&r, t, 5, 10000);
	assert_in_range(n, 50, 55);
}

static void title(const char *in, size_t n, bool utf8, const char *want)
{
	char out[TEXT_TITLE_CAP];

	text_title(out, (const uint8_t *)in, n, utf8);
	assert_string_equal(out, want);
}

static void test_titles(void **state)
{
	char out[TEXT_TITLE_CAP], class[TEXT_CLASS_CAP];
	uint8_t all[128];

	title("plain ~!", 8, false, "plain ~!");
	title("a\0b", 3, false, "a");
	title("a\x1b[0m\x7f\r\n", 8, false, "a_[0m___");
	title("\xc3\xa4", 2, false, "__");
	title("\xc3\xa4\xe2\x82\xac", 5, true, "\xc3\xa4\xe2\x82\xac");
	title("\xe2\x80\xae" "x", 4, true, "_x");	/* right-to-left override */
	title("\xe2\x80\x8b" "x", 4, true, "_x");	/* zero width */
	title("e\xcc\x81", 3, true, "e_");		/* combining */
	title("\xd7\x90", 2, true, "_");		/* Hebrew */
	title("\xc2\xa0" "\xc2\x85", 4, true, "__");	/* no-break space, C1 */
	title("\xc0\x80\xed\xa0\x80\xf5", 6, true, "______"); /* too long, surrogate, none */
	title("\xc3", 1, true, "_");
	title("\xf0\x9f\x98\x80", 4, true, "_");
	for (unsigned i = 0; i < sizeof all; i++)
		all[i] = (uint8_t)(i * 7 + 1) ? (uint8_t)(i * 7 + 1) : 1;
	for (int utf8 = 0; utf8 < 2; utf8++) {
		text_title(out, all, sizeof all, utf8);
		assert_true(strlen(out) <= 128);
	}
	memset(all, 0xff, sizeof all);
	text_class(class, all, 64);
	assert_int_equal(strlen(class), 64);
	assert_int_equal(class[63], '_');
}

static void test_patterns(void **state)
{
	/* Along any edge no two labels have the same row of dashes. */
	for (unsigned a = 1; a <= 8; a++)
		for (unsigned b = a + 1; b <= 8; b++)
			for (unsigned shift = 0; shift < TEXT_TILE; shift++) {
				bool same = true;

				for (unsigned x = 0; x < TEXT_TILE; x++)
					same = same && text_pattern(a, x, 0) == text_pattern(b, x + shift, 0);
				assert_false(same);
			}
	for (unsigned l = 1; l <= 8; l++)
		for (unsigned x = 0; x < TEXT_TILE; x++)
			assert_true(text_pattern(l, x, 3) == text_pattern(l, x + TEXT_TILE, 3) && text_pattern(l, x, 3) == text_pattern(l, 3, x));
	assert_int_equal(text_contrast(0x000000), 0xffffff);
	assert_int_equal(text_contrast(0xedd400), 0x000000);
}

static void test_options(void **state)
{
	struct opts o;
	struct err e = { 0 };

	opts_default(&o);
	assert_int_equal(o.paste_guard_ms, 300);
	assert_int_equal(o.windows_count_limit, 500);
	assert_int_equal(o.secure_copy_sequence.mods, 5);
	assert_string_equal(o.secure_copy_sequence.key, "c");
	assert_int_equal(opts_set(&o, "allow_fullscreen=true", &e), 0);
	assert_true(o.allow_fullscreen);
	assert_int_equal(opts_set(&o, "override_redirect=disable", &e), 0);
	assert_int_not_equal(o.override_redirect, OR_ALLOW);
	assert_int_equal(opts_set(&o, "secure_paste_sequence=Mod4-Insert", &e), 0);
	assert_int_equal(o.secure_paste_sequence.mods, 64);
	assert_int_equal(opts_set(&o, "secure_paste_sequence=none", &e), 0);
	assert_int_equal(o.secure_paste_sequence.mods, 0);
	assert_int_equal(opts_set(&o, "window_background_color=0x12Ab34", &e), 0);
	assert_int_equal(o.window_background_color, 0x12ab34);
	for (int i = 0; i < OPTS_NAMES_MAX; i++)
		assert_int_equal(opts_set(&o, "screensaver_names=xlock", &e), 0);
	static const char *const bad[] = { "screensaver_names=more", "nonsense=1", "allow_fullscreen", "allow_fullscreen=perhaps", "max_clipboard_size=255",
					   "max_clipboard_size=256001", "events_max_delay=-1", "secure_copy_sequence=c", "secure_copy_sequence=Hyper-c",
					   "secure_copy_sequence=Ctrl-", "window_background_color=red", "window_background_color=0x12345g", "trayicon_mode=red", "=1" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(opts_set(&o, bad[i], &e), -EINVAL);
		assert_true(e.msg[0]);
	}
}

static void test_bring(void **state)
{
	static const struct rect cases[][2] = {
		{ { 1200, 900, 100, 50 }, { 900, 750, 100, 50 } },   { { -300, 10, 100, 50 }, { 0, 30, 100, 50 } },
		{ { 1200, -900, 2000, 2000 }, { 0, 30, 2000, 2000 } }, { { INT32_MIN, INT32_MAX, 1, 1 }, { 0, 799, 1, 1 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rect r = cases[i][0];

		check_bring(&r, &work);
		assert_true(rect_eq(&r, &cases[i][1]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_place),	 cmocka_unit_test(test_damage),	   cmocka_unit_test(test_frame),
		cmocka_unit_test(test_override), cmocka_unit_test(test_on_screen), cmocka_unit_test(test_join),
		cmocka_unit_test(test_cursor_flags_hints), cmocka_unit_test(test_rate), cmocka_unit_test(test_titles),
		cmocka_unit_test(test_patterns), cmocka_unit_test(test_options),   cmocka_unit_test(test_bring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
