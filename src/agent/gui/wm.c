/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The part of a window manager: programs find one, ask for states, lose and get the focus, are asked to close. Where windows are and who is on top is decided
 * on the host; a program's wish for a state goes there, and what the host then says becomes the window's state.
 */
#include "agent/gui/agent.h"
#include "base/log.h"

#define STATE_NORMAL 1u
#define STATE_ICONIC 3u
#define ACTION_REMOVE 0u
#define ACTION_ADD 1u
#define INPUT_HINT 1u

int wm_start(struct agent *a, struct err *e)
{
	const uint32_t supported[] = {
		a->atoms[ATOM__NET_SUPPORTED], a->atoms[ATOM__NET_SUPPORTING_WM_CHECK], a->atoms[ATOM__NET_WM_NAME], a->atoms[ATOM__NET_WM_STATE],
		a->atoms[ATOM__NET_WM_STATE_FULLSCREEN], a->atoms[ATOM__NET_WM_STATE_HIDDEN], a->atoms[ATOM__NET_WM_STATE_DEMANDS_ATTENTION],
		a->atoms[ATOM__NET_ACTIVE_WINDOW], a->atoms[ATOM__NET_CLOSE_WINDOW],
	};
	static const char name[] = "Bulkhead";

	x_set32(a, a->root, a->atoms[ATOM__NET_SUPPORTED], XCB_ATOM_ATOM, supported, ARRAY_SIZE(supported));
	x_set32(a, a->root, a->atoms[ATOM__NET_SUPPORTING_WM_CHECK], XCB_ATOM_WINDOW, &a->own, 1);
	x_set32(a, a->own, a->atoms[ATOM__NET_SUPPORTING_WM_CHECK], XCB_ATOM_WINDOW, &a->own, 1);
	xcb_change_property(a->x, XCB_PROP_MODE_REPLACE, a->own, a->atoms[ATOM__NET_WM_NAME], a->atoms[ATOM_UTF8_STRING], 8, sizeof name - 1, name);
	return xcb_connection_has_error(a->x) ? err_set(e, EIO, "the X connection broke") : 0;
}

static void set_state(struct agent *a, struct win *w)
{
	const uint32_t icccm[2] = { w->flags & GUI_FLAG_MINIMIZE ? STATE_ICONIC : STATE_NORMAL, 0 };
	uint32_t v[3];
	size_t n = 0;

	if (w->flags & GUI_FLAG_FULLSCREEN)
		v[n++] = a->atoms[ATOM__NET_WM_STATE_FULLSCREEN];
	if (w->flags & GUI_FLAG_MINIMIZE)
		v[n++] = a->atoms[ATOM__NET_WM_STATE_HIDDEN];
	if (w->flags & GUI_FLAG_ATTENTION)
		v[n++] = a->atoms[ATOM__NET_WM_STATE_DEMANDS_ATTENTION];
	x_set32(a, w->id, a->atoms[ATOM__NET_WM_STATE], XCB_ATOM_ATOM, v, n);
	x_set32(a, w->id, a->atoms[ATOM_WM_STATE], a->atoms[ATOM_WM_STATE], icccm, 2);
}

void wm_mapped(struct agent *a, struct win *w)
{
	props_map(a, w);
	set_state(a, w);
}

void wm_flags(struct agent *a, struct win *w, uint32_t set, uint32_t unset)
{
	w->flags = (w->flags | (set & (GUI_FLAG_FULLSCREEN | GUI_FLAG_MINIMIZE | GUI_FLAG_ATTENTION))) & ~unset;
	if (w->mapped && !w->override)
		set_state(a, w);
}

/* A program's wish. Without a guid it is granted at once, so that nobody waits for what nobody will say. */
static void wish(struct agent *a, struct win *w, uint32_t set, uint32_t unset)
{
	if (w->announced)
		SEND(a, window_flags, w->id, .set = set, .unset = unset);
	else
		wm_flags(a, w, set, unset);
	/* attention is only ever asked for: the host says nothing of it */
	if ((set | unset) & GUI_FLAG_ATTENTION)
		wm_flags(a, w, set & GUI_FLAG_ATTENTION, unset & GUI_FLAG_ATTENTION);
}

static uint32_t state_flag(const struct agent *a, uint32_t atom)
{
	if (atom == a->atoms[ATOM__NET_WM_STATE_FULLSCREEN])
		return GUI_FLAG_FULLSCREEN;
	if (atom == a->atoms[ATOM__NET_WM_STATE_DEMANDS_ATTENTION])
		return GUI_FLAG_ATTENTION;
	if (atom == a->atoms[ATOM__NET_WM_STATE_HIDDEN])
		return GUI_FLAG_MINIMIZE;
	return 0;
}

