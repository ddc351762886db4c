/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The clipboard. When guid asks, the qube's CLIPBOARD is read as text and sent; what guid sends becomes the qube's CLIPBOARD and PRIMARY, offered by us until
 * another program takes them, or, if the qube wants that, until a minute has gone.
 */
#include "agent/gui/agent.h"
#include "agent/gui/cliptext.h"
#include "base/io.h"
#include "base/log.h"

#define PIECES_TIMES 5 /* as long for all of them as for one */

/* Steps of a request. */
enum { STEP_NONE, STEP_UTF8, STEP_LATIN1, STEP_PIECES };

static void answer(struct agent *a, const void *p, size_t n)
{
	const struct gui_clipboard_data m = { 0 };
	struct wr o = wr_grow(GUI_CLIPBOARD_MAX + 64);

	/* one byte more says that there was more */
	n = MIN(n, (size_t)GUI_CLIPBOARD_MAX + 1);
	gui_put_clipboard_data(&o, 0, &m, n);
	wr_bytes(&o, p, n);
	if (wr_ok(&o))
		link_send(a, o.buf, o.len);
	wr_free(&o);
	a->clip_step = STEP_NONE;
	wr_free(&a->clip_pieces);
	ev_timer_stop(a->clip_timer);
}

static void on_silence(struct ev_timer *t, void *arg)
{
	struct agent *a = arg;

	if (a->clip_step != STEP_NONE)
		answer(a, "", 0);
	agent_settle(a);
}

static void drop_own(struct agent *a)
{
	if (a->clip)
		explicit_bzero(a->clip, a->clip_len);
	free(STEAL_PTR(a->clip));
	a->clip_len = 0;
}

/* Blanked, not given up: a program that asks gets nothing instead of what somebody else offers. */
static void on_wipe(struct ev_timer *t, void *arg)
{
	struct agent *a = arg;

	drop_own(a);
	log_info("clipboard wiped");
	agent_settle(a);
}

int clip_start(struct agent *a, struct err *e)
{
	a->clip_timer = ev_timer_new(a->loop, on_silence, a);
	a->wipe_timer = ev_timer_new(a->loop, on_wipe, a);
	return a->clip_timer && a->wipe_timer ? 0 : err_set(e, ENOMEM, "timers");
}

static void convert(struct agent *a, uint32_t target, unsigned step)
{
	a->clip_step = step;
	xcb_convert_selection(a->x, a->own, a->atoms[ATOM_CLIPBOARD], target, a->atoms[ATOM__BULKHEAD_CLIP], XCB_CURRENT_TIME);
}

void clip_ask(struct agent *a)
{
	_cleanup_free_ xcb_get_selection_owner_reply_t *r =
		xcb_get_selection_owner_reply(a->x, xcb_get_selection_owner(a->x, a->atoms[ATOM_CLIPBOARD]), NULL);

	if (!r || r->owner == XCB_WINDOW_NONE) {
		answer(a, "", 0);
	} else if (r->owner == a->own) {
		answer(a, a->clip ? a->clip : (const uint8_t *)"", a->clip_len);
	} else {
		convert(a, a->atoms[ATOM_UTF8_STRING], STEP_UTF8);
		ev_timer_start(a->clip_timer, a->o.answer_ms);
	}
}

static void take(struct agent *a, const uint8_t *p, size_t n, uint32_t type)
{
	struct wr w = wr_grow(2 * GUI_CLIPBOARD_MAX + 16);

	if (type == XCB_ATOM_STRING) {
		text_from_latin1(&w, p, n);
		answer(a, w.buf ? w.buf : p, w.len);
	} else {
		answer(a, p, n);
	}
	wr_free(&w);
}

void clip_notify(struct agent *a, const xcb_selection_notify_event_t *ev)
{
	unsigned step = a->clip_step;
	uint32_t type = 0;
	size_t n;

	if (ev->requestor != a->own || step == STEP_NONE || ev->selection != a->atoms[ATOM_CLIPBOARD])
		return;
	if (ev->property == XCB_ATOM_NONE) {
		if (step == STEP_UTF8)
			convert(a, XCB_ATOM_STRING, STEP_LATIN1);
		else
			answer(a, "", 0);
		return;
	}
	_cleanup_free_ uint8_t *p = x_prop(a, a->own, a->atoms[ATOM__BULKHEAD_CLIP], 0, GUI_CLIPBOARD_MAX + 1, &n, &type);

	xcb_delete_property(a->x, a->own, a->atoms[ATOM__BULKHEAD_CLIP]);
	if (type != a->atoms[ATOM_INCR]) {
		take(a, p ? p : (const uint8_t *)"", p ? n : 0, type);
		return;
	}
	/* In pieces: the end of the property asks for the first one. */
	a->clip_step = STEP_PIECES;
	a->clip_pieces = wr_grow(2 * GUI_CLIPBOARD_MAX + 2);
	a->clip_until = now_us() / 1000 + PIECES_TIMES * a->o.answer_ms;
	ev_timer_start(a->clip_timer, a->o.answer_ms);
}

