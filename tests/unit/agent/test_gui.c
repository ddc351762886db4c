/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of the windows' agent that need no X server: places in the memory, merged damage, modifiers, text, guid's messages, and what the X server is
   told at its start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/gui/baralloc.h"
#include "agent/gui/cliptext.h"
#include "agent/gui/damage.h"
#include "agent/gui/hostmsg.h"
#include "agent/gui/iconpick.h"
#include "agent/gui/mods.h"
#include "agent/gui/run.h"
#include "base/str.h"

static void places_are_whole_and_apart(void **state)
{
	struct bar_alloc b;
	uint64_t v[4], off;

	bar_init(&b, 10 * 4096 + 100);
	assert_int_equal(b.size, 10 * 4096);
	assert_int_equal(bar_get(&b, 0, &off), -EINVAL);
	assert_int_equal(bar_get(&b, UINT64_MAX, &off), -EINVAL);
	assert_int_equal(bar_get(&b, 10 * 4096 + 1, &off), -ENOSPC);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(bar_get(&b, 4097, &v[i]), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(v[i], i * 8192);
	assert_int_equal(bar_used(&b), 8 * 4096);
	assert_int_equal(bar_get(&b, 3 * 4096, &off), -ENOSPC);
	/* the gap in the middle is used first, and two that are given back are one */
	assert_int_equal(bar_put(&b, v[1]), 0);
	assert_int_equal(bar_put(&b, v[1]), -ENOENT);
	assert_int_equal(bar_get(&b, 1, &off), 0);
	assert_int_equal(off, v[1]);
	assert_int_equal(bar_put(&b, off), 0);
	assert_int_equal(bar_put(&b, v[2]), 0);
	assert_int_equal(bar_get(&b, 4 * 4096, &off), 0);
	assert_int_equal(off, v[1]);
	assert_int_equal(bar_get(&b, 2 * 4096, &off), 0);
	assert_int_equal(off, 8 * 4096);
	assert_int_equal(bar_get(&b, 1, &off), -ENOSPC);
	bar_fini(&b);
	assert_int_equal(bar_get(&b, 1, &off), -ENOSPC);
}

/* Random takes and gives against a plain picture of the memory. */
static void places_against_a_model(void **state)
{
	enum { UNITS = 64 };
	uint8_t taken[UNITS] = { 0 };
	uint64_t offs[UNITS], lens[UNITS];
	struct bar_alloc b;
	unsigned seed = 7, n = 0;

	bar_init(&b, UNITS * 4096);
	for (unsigned i = 0; i < 20000; i++) {
		seed = seed * 1103515245u + 12345;
		unsigned k = seed >> 16;

		if (n > 0 && k % 2) {
			unsigned which = k / 2 % n;

			assert_int_equal(bar_put(&b, offs[which]), 0);
			memset(taken + offs[which] / 4096, 0, lens[which]);
			offs[which] = offs[--n];
			lens[which] = lens[n];
			continue;
		}
		unsigned len = 1 + k / 2 % 8, run = 0, at = 0;

		for (; at < UNITS && run < len; at++)
			run = taken[at] ? 0 : run + 1;
		int r = bar_get(&b, (uint64_t)len * 4096, &offs[n]);

		assert_int_equal(r, run == len ? 0 : -ENOSPC);
		if (r == 0) {
			assert_int_equal(offs[n], (at - len) * 4096);
			memset(taken + offs[n] / 4096, 1, len);
			lens[n++] = len;
		}
	}
	bar_fini(&b);
}

static bool covers(const struct damage *d, int32_t x, int32_t y)
{
	for (unsigned i = 0; i < d->n; i++)
		if (x >= d->v[i].x && y >= d->v[i].y && x < d->v[i].x + d->v[i].w && y < d->v[i].y + d->v[i].h)
			return true;
	return false;
}

static void damage_is_merged_and_never_lost(void **state)
{
	struct damage d = { 0 };
	unsigned seed = 3;

	damage_add(&d, (struct box){ 0, 0, 10, 10 });
	damage_add(&d, (struct box){ 2, 2, 3, 3 });
	assert_int_equal(d.n, 1);
	damage_add(&d, (struct box){ 10, 0, 10, 10 });
	assert_int_equal(d.n, 1);
	assert_int_equal(d.v[0].w, 20);
	/* a clock in one corner and a cursor in the other are not the whole window */
	damage_add(&d, (struct box){ 1000, 700, 10, 10 });
	assert_int_equal(d.n, 2);
	damage_add(&d, (struct box){ 5, 5, 0, 10 });
	damage_add(&d, (struct box){ 5, 5, 10, -1 });
	assert_int_equal(d.n, 2);
	damage_clear(&d);
	assert_false(damage_any(&d));
	for (unsigned i = 0; i < 2000; i++) {
		struct box b;

		seed = seed * 1103515245u + 12345;
		b = (struct box){ (int32_t)(seed >> 20), (int32_t)(seed >> 8 & 0xfff), 1 + (int32_t)(seed >> 3 & 31), 1 + (int32_t)(seed >> 5 & 31) };
		damage_add(&d, b);
		assert_true(d.n >= 1 && d.n <= DAMAGE_MAX);
		assert_true(covers(&d, b.x, b.y) && covers(&d, b.x + b.w - 1, b.y + b.h - 1));
	}
}

static void damage_is_cut_to_the_window(void **state)
{
	struct damage d = { 0 };
	struct box b = { -5, -5, 10, 10 };

	assert_true(box_clip(&b, 3, 4));
	assert_memory_equal(&b, (&(struct box){ 0, 0, 3, 4 }), sizeof b);
	b = (struct box){ 3, 0, 1, 1 };
	assert_false(box_clip(&b, 3, 4));
	b = (struct box){ INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX };
	assert_false(box_clip(&b, 100, 100));
	b = (struct box){ INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX };
	assert_false(box_clip(&b, 100, 100));
	damage_add(&d, (struct box){ 0, 0, 5, 5 });
	damage_add(&d, (struct box){ 900, 900, 5, 5 });
	damage_clip(&d, 902, 100);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.v[0].w, 5);
	damage_add(&d, (struct box){ INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX });
	damage_clip(&d, 10, 10);
	assert_true(covers(&d, 0, 0));
}