static void on_state(struct agent *a, struct win *w, const uint32_t v[5])
{
	uint32_t flags = state_flag(a, v[1]) | (v[2] ? state_flag(a, v[2]) : 0);
	uint32_t set = v[0] == ACTION_ADD ? flags : v[0] == ACTION_REMOVE ? 0 : flags & ~w->flags;

	if (flags)
		wish(a, w, set, flags & ~set);
}

void wm_message(struct agent *a, const xcb_client_message_event_t *m)
{
	struct win *w = win_find(a, m->window);
	const uint32_t *v = m->data.data32;

	if (!w || w->override || w->icon)
		return;
	if (m->type == a->atoms[ATOM__NET_WM_STATE])
		on_state(a, w, v);
	else if (m->type == a->atoms[ATOM_WM_CHANGE_STATE] && v[0] == STATE_ICONIC)
		wish(a, w, GUI_FLAG_MINIMIZE, 0);
	else if (m->type == a->atoms[ATOM__NET_ACTIVE_WINDOW] && w->id != a->focus)
		wish(a, w, GUI_FLAG_ATTENTION, 0); /* the focus is the user's to give */
	else if (m->type == a->atoms[ATOM__NET_CLOSE_WINDOW])
		wm_close(a, w);
}

bool wm_protocol(struct agent *a, uint32_t window, uint32_t atom)
{
	size_t n;
	_cleanup_free_ uint8_t *v = x_prop(a, window, a->atoms[ATOM_WM_PROTOCOLS], XCB_ATOM_ATOM, 256, &n, NULL);
	struct rd r = rd_mem(v ? v : (const uint8_t *)"", v ? n : 0);

	while (rd_left(&r) >= 4)
		if (rd_u32le(&r) == atom)
			return true;
	return false;
}

static void protocol_send(struct agent *a, uint32_t window, uint32_t atom)
{
	const uint32_t v[5] = { atom, XCB_CURRENT_TIME };

	x_message(a, window, window, a->atoms[ATOM_WM_PROTOCOLS], 0, v);
}

void wm_close(struct agent *a, struct win *w)
{
	if (wm_protocol(a, w->id, a->atoms[ATOM_WM_DELETE_WINDOW]))
		protocol_send(a, w->id, a->atoms[ATOM_WM_DELETE_WINDOW]);
	else if (!x_own(a, w->id))
		xcb_kill_client(a->x, w->id);
}

/* Whether a program takes the focus by itself, and nobody should give it. */
static bool wants_input(struct agent *a, uint32_t window)
{
	size_t n;
	_cleanup_free_ uint8_t *v = x_prop(a, window, XCB_ATOM_WM_HINTS, XCB_ATOM_WM_HINTS, 8, &n, NULL);
	struct rd r = rd_mem(v ? v : (const uint8_t *)"", v ? n : 0);
	uint32_t flags = rd_u32le(&r), input = rd_u32le(&r);

	return !rd_ok(&r) || !(flags & INPUT_HINT) || input;
}

void wm_focus(struct agent *a, struct win *w)
{
	static const uint32_t above = XCB_STACK_MODE_ABOVE;

	if (!w->mapped)
		return;
	a->focus = w->id;
	xcb_configure_window(a->x, w->id, XCB_CONFIG_WINDOW_STACK_MODE, &above);
	if (wants_input(a, w->id) || w->override)
		xcb_set_input_focus(a->x, XCB_INPUT_FOCUS_PARENT, w->id, XCB_CURRENT_TIME);
	if (wm_protocol(a, w->id, a->atoms[ATOM_WM_TAKE_FOCUS]))
		protocol_send(a, w->id, a->atoms[ATOM_WM_TAKE_FOCUS]);
	x_set32(a, a->root, a->atoms[ATOM__NET_ACTIVE_WINDOW], XCB_ATOM_WINDOW, &w->id, 1);
	if (w->flags & GUI_FLAG_ATTENTION)
		wm_flags(a, w, 0, GUI_FLAG_ATTENTION);
}

void wm_unfocus(struct agent *a, struct win *w)
{
	static const uint32_t none = 0;

	if (a->focus != w->id)
		return;
	a->focus = 0;
	xcb_set_input_focus(a->x, XCB_INPUT_FOCUS_NONE, XCB_INPUT_FOCUS_NONE, XCB_CURRENT_TIME);
	x_set32(a, a->root, a->atoms[ATOM__NET_ACTIVE_WINDOW], XCB_ATOM_WINDOW, &none, 1);
}
