/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Properties of outer windows, and messages to the window manager. */
#include "base/str.h"
#include "gui/guid/x.h"

#define ICON 32u

static void prop(struct xs *x, struct win *w, xcb_atom_t name, xcb_atom_t type, uint8_t format, size_t n, const void *data)
{
	xcb_change_property(x->c, XCB_PROP_MODE_REPLACE, w->outer, name, type, format, (uint32_t)n, data);
}

static void prop_text(struct xs *x, struct win *w, xcb_atom_t name, xcb_atom_t type, const char *s)
{
	prop(x, w, name, type, 8, strlen(s), s);
}

/* A tile in the label's colour and pattern, until the program has an icon of its own. */
static void own_icon(struct guid *g, struct win *w)
{
	static uint32_t data[2 + ICON * ICON];
	uint32_t contrast = text_contrast(g->colour);

	data[0] = data[1] = ICON;
	for (uint32_t y = 0; y < ICON; y++)
		for (uint32_t xx = 0; xx < ICON; xx++) {
			bool rim = y < 4 || xx < 4 || y >= ICON - 4 || xx >= ICON - 4;

			data[2 + y * ICON + xx] = 0xff000000 | (!rim && text_pattern(g->label, xx, y) ? contrast : g->colour);
		}
	prop(g->xs, w, g->xs->atom[A__NET_WM_ICON], XCB_ATOM_CARDINAL, 32, ARRAY_SIZE(data), data);
}

void xs_icon(struct guid *g, struct win *w, const uint32_t *words, size_t n)
{
	if (n)
		prop(g->xs, w, g->xs->atom[A__NET_WM_ICON], XCB_ATOM_CARDINAL, 32, n, words);
	else
		own_icon(g, w);
}

void x_props_new(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;
	const xcb_atom_t protocols[] = { x->atom[A_WM_DELETE_WINDOW], x->atom[A__NET_WM_PING] };
	/* WM_HINTS: input, window group */
	const uint32_t hints[9] = { 1, 1 };

	prop(x, w, x->atom[A_WM_PROTOCOLS], XCB_ATOM_ATOM, 32, ARRAY_SIZE(protocols), protocols);
	prop(x, w, XCB_ATOM_WM_HINTS, XCB_ATOM_WM_HINTS, 32, ARRAY_SIZE(hints), hints);
	prop(x, w, x->atom[A__NET_WM_PID], XCB_ATOM_CARDINAL, 32, 1, &x->pid);
	prop_text(x, w, XCB_ATOM_WM_CLIENT_MACHINE, XCB_ATOM_STRING, x->host);
	prop(x, w, x->atom[A__QUBES_LABEL], XCB_ATOM_CARDINAL, 8, 1, (uint8_t[]){ (uint8_t)g->label });
	prop(x, w, x->atom[A__QUBES_LABEL_COLOR], XCB_ATOM_CARDINAL, 32, 1, &g->colour);
	prop_text(x, w, x->atom[A__QUBES_VMNAME], XCB_ATOM_STRING, g->name);
	prop(x, w, x->atom[A__QUBES_VMWINDOWID], XCB_ATOM_WINDOW, 32, 1, &w->id);
	own_icon(g, w);
	/* MWM hints: flags (decorations are meant), functions, decorations, input mode, status. The strip is the one title; a bar of the window manager above it
	   would say the same once more, in no colour. */
	prop(x, w, x->atom[A__MOTIF_WM_HINTS], x->atom[A__MOTIF_WM_HINTS], 32, 5, (uint32_t[5]){ 2 });
	xs_class(g, w);
	xs_title(g, w);
	xs_hints(g, w);
}

void xs_class(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;
	char text[2 * (GUID_NAME_CAP + TEXT_CLASS_CAP + 64)];
	struct wr out = wr_mem(text, sizeof text);
	bool set = w->class[0] || w->instance[0];

	/* Before the program has said its class: the name of the qube or of its icon. The prefix keeps a qube's classes apart from the host's. */
	wr_str(&out, g->name);
	wr_u8(&out, ':');
	wr_cstr(&out, set ? w->instance : g->icon[0] ? g->icon : g->name);
	wr_str(&out, g->name);
	wr_u8(&out, ':');
	wr_cstr(&out, set ? w->class : g->icon[0] ? g->icon : g->name);
	if (wr_ok(&out))
		prop(x, w, XCB_ATOM_WM_CLASS, XCB_ATOM_STRING, 8, out.len, text);
}

void xs_title(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;
	char text[GUID_NAME_CAP + TEXT_TITLE_CAP + 8];

	if (str_printf(text, sizeof text, "[%s]%s%s", g->name, w->title[0] ? " " : "", w->title) < 0)
		return;
	prop_text(x, w, XCB_ATOM_WM_NAME, x->atom[A_UTF8_STRING], text);
	prop_text(x, w, x->atom[A__NET_WM_NAME], x->atom[A_UTF8_STRING], text);
	prop_text(x, w, XCB_ATOM_WM_ICON_NAME, x->atom[A_UTF8_STRING], text);
	x_strip(g, w);
}