static const struct mods_map map = {
	.keys = { { 50, 62 }, { 66 }, { 37, 105 }, { 64 }, { 77 }, { 0 }, { 133 }, { 92 } },
	.toggles = 1u << 1 | 1u << 4,
};

static void check_plan(uint32_t now, uint32_t want, const uint8_t *down, size_t n_down, const char *steps)
{
	struct mods_step v[MODS_STEPS_MAX];
	uint8_t pressed[32] = { 0 };
	struct wr w = wr_grow(1024);
	size_t n;

	for (size_t i = 0; i < n_down; i++)
		pressed[down[i] / 8] |= (uint8_t)(1u << down[i] % 8);
	n = mods_plan(&map, now, want, pressed, v);
	for (size_t i = 0; i < n; i++)
		wr_printf(&w, "%c%u ", v[i].press ? '+' : '-', v[i].keycode);
	wr_u8(&w, 0);
	assert_string_equal((const char *)w.buf, steps);
	wr_free(&w);
}

static void modifiers_follow_the_host(void **state)
{
	check_plan(0, 0, NULL, 0, "");
	check_plan(0, 1, NULL, 0, "+50 ");
	check_plan(5, 0, (const uint8_t[]){ 62, 37 }, 2, "-62 -37 ");
	check_plan(4, 4, (const uint8_t[]){ 105 }, 1, "");
	/* locks turn over by a press, whichever way */
	check_plan(0, 2, NULL, 0, "+66 -66 ");
	check_plan(2, 0, NULL, 0, "+66 -66 ");
	check_plan(2, 0, (const uint8_t[]){ 66 }, 1, "-66 ");
	check_plan(0, 0x10, NULL, 0, "+77 -77 ");
	/* on, and no key is down: a sticky one */
	check_plan(8, 0, NULL, 0, "+64 -64 ");
	/* buttons and groups are no modifiers, and one without a key cannot be pressed */
	check_plan(0x100, 0x2000, NULL, 0, "");
	check_plan(0, 0x20, NULL, 0, "");
}