/* The owner writes a piece, we take it away, and that asks for the next; an empty one is the end. Nothing beyond what fits into an answer is kept. */
void clip_piece(struct agent *a, const xcb_property_notify_event_t *ev)
{
	uint64_t now = now_us() / 1000;
	uint32_t type = 0;
	size_t n;

	if (ev->atom != a->atoms[ATOM__BULKHEAD_CLIP] || ev->state != XCB_PROPERTY_NEW_VALUE)
		return;
	/* A program that is still at an answer that was given up comes to its end this way. */
	if (a->clip_step == STEP_NONE)
		xcb_delete_property(a->x, a->own, a->atoms[ATOM__BULKHEAD_CLIP]);
	if (a->clip_step != STEP_PIECES)
		return;
	_cleanup_free_ uint8_t *p = x_prop(a, a->own, a->atoms[ATOM__BULKHEAD_CLIP], 0, GUI_CLIPBOARD_MAX + 1, &n, &type);

	if (!p)
		return;
	xcb_delete_property(a->x, a->own, a->atoms[ATOM__BULKHEAD_CLIP]);
	if (n && type == XCB_ATOM_STRING)
		text_from_latin1(&a->clip_pieces, p, n);
	else
		wr_bytes(&a->clip_pieces, p, n);
	if (n == 0 || a->clip_pieces.len > GUI_CLIPBOARD_MAX || !wr_ok(&a->clip_pieces)) {
		answer(a, a->clip_pieces.buf ? a->clip_pieces.buf : p, a->clip_pieces.len);
		return;
	}
	ev_timer_start(a->clip_timer, now < a->clip_until ? MIN(a->o.answer_ms, a->clip_until - now) : 0);
}

void clip_set(struct agent *a, struct rd text)
{
	size_t n = rd_left(&text);
	const uint8_t *p = rd_view(&text, n);

	drop_own(a);
	if (n > GUI_CLIPBOARD_MAX || !text_is_utf8(p, n)) {
		log_warn("the text from the host is no UTF-8, or too long: the clipboard is empty now");
		n = 0;
	}
	a->clip = xmalloc(n + 1);
	memcpy(a->clip, p, n);
	a->clip_len = n;
	xcb_set_selection_owner(a->x, a->own, a->atoms[ATOM_CLIPBOARD], XCB_CURRENT_TIME);
	xcb_set_selection_owner(a->x, a->own, XCB_ATOM_PRIMARY, XCB_CURRENT_TIME);
	a->clip_own = true;
	ev_timer_stop(a->wipe_timer);
	if (a->o.wipe_flag && access(a->o.wipe_flag, F_OK) == 0)
		ev_timer_start(a->wipe_timer, a->o.wipe_ms);
}

/* Gives whether the target is one that we have. */
static bool put_target(struct agent *a, uint32_t window, uint32_t prop, uint32_t target)
{
	const uint32_t all[] = { a->atoms[ATOM_TARGETS], a->atoms[ATOM_UTF8_STRING], XCB_ATOM_STRING, a->atoms[ATOM_TEXT], a->atoms[ATOM_COMPOUND_TEXT] };
	struct wr w = wr_grow(GUI_CLIPBOARD_MAX + 64);
	const uint8_t *p = a->clip ? a->clip : (const uint8_t *)"";

	if (target == a->atoms[ATOM_TARGETS]) {
		x_set32(a, window, prop, XCB_ATOM_ATOM, all, ARRAY_SIZE(all));
		return true;
	}
	if (target == a->atoms[ATOM_UTF8_STRING] || target == a->atoms[ATOM_TEXT])
		wr_bytes(&w, p, a->clip_len);
	else if (target == XCB_ATOM_STRING)
		text_to_latin1(&w, p, a->clip_len);
	else if (target == a->atoms[ATOM_COMPOUND_TEXT])
		text_to_compound(&w, p, a->clip_len);
	else
		return false;
	if (target == a->atoms[ATOM_TEXT])
		target = a->atoms[ATOM_UTF8_STRING];
	xcb_change_property(a->x, XCB_PROP_MODE_REPLACE, window, prop, target, 8, (uint32_t)w.len, w.buf ? w.buf : p);
	wr_free(&w);
	return true;
}

void clip_request(struct agent *a, const xcb_selection_request_event_t *r)
{
	xcb_selection_notify_event_t n = {
		.response_type = XCB_SELECTION_NOTIFY, .time = r->time, .requestor = r->requestor, .selection = r->selection, .target = r->target,
	};
	uint32_t prop = r->property ? r->property : r->target;

	if (r->owner == a->own && r->selection != a->atoms[ATOM__NET_SYSTEM_TRAY_S0] && put_target(a, r->requestor, prop, r->target))
		n.property = prop;
	xcb_send_event(a->x, 0, r->requestor, 0, (const char *)&n);
}

/* Another program has copied something; PRIMARY goes its own way. */
void clip_clear(struct agent *a, const xcb_selection_clear_event_t *c)
{
	if (c->owner != a->own || c->selection != a->atoms[ATOM_CLIPBOARD])
		return;
	_cleanup_free_ xcb_get_selection_owner_reply_t *r =
		xcb_get_selection_owner_reply(a->x, xcb_get_selection_owner(a->x, XCB_ATOM_PRIMARY), NULL);

	a->clip_own = false;
	if (!r || r->owner != a->own)
		drop_own(a);
}
