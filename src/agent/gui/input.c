/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keyboard and pointer: what guid says happens by XTEST. Modifiers are those of the host before each key and button; keys that went up elsewhere go up here;
 * the X server never repeats a key by itself (the host does, and a lost release would repeat for ever).
 */
#include <xcb/xtest.h>

#include "agent/gui/agent.h"

#define KEYSYM_NUM_LOCK 0xff7fu
#define KEYSYM_SCROLL_LOCK 0xff14u
#define KEYSYM_CAPS_LOCK 0xffe5u
#define KEYSYM_SHIFT_LOCK 0xffe6u
#define PRESS 2u
#define ENTER 7u
#define FOCUS_IN 9u
#define NOTIFY_GRAB 1u
#define NOTIFY_UNGRAB 2u

static void repeat_off(struct agent *a)
{
	static const uint32_t off = XCB_AUTO_REPEAT_MODE_OFF;

	xcb_change_keyboard_control(a->x, XCB_KB_AUTO_REPEAT_MODE, &off);
}

static bool is_toggle(uint32_t keysym)
{
	return keysym == KEYSYM_NUM_LOCK || keysym == KEYSYM_SCROLL_LOCK || keysym == KEYSYM_CAPS_LOCK || keysym == KEYSYM_SHIFT_LOCK;
}

void input_map(struct agent *a)
{
	const xcb_setup_t *s = xcb_get_setup(a->x);
	uint8_t first = s->min_keycode, count = (uint8_t)(s->max_keycode - s->min_keycode + 1);
	xcb_get_modifier_mapping_cookie_t mc = xcb_get_modifier_mapping(a->x);
	xcb_get_keyboard_mapping_cookie_t kc = xcb_get_keyboard_mapping(a->x, first, count);
	_cleanup_free_ xcb_get_modifier_mapping_reply_t *m = xcb_get_modifier_mapping_reply(a->x, mc, NULL);
	_cleanup_free_ xcb_get_keyboard_mapping_reply_t *k = xcb_get_keyboard_mapping_reply(a->x, kc, NULL);
	struct mods_map map = { 0 };
	const uint8_t *keys = m ? xcb_get_modifier_mapping_keycodes(m) : NULL;
	const uint32_t *syms = k ? xcb_get_keyboard_mapping_keysyms(k) : NULL;

	if (!m || !k)
		return;
	for (unsigned i = 0; i < MODS_N; i++) {
		size_t n = 0;

		for (unsigned j = 0; j < m->keycodes_per_modifier && n < MODS_KEYS_MAX; j++) {
			uint8_t key = keys[i * m->keycodes_per_modifier + j];

			if (key < first)
				continue;
			map.keys[i][n++] = key;
			if (is_toggle(syms[(size_t)(key - first) * k->keysyms_per_keycode]))
				map.toggles |= (uint8_t)(1u << i);
		}
	}
	a->mods = map;
}

void input_start(struct agent *a)
{
	repeat_off(a);
	input_map(a);
}

static void fake(struct agent *a, uint8_t type, uint8_t detail, int32_t x, int32_t y)
{
	xcb_test_fake_input(a->x, type, detail, XCB_CURRENT_TIME, a->root, (int16_t)x, (int16_t)y, 0);
}

static void fake_key(struct agent *a, uint8_t keycode, bool press)
{
	fake(a, press ? XCB_KEY_PRESS : XCB_KEY_RELEASE, keycode, 0, 0);
}

static void align(struct agent *a, uint32_t want)
{
	xcb_query_pointer_cookie_t pc = xcb_query_pointer(a->x, a->root);
	xcb_query_keymap_cookie_t kc = xcb_query_keymap(a->x);
	_cleanup_free_ xcb_query_pointer_reply_t *p = xcb_query_pointer_reply(a->x, pc, NULL);
	_cleanup_free_ xcb_query_keymap_reply_t *k = xcb_query_keymap_reply(a->x, kc, NULL);
	struct mods_step step[MODS_STEPS_MAX];
	size_t n;

	if (!p || !k)
		return;
	n = mods_plan(&a->mods, p->mask, want, k->keys, step);
	for (size_t i = 0; i < n; i++)
		fake_key(a, step[i].keycode, step[i].press);
}