static void keys_that_went_up_elsewhere_go_up(void **state)
{
	uint8_t here[32] = { 0 }, host[32] = { 0 }, up[256];

	here[1] = 0x41; /* 8 and 14 */
	here[31] = 0x80;
	here[0] = 0xff; /* no such keys */
	host[1] = 0x40;
	host[2] = 0xff;
	assert_int_equal(keys_to_release(here, host, up), 2);
	assert_int_equal(up[0], 8);
	assert_int_equal(up[1], 255);
}

static void check_text(void (*fn)(struct wr *w, const void *p, size_t n), const char *in, const char *want)
{
	struct wr w = wr_grow(4096);

	fn(&w, in, strlen(in));
	assert_int_equal(w.len, strlen(want));
	if (w.len)
		assert_memory_equal(w.buf, want, w.len);
	wr_free(&w);
}

static void text_of_the_clipboard(void **state)
{
	static const char *const bad[] = { "\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "a\xc3", "\xe2\x82", "\xff" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(text_is_utf8(bad[i], strlen(bad[i])));
	assert_true(text_is_utf8("", 0));
	assert_true(text_is_utf8("a\0b\n\x7f", 5));
	assert_true(text_is_utf8("\xf4\x8f\xbf\xbf\xef\xbf\xbf", 7));
	check_text(text_to_latin1, "Gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac", "Gr\xfc\xdf\x65 ?");
	check_text(text_to_latin1, "a\xff", "a?");
	check_text(text_from_latin1, "Gr\xfc\xdf\x65", "Gr\xc3\xbc\xc3\x9f\x65");
	check_text(text_to_compound, "plain", "plain");
	check_text(text_to_compound, "\xc3\xbc", "\x1b%G\xc3\xbc\x1b%@");
	assert_int_equal(text_cut("abc", 3, 5), 3);
	assert_int_equal(text_cut("ab\xe2\x82\xac", 5, 5), 5);
	assert_int_equal(text_cut("ab\xe2\x82\xac", 5, 4), 2);
	assert_int_equal(text_cut("\xe2\x82\xac", 3, 0), 0);
}

static struct hostmsg read_one(struct wr *w, int want)
{
	struct hostmsg m = { 0 };

	/* not before it is whole */
	for (size_t n = 0; want == 1 && n < w->len; n++)
		assert_int_equal(hostmsg_next(&m, w->buf, n), 0);
	assert_int_equal(hostmsg_next(&m, w->buf, w->len), want);
	if (want == 1)
		assert_int_equal(m.size, w->len);
	wr_reset(w);
	return m;
}

static void messages_of_guid(void **state)
{
	struct wr w = wr_grow(65536);
	struct hostmsg m;

	gui_put_keypress(&w, 7, &(struct gui_keypress){ .type = 2, .x = -3, .y = 4, .state = 5, .keycode = 38 });
	m = read_one(&w, 1);
	assert_int_equal(m.type, GUI_KEYPRESS);
	assert_int_equal(m.window, 7);
	assert_int_equal(m.u.key.x, -3);
	assert_int_equal(m.u.key.keycode, 38);
	gui_put_clipboard_data(&w, 0, &(struct gui_clipboard_data){ 0 }, 3);
	wr_bytes(&w, "abc", 3);
	m = read_one(&w, 1);
	assert_true(rd_eq(&m.u.text, "abc"));
	/* our own reading of what makes no sense: left out */
	gui_put_keypress(&w, 7, &(struct gui_keypress){ .type = 4, .keycode = 38 });
	assert_int_equal(read_one(&w, 1).type, HOSTMSG_SKIP);
	gui_put_keypress(&w, 7, &(struct gui_keypress){ .type = 2, .keycode = 256 });
	assert_int_equal(read_one(&w, 1).type, HOSTMSG_SKIP);
	gui_put_button(&w, 7, &(struct gui_button){ .type = 4, .button = 0 });
	assert_int_equal(read_one(&w, 1).type, HOSTMSG_SKIP);
	gui_put_motion(&w, 7, &(struct gui_motion){ .x = 70000 });
	assert_int_equal(read_one(&w, 1).type, HOSTMSG_SKIP);
	gui_put_configure(&w, 7, &(struct gui_configure){ .w = 0, .h = 5 });
	assert_int_equal(read_one(&w, 1).type, HOSTMSG_SKIP);
	gui_put_configure(&w, 7, &(struct gui_configure){ .w = 0xffffffff, .h = 5 });
	assert_int_equal(read_one(&w, 1).type, HOSTMSG_SKIP);
	gui_put_window_flags(&w, 7, &(struct gui_window_flags){ .set = 3, .unset = 2 });
	assert_int_equal(read_one(&w, 1).type, HOSTMSG_SKIP);
	/* unknown: its length is believed */
	wr_u32le(&w, 77);
	wr_u32le(&w, 0);
	wr_u32le(&w, 5);
	wr_bytes(&w, "12345", 5);
	m = read_one(&w, 1);
	assert_int_equal(m.type, HOSTMSG_SKIP);
	assert_int_equal(m.real_type, 77);
	/* what only an agent says, a wrong length, an endless one */
	gui_put_unmap(&w, 7, &(struct gui_unmap){ 0 });
	(void)read_one(&w, -EBADMSG);
	wr_u32le(&w, GUI_CLOSE);
	wr_u32le(&w, 7);
	wr_u32le(&w, 1);
	(void)read_one(&w, -EBADMSG);
	wr_u32le(&w, 77);
	wr_u32le(&w, 7);
	wr_u32le(&w, GUI_BODY_MAX + 1);
	(void)read_one(&w, -EBADMSG);
	wr_free(&w);
}

static void greeting(void **state)
{
	struct wr w = wr_grow(64);
	struct gui_xconf x;
	uint32_t version = 0;

	gui_put_version(&w, 0x10009);
	assert_int_equal(hostmsg_greeting(&version, &x, w.buf, 3), 0);
	assert_int_equal(hostmsg_greeting(&version, &x, w.buf, w.len), 0);
	gui_put_xconf(&w, &(struct gui_xconf){ .w = 1280, .h = 800, .depth = 24, .mem = 4001 });
	wr_u32le(&w, 99);
	assert_int_equal(hostmsg_greeting(&version, &x, w.buf, w.len), 1);
	assert_int_equal(version, GUI_VERSION);
	assert_int_equal(x.h, 800);
	wr_reset(&w);
	gui_put_version(&w, 0x10003);
	assert_int_equal(hostmsg_greeting(&version, &x, w.buf, w.len), -EPROTO);
	wr_reset(&w);
	gui_put_version(&w, 0x20008);
	assert_int_equal(hostmsg_greeting(&version, &x, w.buf, w.len), -EPROTO);
	wr_free(&w);
}

static void check_keyboard(const char *value, const char *want)
{
	char text[64], line[256] = "";
	const char *argv[RUN_KEYBOARD_ARGS];
	struct wr w = wr_mem(line, sizeof line);
	int r;

	assert_int_equal(str_copy(text, sizeof text, value), 0);
	r = run_keyboard(text, argv);
	assert_int_equal(r, want ? 0 : -EINVAL);
	for (size_t i = 0; r == 0 && argv[i]; i++)
		wr_printf(&w, "%s|", argv[i]);
	wr_u8(&w, 0);
	if (want)
		assert_string_equal(line, want);
}

static void keyboards(void **state)
{
	check_keyboard("us", "setxkbmap|-rules|evdev|-model|pc105|-layout|us|-variant||-option||");
	check_keyboard("de++", "setxkbmap|-rules|evdev|-model|pc105|-layout|de|-variant||-option||");
	check_keyboard("de+nodeadkeys+ctrl:nocaps", "setxkbmap|-rules|evdev|-model|pc105|-layout|de|-variant|nodeadkeys|-option||-option|ctrl:nocaps|");
	check_keyboard("us,ru+,phonetic+", "setxkbmap|-rules|evdev|-model|pc105|-layout|us,ru|-variant|,phonetic|-option||");
	check_keyboard("", NULL);
	check_keyboard("-print", NULL);
	check_keyboard("us+-x", NULL);
	check_keyboard("us+a+b c", NULL);
}

static void key_of_the_x_server(void **state)
{
	static const uint8_t cookie[16] = "0123456789abcdef";
	static const uint8_t want[] = "\xff\xff\0\0\0\1" "0\0\x12MIT-MAGIC-COOKIE-1\0\x10" "0123456789abcdef";
	struct wr w = wr_grow(256);

	run_auth(&w, cookie);
	assert_int_equal(w.len, sizeof want - 1);
	assert_memory_equal(w.buf, want, w.len);
	wr_free(&w);
}

static bool pick(struct wr *out, const uint32_t *words, size_t n, uint32_t *w, uint32_t *h)
{
	_cleanup_wr_ struct wr in = wr_grow(1 << 20);

	for (size_t i = 0; i < n; i++)
		wr_u32le(&in, words[i]);
	wr_reset(out);
	return icon_pick(out, rd_mem(in.buf, in.len), w, h);
}

/* A square picture of one colour; returns the words used. */
static size_t square(uint32_t *words, uint32_t side, uint32_t colour)
{
	words[0] = words[1] = side;
	for (size_t i = 0; i < (size_t)side * side; i++)
		words[2 + i] = colour;
	return 2 + (size_t)side * side;
}

static void icons(void **state)
{
	static const uint32_t sides[][4] = { { 16, 32, 48, 48 }, { 48, 16, 64, 48 }, { 64, 256, 64, 64 }, { 24, 16, 22, 24 }, { 100, 129, 300, 100 } };
	_cleanup_free_ uint32_t *v = xcalloc(400000, sizeof *v);
	_cleanup_wr_ struct wr out = wr_grow(GUI_ICON_MAX);
	uint32_t w, h;

	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		size_t n = 0;

		for (unsigned j = 0; j < 3; j++)
			n += square(v + n, sides[i][j], 0xff000000 | sides[i][j]);
		assert_true(pick(&out, v, n, &w, &h));
		assert_int_equal(w, sides[i][3]);
		assert_int_equal(out.len, (size_t)w * h * 4);
		assert_int_equal(out.buf[0], sides[i][3]);
	}
	/* made smaller: means, weighted by opacity; no side is longer than allowed */
	v[0] = 200;
	v[1] = 3;
	for (size_t i = 0; i < 600; i++)
		v[2 + i] = i % 2 ? 0xff102030 : 0x00ffffff;
	assert_true(pick(&out, v, 602, &w, &h));
	assert_int_equal(w, 100);
	assert_int_equal(h, 2);
	assert_memory_equal(out.buf, "\x30\x20\x10\x7f", 4);
	/* cut off: what is whole before it counts */
	assert_true(pick(&out, v, square(v, 4, 1) + 3, &w, &h));
	assert_int_equal(w, 4);
	assert_false(pick(&out, v, square(v, 4, 1) - 1, &w, &h));
	assert_false(pick(&out, v, 0, &w, &h));
	assert_false(pick(&out, (uint32_t[]){ 0, 3, 1, 1 }, 4, &w, &h));
	assert_false(pick(&out, (uint32_t[]){ 0x40000000, 4, 1, 1 }, 4, &w, &h));
	assert_false(pick(&out, (uint32_t[]){ 5000, 1, 1 }, 3, &w, &h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_are_whole_and_apart),
		cmocka_unit_test(places_against_a_model),
		cmocka_unit_test(damage_is_merged_and_never_lost),
		cmocka_unit_test(damage_is_cut_to_the_window),
		cmocka_unit_test(modifiers_follow_the_host),
		cmocka_unit_test(keys_that_went_up_elsewhere_go_up),
		cmocka_unit_test(text_of_the_clipboard),
		cmocka_unit_test(messages_of_guid),
		cmocka_unit_test(greeting),
		cmocka_unit_test(keyboards),
		cmocka_unit_test(key_of_the_x_server),
		cmocka_unit_test(icons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
