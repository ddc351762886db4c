/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What of a frame can be taken hold of: the strip with name, title and three buttons, which moves the window, and the edges, which resize it. Moving is the window
 * manager's work; no part of this is the qube's to see or to draw.
 */
#include "gui/guid/x.h"

#define BUTTON_W 16u
#define BUTTONS_FROM_W 120u /* width of a strip from which on it has buttons */
#define DRAG_FROM 4	    /* pixels */
#define DOUBLE_MS 400u
#define CORNER 16

enum { B_MINIMIZE, B_MAXIMIZE, B_CLOSE, B_N };
/* Directions of _NET_WM_MOVERESIZE. */
enum { TOP_LEFT, TOP, TOP_RIGHT, RIGHT, BOTTOM_RIGHT, BOTTOM, BOTTOM_LEFT, LEFT, MOVE };

static uint32_t strip_width(const struct win *w)
{
	struct frame f = win_frame(w);
	struct rect out = frame_outer(&f, &w->in);

	return f.strip && !w->tiny ? out.w - 2 * FRAME_SOLID : 0;
}

/* The button at x of a strip, -1 for none. */
static int button_at(const struct win *w, int x)
{
	uint32_t width = strip_width(w);
	int from = (int)(width - B_N * BUTTON_W);

	return width < BUTTONS_FROM_W || x < from || x >= (int)width ? -1 : (x - from) / (int)BUTTON_W;
}

/* Characters of at most 255 places, as the font of the X server counts them. */
static uint8_t wide(xcb_char2b_t *out, const char *s)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t left = strlen(s), len;
	uint8_t n = 0;
	uint32_t cp;

	while (left && n < 255 && (len = text_utf8(p, left, &cp))) {
		out[n++] = (xcb_char2b_t){ (uint8_t)(cp >> 8), (uint8_t)cp };
		p += len;
		left -= len;
	}
	return n;
}

static void draw_buttons(struct xs *x, const struct win *w, uint32_t width)
{
	const int16_t a = (int16_t)(width - B_N * BUTTON_W), m = a + (int16_t)BUTTON_W, c = m + (int16_t)BUTTON_W;
	const xcb_segment_t lines[] = {
		{ a + 4, 11, a + 11, 11 }, { a + 4, 12, a + 11, 12 },
		{ c + 4, 4, c + 11, 11 },  { c + 5, 4, c + 11, 10 },  { c + 4, 5, c + 10, 11 },
		{ c + 11, 4, c + 4, 11 },  { c + 10, 4, c + 4, 10 },  { c + 11, 5, c + 5, 11 },
		{ m + 4, 5, m + 11, 5 },
	};

	xcb_clear_area(x->c, 0, w->strip, a - 4, 0, (uint16_t)(B_N * BUTTON_W + 4), (uint16_t)FRAME_STRIP);
	xcb_poly_segment(x->c, w->strip, x->text_gc, ARRAY_SIZE(lines), lines);
	xcb_poly_rectangle(x->c, w->strip, x->text_gc, 1, (xcb_rectangle_t[]){ { m + 4, 4, 7, 7 } });
}

void x_strip(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;
	uint32_t width = strip_width(w);
	char text[GUID_NAME_CAP + TEXT_TITLE_CAP + 8];
	xcb_char2b_t chars[255];
	int n = snprintf(text, sizeof text, "[%s] %s", g->name, w->title);

	if (n < 0 || !w->strip)
		return;
	xcb_clear_area(x->c, 0, w->strip, 0, 0, 0, 0);
	xcb_image_text_16(x->c, wide(chars, text), w->strip, x->text_gc, 4, 12, chars);
	if (width >= BUTTONS_FROM_W)
		draw_buttons(x, w, width);
}

static void maximize(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;

	/* 2: the other state than now; 1: a program asks, on behalf of the user */
	x_tell_wm(x, w->outer, A__NET_WM_STATE,
		  (uint32_t[5]){ 2, x->atom[A__NET_WM_STATE_MAXIMIZED_VERT], x->atom[A__NET_WM_STATE_MAXIMIZED_HORZ], 1 });
}