void xs_hints(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;
	const struct gui_window_hints *h = &w->hints;
	struct frame f = win_frame(w);
	uint32_t dw = f.left + f.right, dh = f.top + f.bottom;
	/* WM_SIZE_HINTS: flags, 4 unused, min, max, increment, aspect (4), base, gravity. Gravity static: positions are those of the window itself. */
	uint32_t v[18] = { (h->flags & GUI_HINTS) | GUI_HINT_MIN_SIZE | 512 };

	/* Never so small that the frame does not fit. */
	v[5] = dw + (h->flags & GUI_HINT_MIN_SIZE ? h->min_w : 1);
	v[6] = dh + (h->flags & GUI_HINT_MIN_SIZE ? h->min_h : 1);
	v[7] = dw + h->max_w;
	v[8] = dh + h->max_h;
	v[9] = h->w_inc;
	v[10] = h->h_inc;
	v[15] = dw + h->base_w;
	v[16] = dh + h->base_h;
	v[17] = 10;
	if ((h->flags & GUI_HINT_INCREMENT) && !(h->flags & GUI_HINT_BASE_SIZE)) {
		v[0] |= GUI_HINT_BASE_SIZE;
		v[15] = v[5];
		v[16] = v[6];
	}
	prop(x, w, XCB_ATOM_WM_NORMAL_HINTS, XCB_ATOM_WM_SIZE_HINTS, 32, ARRAY_SIZE(v), v);
}

void xs_transient(struct guid *g, struct win *w, const struct win *of)
{
	if (of)
		prop(g->xs, w, XCB_ATOM_WM_TRANSIENT_FOR, XCB_ATOM_WINDOW, 32, 1, &of->outer);
	else
		xcb_delete_property(g->xs->c, w->outer, XCB_ATOM_WM_TRANSIENT_FOR);
}

void x_user_time(struct guid *g, struct win *w, uint32_t time)
{
	prop(g->xs, w, g->xs->atom[A__NET_WM_USER_TIME], XCB_ATOM_CARDINAL, 32, 1, &time);
}

void x_tell_wm(struct xs *x, xcb_window_t window, enum x_atom type, const uint32_t data[5])
{
	xcb_client_message_event_t ev = { .response_type = XCB_CLIENT_MESSAGE, .format = 32, .window = window, .type = x->atom[type] };
	char wire[32];

	memcpy(ev.data.data32, data, sizeof ev.data.data32);
	memcpy(wire, &ev, sizeof wire);
	xcb_send_event(x->c, 0, x->s->root, XCB_EVENT_MASK_SUBSTRUCTURE_REDIRECT | XCB_EVENT_MASK_SUBSTRUCTURE_NOTIFY, wire);
}

void xs_state(struct guid *g, struct win *w, enum xs_state state, bool on)
{
	struct xs *x = g->xs;
	xcb_atom_t a = 0, b = 0;

	if (state == XS_FULLSCREEN) {
		a = x->atom[A__NET_WM_STATE_FULLSCREEN];
	} else if (state == XS_ATTENTION) {
		a = x->atom[A__NET_WM_STATE_DEMANDS_ATTENTION];
	} else {
		a = x->atom[A__NET_WM_STATE_MAXIMIZED_VERT];
		b = x->atom[A__NET_WM_STATE_MAXIMIZED_HORZ];
	}
	if (w->mapped) {
		x_tell_wm(x, w->outer, A__NET_WM_STATE, (uint32_t[5]){ on, a, b, 1 });
		return;
	}
	/* Of a window that the window manager does not know yet this is read when it is mapped. */
	if (on)
		prop(x, w, x->atom[A__NET_WM_STATE], XCB_ATOM_ATOM, 32, b ? 2 : 1, (xcb_atom_t[]){ a, b });
	else
		xcb_delete_property(x->c, w->outer, x->atom[A__NET_WM_STATE]);
}

void xs_iconify(struct guid *g, struct win *w)
{
	x_tell_wm(g->xs, w->outer, A_WM_CHANGE_STATE, (uint32_t[5]){ 3 });
}

/* The words of a property of at most 32 of them. */
static size_t words(struct xs *x, xcb_window_t window, enum x_atom name, uint32_t ret[32])
{
	_cleanup_free_ xcb_get_property_reply_t *p =
		xcb_get_property_reply(x->c, xcb_get_property(x->c, 0, window, x->atom[name], XCB_GET_PROPERTY_TYPE_ANY, 0, 32), NULL);
	size_t n = p && p->format == 32 ? (size_t)xcb_get_property_value_length(p) / 4 : 0;

	n = MIN(n, (size_t)32);
	if (n)
		memcpy(ret, xcb_get_property_value(p), n * 4);
	return n;
}

uint32_t x_word(struct xs *x, xcb_window_t window, enum x_atom name)
{
	uint32_t v[32];

	return words(x, window, name, v) ? v[0] : 0;
}

void x_state_changed(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;
	uint32_t v[32];
	size_t n = words(x, w->outer, A__NET_WM_STATE, v);
	bool full = false, vert = false, horz = false, hidden = false;

	if (!w->mapped || w->docked)
		return;
	for (size_t i = 0; i < n; i++) {
		full |= v[i] == x->atom[A__NET_WM_STATE_FULLSCREEN];
		vert |= v[i] == x->atom[A__NET_WM_STATE_MAXIMIZED_VERT];
		horz |= v[i] == x->atom[A__NET_WM_STATE_MAXIMIZED_HORZ];
		hidden |= v[i] == x->atom[A__NET_WM_STATE_HIDDEN];
	}
	n = words(x, w->outer, A_WM_STATE, v);
	hidden |= n >= 1 && v[0] == 3;
	host_state(g, w, full, vert && horz, hidden);
}
