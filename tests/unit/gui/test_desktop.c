/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bulkhead-desktop: guid's command line from features, monitor layouts, the keyboard's name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "gui/desktop/args.h"

struct pair {
	const char *name, *value;
};
static const struct pair *features, *of_dom0;
static unsigned warned;

static const char *find(const struct pair *p, const char *name)
{
	for (; p && p->name; p++)
		if (streq(p->name, name))
			return p->value;
	return NULL;
}

static const char *own(const char *name, void *arg)
{
	return find(features, name);
}

static const char *defaults(const char *name, void *arg)
{
	return find(of_dom0, name);
}

static void warn(const char *text, void *arg)
{
	assert_true(text[0]);
	warned++;
}

static const struct guid_facts facts = { .qid = 7, .name = "work", .icon = "appvm-blue", .colour = "0x3465a4", .label_index = 6 };

/* The options in their order, with blanks between them. */
static void expect(const struct pair *q, const struct pair *d, unsigned warnings, const char *want)
{
	static const char *const first[] = { "guid", "--qid", "7", "--name", "work", "--label-index", "6", "--colour", "0x3465a4", "--icon", "appvm-blue" };
	struct guid_args a;
	struct wr w = wr_grow(4096);

	features = q;
	of_dom0 = d;
	warned = 0;
	guid_args_build(&a, &facts, own, defaults, NULL, warn);
	assert_true(a.n >= ARRAY_SIZE(first) && (a.n - ARRAY_SIZE(first)) % 2 == 0);
	assert_null(a.v[a.n]);
	for (size_t i = 0; i < ARRAY_SIZE(first); i++)
		assert_string_equal(a.v[i], first[i]);
	for (size_t i = ARRAY_SIZE(first); i < a.n; i += 2) {
		assert_string_equal(a.v[i], "--option");
		wr_printf(&w, "%s%s", w.len ? " " : "", a.v[i + 1]);
	}
	wr_u8(&w, 0);
	assert_string_equal((const char *)w.buf, want);
	assert_int_equal(warned, warnings);
	assert_true(guid_args_same(&a, &a));
	wr_free(&w);
	guid_args_fini(&a);
}

static void options(void **state)
{
	const struct pair none[] = { { NULL, NULL } };
	const struct pair on[] = { { "gui-allow-fullscreen", "0" }, { "gui-allow-utf8-titles", "" }, { NULL, NULL } };
	const struct pair both[] = { { "gui-secure-copy-sequence", "" }, { "gui-trayicon-mode", "border1" }, { "gui-no-such", "x" }, { NULL, NULL } };
	const struct pair dom0[] = { { "gui-default-secure-copy-sequence", "Mod4-c" }, { "gui-default-trayicon-mode", "tint" },
				     { "gui-default-allow-fullscreen", "1" }, { NULL, NULL } };
	const struct pair quirk[] = { { "gui-override-redirect", "disable" }, { NULL, NULL } };
	const struct pair quirk2[] = { { "gui-override-redirect", "disabled" }, { NULL, NULL } };
	const struct pair bad[] = { { "gui-events-max-delay", "5001" }, { "gui-override-redirect", "no" }, { "gui-secure-paste-sequence", "v" }, { NULL, NULL } };
	const struct pair list[] = { { "gui-screensaver-names", " xscreensaver,  i3lock" }, { NULL, NULL } };

	expect(none, none, 0, "");
	/* What is not empty is true, also "0"; what is empty is false, and the default of dom0 does not count then. */
	expect(on, dom0, 0, "allow_fullscreen=true allow_utf8_titles=false trayicon_mode=tint secure_copy_sequence=Mod4-c");
	expect(both, dom0, 0, "allow_fullscreen=true trayicon_mode=border1 secure_copy_sequence=Mod4-c");
	expect(quirk, NULL, 0, "override_redirect=disable");
	expect(quirk2, NULL, 0, "override_redirect=disabled");
	expect(bad, NULL, 3, "");
	expect(list, NULL, 0, "screensaver_names=xscreensaver screensaver_names=i3lock");
}

