/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Properties that programs put on their windows, as messages: title, class, size hints, states at the time of mapping. */
#include "agent/gui/agent.h"
#include "agent/gui/cliptext.h"
#include "base/rd.h"

#define TITLE_MAX 127
#define CLASS_MAX 63
#define HINT_USER_POSITION 1u
#define URGENT 256u

/* A title: UTF-8, at most what the message holds, cut between characters. */
void props_name(struct agent *a, struct win *w)
{
	_cleanup_wr_ struct wr text = wr_grow(8192);
	struct gui_wmname m = { 0 };
	uint8_t out[256];
	struct wr o = wr_mem(out, sizeof out);
	size_t n;
	_cleanup_free_ uint8_t *name = x_prop(a, w->id, a->atoms[ATOM__NET_WM_NAME], a->atoms[ATOM_UTF8_STRING], 1024, &n, NULL);

	if (name && text_is_utf8(name, text_cut(name, n, TITLE_MAX))) {
		wr_bytes(&text, name, n);
	} else {
		free(name);
		name = x_prop(a, w->id, XCB_ATOM_WM_NAME, 0, 1024, &n, NULL);
		if (name && n)
			text_from_latin1(&text, name, n);
	}
	n = text.len ? text_cut(text.buf, text.len, TITLE_MAX) : 0;
	if (n)
		memcpy(m.name, text.buf, n);
	gui_put_wmname(&o, w->id, &m);
	link_send(a, o.buf, o.len);
}

/* WM_CLASS is two texts, each with its NUL: instance, class. */
void props_class(struct agent *a, struct win *w)
{
	struct gui_wmclass m = { 0 };
	uint8_t out[256];
	struct wr o = wr_mem(out, sizeof out);
	size_t n, first;
	_cleanup_free_ uint8_t *text = x_prop(a, w->id, XCB_ATOM_WM_CLASS, XCB_ATOM_STRING, 512, &n, NULL);

	if (!text)
		return;
	first = strnlen((const char *)text, n);
	memcpy(m.res_name, text, MIN(first, (size_t)CLASS_MAX));
	if (first < n)
		memcpy(m.res_class, text + first + 1, MIN(strnlen((const char *)text + first + 1, n - first - 1), (size_t)CLASS_MAX));
	gui_put_wmclass(&o, w->id, &m);
	link_send(a, o.buf, o.len);
}

static uint32_t prop32(struct rd *r)
{
	return rd_left(r) >= 4 ? rd_u32le(r) : 0;
}

/* WM_NORMAL_HINTS: flags, 4 obsolete numbers, min, max, increment, aspect (4), base. */
void props_hints(struct agent *a, struct win *w)
{
	struct gui_window_hints m = { 0 };
	uint8_t out[256];
	struct wr o = wr_mem(out, sizeof out);
	size_t n;
	_cleanup_free_ uint8_t *v = x_prop(a, w->id, XCB_ATOM_WM_NORMAL_HINTS, XCB_ATOM_WM_SIZE_HINTS, 72, &n, NULL);
	struct rd r = rd_mem(v ? v : (const uint8_t *)"", v ? n : 0);

	if (!v)
		return;
	m.flags = prop32(&r);
	if (m.flags & HINT_USER_POSITION)
		m.flags |= GUI_HINT_POSITION;
	m.flags &= GUI_HINTS;
	rd_skip(&r, MIN(rd_left(&r), (size_t)16));
	m.min_w = prop32(&r);
	m.min_h = prop32(&r);
	m.max_w = prop32(&r);
	m.max_h = prop32(&r);
	m.w_inc = prop32(&r);
	m.h_inc = prop32(&r);
	rd_skip(&r, MIN(rd_left(&r), (size_t)16));
	m.base_w = prop32(&r);
	m.base_h = prop32(&r);
	gui_put_window_hints(&o, w->id, &m);
	link_send(a, o.buf, o.len);
}

static uint32_t first32(struct agent *a, uint32_t window, uint32_t prop, uint32_t type)
{
	size_t n;
	_cleanup_free_ uint8_t *v = x_prop(a, window, prop, type, 4, &n, NULL);
	struct rd r = rd_mem(v ? v : (const uint8_t *)"", v ? n : 0);

	return prop32(&r);
}

/* States that a program asked for before its window was mapped, and urgency, which is a hint. */
static uint32_t read_flags(struct agent *a, uint32_t window)
{
	uint32_t flags = 0;
	size_t n;
	_cleanup_free_ uint8_t *v = x_prop(a, window, a->atoms[ATOM__NET_WM_STATE], XCB_ATOM_ATOM, 256, &n, NULL);
	struct rd r = rd_mem(v ? v : (const uint8_t *)"", v ? n : 0);

	while (rd_left(&r) >= 4) {
		uint32_t atom = rd_u32le(&r);

		if (atom == a->atoms[ATOM__NET_WM_STATE_FULLSCREEN])
			flags |= GUI_FLAG_FULLSCREEN;
		else if (atom == a->atoms[ATOM__NET_WM_STATE_DEMANDS_ATTENTION])
			flags |= GUI_FLAG_ATTENTION;
	}
	if (first32(a, window, XCB_ATOM_WM_HINTS, XCB_ATOM_WM_HINTS) & URGENT)
		flags |= GUI_FLAG_ATTENTION;
	return flags;
}

void props_map(struct agent *a, struct win *w)
{
	w->transient_for = first32(a, w->id, XCB_ATOM_WM_TRANSIENT_FOR, XCB_ATOM_WINDOW);
	if (!win_find(a, w->transient_for))
		w->transient_for = 0;
	if (!w->override)
		w->flags |= read_flags(a, w->id);
}

static void urgency(struct agent *a, struct win *w)
{
	bool now = first32(a, w->id, XCB_ATOM_WM_HINTS, XCB_ATOM_WM_HINTS) & URGENT, was = w->flags & GUI_FLAG_ATTENTION;

	if (now == was || !w->mapped)
		return;
	w->flags ^= GUI_FLAG_ATTENTION;
	SEND(a, window_flags, w->id, .set = now ? GUI_FLAG_ATTENTION : 0, .unset = now ? 0 : GUI_FLAG_ATTENTION);
}

void props_changed(struct agent *a, struct win *w, uint32_t atom)
{
	if (!w->announced)
		return;
	if (atom == XCB_ATOM_WM_NAME || atom == a->atoms[ATOM__NET_WM_NAME])
		props_name(a, w);
	else if (atom == XCB_ATOM_WM_CLASS)
		props_class(a, w);
	else if (atom == XCB_ATOM_WM_NORMAL_HINTS)
		props_hints(a, w);
	else if (atom == a->atoms[ATOM__NET_WM_ICON])
		icon_tell(a, w);
	else if (atom == XCB_ATOM_WM_HINTS)
		urgency(a, w);
}