static void push(struct guid *g, struct win *w, int button)
{
	if (button == B_CLOSE)
		host_close(g, w);
	else if (button == B_MAXIMIZE)
		maximize(g, w);
	else
		xs_iconify(g, w);
}

/* Which edge of the outer window the point x, y of it belongs to; corners are longer than the frame is wide. */
static int edge_at(const struct rect *out, int x, int y)
{
	static const int where[3][3] = { { TOP_LEFT, TOP, TOP_RIGHT }, { LEFT, MOVE, RIGHT }, { BOTTOM_LEFT, BOTTOM, BOTTOM_RIGHT } };
	int col = x < CORNER ? 0 : x >= (int)out->w - CORNER ? 2 : 1, row = y < CORNER ? 0 : y >= (int)out->h - CORNER ? 2 : 1;

	return where[row][col];
}

/* Does the event at x, y of the outer window belong to the frame? */
static bool on_frame(const struct win *w, int x, int y)
{
	struct frame f = win_frame(w);

	return x < (int)f.left || y < (int)f.top || x >= (int)(f.left + w->in.w) || y >= (int)(f.top + w->in.h);
}

static void press(struct guid *g, struct win *w, const xcb_button_press_event_t *ev, const struct rect *out, int x, int y)
{
	struct handle *h = &g->xs->handle;

	*h = (struct handle){ .window = w->outer, .x = ev->root_x, .y = ev->root_y, .button = -1, .direction = MOVE, .last = h->last, .last_ms = h->last_ms };
	if (ev->event != w->strip) {
		h->direction = edge_at(out, x, y);
		return;
	}
	h->button = button_at(w, ev->event_x);
	if (h->button >= 0)
		return;
	if (h->last == w->outer && ev->time - h->last_ms < DOUBLE_MS) {
		*h = (struct handle){ 0 };
		maximize(g, w);
		return;
	}
	h->last = w->outer;
	h->last_ms = ev->time;
}

bool x_handle_press(struct guid *g, struct win *w, const xcb_button_press_event_t *ev)
{
	struct handle *h = &g->xs->handle;
	struct frame f = win_frame(w);
	struct rect out = frame_outer(&f, &w->in);
	bool strip = ev->event == w->strip, down = (ev->response_type & 0x7f) == XCB_BUTTON_PRESS;
	/* in the outer window */
	int x = ev->event_x + (strip ? (int)FRAME_SOLID : ev->event == w->inner ? (int)f.left : 0);
	int y = ev->event_y + (strip ? (int)FRAME_SOLID : ev->event == w->inner ? (int)f.top : 0);

	if (!down && h->window == w->outer && ev->detail == 1) {
		int button = h->button;

		h->window = XCB_NONE;
		if (button >= 0 && strip && button_at(w, ev->event_x) == button && ev->event_y >= 0 && ev->event_y < (int)FRAME_STRIP)
			push(g, w, button);
		return true;
	}
	/* A button that went down in the qube comes up there too, wherever the pointer is by then; and a menu, an icon and a window of the whole screen have no handles. */
	if (!down || w->override || w->docked || w->fullscreen || !on_frame(w, x, y))
		return ev->event != w->inner;
	if (ev->detail == 1)
		press(g, w, ev, &out, x, y);
	return true;
}

bool x_handle_motion(struct guid *g, struct win *w, const xcb_motion_notify_event_t *ev)
{
	struct handle *h = &g->xs->handle;

	if (h->window != w->outer)
		return ev->event != w->inner;
	if (h->button >= 0 || (abs(ev->root_x - h->x) < DRAG_FROM && abs(ev->root_y - h->y) < DRAG_FROM))
		return true;
	/* The window manager takes over, and gets the pointer for that. */
	h->window = h->last = XCB_NONE;
	xcb_ungrab_pointer(g->xs->c, XCB_CURRENT_TIME);
	x_tell_wm(g->xs, w->outer, A__NET_WM_MOVERESIZE, (uint32_t[5]){ (uint32_t)h->x, (uint32_t)h->y, (uint32_t)h->direction, 1, 1 });
	return true;
}