static void clipboard_limit(void **state)
{
	const struct pair small[] = { { "gui-max-clipboard-size", "300" }, { NULL, NULL } }, bad[] = { { "gui-max-clipboard-size", "3" }, { NULL, NULL } };
	struct guid_args a, b;

	features = small;
	of_dom0 = NULL;
	guid_args_build(&a, &facts, own, defaults, NULL, warn);
	features = bad;
	guid_args_build(&b, &facts, own, defaults, NULL, warn);
	assert_int_equal(a.clipboard_max, 300);
	assert_int_equal(b.clipboard_max, 64000);
	assert_false(guid_args_same(&a, &b));
	guid_args_fini(&a);
	guid_args_fini(&b);
}

static void layout(void **state)
{
	static const struct {
		struct monitor m;
		const char *want;
	} rows[] = {
		{ { .w = 1920, .h = 1080, .w_mm = 520, .h_mm = 290 }, "1920 1080 0 0\n" },		 /* 94 dots an inch */
		{ { .x = -10, .y = 5, .w = 1920, .h = 1080, .w_mm = 310, .h_mm = 174 }, "1920 1080 -10 5\n" }, /* 157: a laptop */
		{ { .w = 3840, .h = 2160, .w_mm = 600, .h_mm = 340 }, "3840 2160 0 0\n" },		 /* 162 */
		{ { .w = 2560, .h = 1600, .w_mm = 286, .h_mm = 179 }, "2560 1600 0 0 338 211\n" },	 /* 227: twice */
		{ { .w = 3840, .h = 2400, .w_mm = 288, .h_mm = 180 }, "3840 2400 0 0 338 211\n" },	 /* 338: three times */
		{ { .w = 1920, .h = 1080, .w_mm = 16, .h_mm = 9 }, "1920 1080 0 0\n" },		 /* an aspect ratio, no size */
		{ { .w = 1920, .h = 1080 }, "1920 1080 0 0\n" },
		{ { .w = 1920, .h = 1080, .w_mm = 520, .h_mm = 290, .dpi = 144 }, "1920 1080 0 0 338 190\n" }, /* the desktop's word counts */
		{ { .w = 2560, .h = 1600, .w_mm = 286, .h_mm = 179, .dpi = 96 }, "2560 1600 0 0\n" },
		{ { .w = 2560, .h = 1600, .dpi = 999 }, "2560 1600 0 0 225 141\n" },
	};
	struct monitor all[MONITORS_MAX + 1];
	struct wr w = wr_grow(8192);
	unsigned lines = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		wr_reset(&w);
		layout_put(&w, &rows[i].m, 1);
		wr_u8(&w, 0);
		assert_string_equal((const char *)w.buf, rows[i].want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		all[i] = rows[0].m;
	wr_reset(&w);
	layout_put(&w, all, ARRAY_SIZE(all));
	for (size_t i = 0; i < w.len; i++)
		lines += w.buf[i] == '\n';
	assert_int_equal(lines, MONITORS_MAX);
	wr_free(&w);
}

static void keyboard(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *want; /* NULL = refused */
	} rows[] = {
		{ "evdev\0pc105\0de\0nodeadkeys\0caps:none\0", 37, "de+nodeadkeys+caps:none" },
		{ "evdev\0pc105\0us\0\0\0", 17, "us++" },
		{ "evdev\0pc105\0us,de\0,neo\0grp:alts_toggle,compose:ralt\0", 52, "us,de+,neo+grp:alts_toggle,compose:ralt" },
		{ "evdev\0pc105\0us\0\0", 16, NULL },
		{ "evdev\0pc105\0\0\0\0", 15, NULL },
		{ "evdev\0pc105\0us\0a+b\0\0", 20, NULL },
		{ "evdev\0pc105\0u s\0\0\0", 18, NULL },
		{ "evdev", 5, NULL },
		{ "", 0, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char out[100] = "";
		int r = keyboard_put(rows[i].bytes, rows[i].n, out, sizeof out);

		if (rows[i].want && r == 0)
			assert_string_equal(out, rows[i].want);
		else
			assert_int_equal(r, rows[i].want ? 0 : -EINVAL);
	}
	assert_int_equal(keyboard_put("e\0p\0verylong\0\0\0", 15, (char[8]){ 0 }, 8), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(options), cmocka_unit_test(clipboard_limit), cmocka_unit_test(layout), cmocka_unit_test(keyboard) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