static void unstub(struct agent *a)
{
	if (a->stub_mapped)
		xcb_unmap_window(a->x, a->stub);
	a->stub_mapped = false;
}

/* Where the pointer is on the host, it is here, and over the same window. */
static void point(struct agent *a, struct win *w, int32_t x, int32_t y)
{
	if (a->under != w->id) {
		a->under = w->id;
		a->cursor = UINT32_MAX;
	}
	win_raise(a, w, x, y);
	fake(a, XCB_MOTION_NOTIFY, 0, w->x + x, w->y + y);
	unstub(a); /* only now, so that the program sees the pointer come in where it is */
	cursor_tell(a, w);
}

/* The program has to see that the pointer left, though on the host it is over something that does not exist here. */
static void leave(struct agent *a, const struct win *w, int32_t x, int32_t y)
{
	const uint32_t v[3] = { (uint32_t)(w->x + x), (uint32_t)(w->y + y), XCB_STACK_MODE_ABOVE };

	a->under = 0;
	fake(a, XCB_MOTION_NOTIFY, 0, w->x + x, w->y + y);
	xcb_configure_window(a->x, a->stub, XCB_CONFIG_WINDOW_X | XCB_CONFIG_WINDOW_Y | XCB_CONFIG_WINDOW_STACK_MODE, v);
	if (!a->stub_mapped)
		xcb_map_window(a->x, a->stub);
	a->stub_mapped = true;
}

static void on_crossing(struct agent *a, struct win *w, const struct gui_crossing *c)
{
	if (c->mode == NOTIFY_GRAB || c->mode == NOTIFY_UNGRAB)
		return;
	if (c->type == ENTER)
		point(a, w, c->x, c->y);
	else
		leave(a, w, c->x, c->y);
}

static void on_keymap(struct agent *a, const struct gui_keymap_notify *m)
{
	_cleanup_free_ xcb_query_keymap_reply_t *k = xcb_query_keymap_reply(a->x, xcb_query_keymap(a->x), NULL);
	uint8_t up[256];
	size_t n = k ? keys_to_release(k->keys, m->keys, up) : 0;

	for (size_t i = 0; i < n; i++)
		fake_key(a, up[i], false);
}

static void on_focus(struct agent *a, struct win *w, const struct gui_focus *f)
{
	repeat_off(a);
	if (w->icon)
		return;
	if (f->type == FOCUS_IN)
		wm_focus(a, w);
	else
		wm_unfocus(a, w);
}

static void on_window(struct agent *a, struct win *w, const struct hostmsg *m)
{
	switch (m->type) {
	case GUI_KEYPRESS:
		/* on a host without a window manager the keyboard may follow the pointer, and nobody tells of a focus */
		if (a->focus != w->id && !w->override)
			wm_focus(a, w);
		repeat_off(a);
		align(a, m->u.key.state);
		fake_key(a, (uint8_t)m->u.key.keycode, m->u.key.type == PRESS);
		break;
	case GUI_BUTTON:
		point(a, w, m->u.button.x, m->u.button.y);
		align(a, m->u.button.state);
		fake(a, (uint8_t)m->u.button.type, (uint8_t)m->u.button.button, 0, 0);
		break;
	case GUI_MOTION:
		point(a, w, m->u.motion.x, m->u.motion.y);
		break;
	case GUI_CROSSING:
		on_crossing(a, w, &m->u.crossing);
		break;
	case GUI_FOCUS:
		on_focus(a, w, &m->u.focus);
		break;
	default:
		break;
	}
}

void input_message(struct agent *a, const struct hostmsg *m)
{
	struct win *w = win_find(a, m->window);

	if (m->type == GUI_KEYMAP_NOTIFY)
		on_keymap(a, &m->u.keymap);
	else if (w && w->announced)
		on_window(a, w, m);
}
