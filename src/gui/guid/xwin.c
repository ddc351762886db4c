/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Windows on the X server. outer is what window managers see; its background is the label's colour, so the server itself paints the frame before anything else
 * can be seen. In it lie strip (name and title) and inner, whose border is the label's pattern and whose inside is the only place for the qube's pixels.
 */
#include "gui/guid/x.h"

#define HANDLE_EVENTS (XCB_EVENT_MASK_BUTTON_PRESS | XCB_EVENT_MASK_BUTTON_RELEASE | XCB_EVENT_MASK_BUTTON_1_MOTION)
#define OUTER_EVENTS                                                                                                   \
	(XCB_EVENT_MASK_KEY_PRESS | XCB_EVENT_MASK_KEY_RELEASE | XCB_EVENT_MASK_FOCUS_CHANGE | XCB_EVENT_MASK_STRUCTURE_NOTIFY | XCB_EVENT_MASK_PROPERTY_CHANGE | \
	 HANDLE_EVENTS)
#define INNER_EVENTS                                                                                                   \
	(XCB_EVENT_MASK_BUTTON_PRESS | XCB_EVENT_MASK_BUTTON_RELEASE | XCB_EVENT_MASK_POINTER_MOTION | XCB_EVENT_MASK_ENTER_WINDOW | XCB_EVENT_MASK_LEAVE_WINDOW | \
	 XCB_EVENT_MASK_EXPOSURE)

static xcb_window_t child(struct xs *x, xcb_window_t parent, const struct rect *r, uint32_t border, uint32_t mask, const uint32_t *values)
{
	xcb_window_t id = xcb_generate_id(x->c);

	xcb_create_window(x->c, XCB_COPY_FROM_PARENT, id, parent, (int16_t)r->x, (int16_t)r->y, (uint16_t)r->w, (uint16_t)r->h, (uint16_t)border,
			  XCB_WINDOW_CLASS_INPUT_OUTPUT, XCB_COPY_FROM_PARENT, mask, values);
	return id;
}

void xs_create(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;
	struct frame f = win_frame(w);
	struct rect out = frame_outer(&f, &w->in), in = { (int32_t)(f.left - f.pattern), (int32_t)(f.top - f.pattern), w->in.w, w->in.h };
	struct rect strip = { (int32_t)FRAME_SOLID, (int32_t)FRAME_SOLID, MAX(out.w, 2 * FRAME_SOLID + 1) - 2 * FRAME_SOLID, FRAME_STRIP };

	w->outer = child(x, x->s->root, &out, 0, XCB_CW_BACK_PIXEL | XCB_CW_BIT_GRAVITY | XCB_CW_EVENT_MASK,
			 (uint32_t[]){ g->colour, XCB_GRAVITY_NORTH_WEST, OUTER_EVENTS });
	w->strip = child(x, w->outer, &strip, 0, XCB_CW_BACK_PIXEL | XCB_CW_EVENT_MASK,
			 (uint32_t[]){ g->colour, XCB_EVENT_MASK_EXPOSURE | HANDLE_EVENTS });
	w->inner = child(x, w->outer, &in, f.pattern, XCB_CW_BACK_PIXEL | XCB_CW_BORDER_PIXMAP | XCB_CW_BIT_GRAVITY | XCB_CW_EVENT_MASK,
			 (uint32_t[]){ g->o.window_background_color, x->tile, XCB_GRAVITY_NORTH_WEST, INNER_EVENTS });
	w->reparented = w->embedded = false;
	x_props_new(g, w);
	xs_inside(g, w);
}

void xs_destroy(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;

	if (w->pixmap)
		xcb_free_pixmap(x->c, w->pixmap);
	if (w->outer)
		xcb_destroy_window(x->c, w->outer);
	w->outer = w->inner = w->strip = w->pixmap = 0;
	w->reparented = w->embedded = false;
	w->putting = false;
}

void xs_inside(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;
	struct frame f = win_frame(w);
	struct rect out = frame_outer(&f, &w->in);
	const uint16_t all = XCB_CONFIG_WINDOW_X | XCB_CONFIG_WINDOW_Y | XCB_CONFIG_WINDOW_WIDTH | XCB_CONFIG_WINDOW_HEIGHT;

	if (f.strip && !w->tiny) {
		xcb_configure_window(x->c, w->strip, XCB_CONFIG_WINDOW_WIDTH, (uint32_t[]){ out.w - 2 * FRAME_SOLID });
		xcb_map_window(x->c, w->strip);
	} else {
		xcb_unmap_window(x->c, w->strip);
	}
	xcb_configure_window(x->c, w->inner, all | XCB_CONFIG_WINDOW_BORDER_WIDTH,
			     (uint32_t[]){ f.left - f.pattern, f.top - f.pattern, w->in.w, w->in.h, f.pattern });
	(w->tiny ? xcb_unmap_window : xcb_map_window)(x->c, w->inner);
}

void xs_place(struct guid *g, struct win *w, bool move)
{
	struct xs *x = g->xs;
	struct frame f = win_frame(w);
	struct rect out = frame_outer(&f, &w->in);
	uint16_t mask = XCB_CONFIG_WINDOW_WIDTH | XCB_CONFIG_WINDOW_HEIGHT;
	uint32_t v[4] = { (uint32_t)out.x, (uint32_t)out.y, out.w, out.h };

	if (w->docked)
		return;
	if (move)
		mask |= XCB_CONFIG_WINDOW_X | XCB_CONFIG_WINDOW_Y;
	xcb_configure_window(x->c, w->outer, mask, move ? v : v + 2);
	/* Of a managed window that is on the screen the window manager decides; the inside follows when it has. */
	if (!w->mapped || w->override) {
		w->tiny = false;
		xs_inside(g, w);
	}
}

void xs_map(struct guid *g, struct win *w, bool raise, bool no_focus)
{
	struct xs *x = g->xs;

	xcb_change_window_attributes(x->c, w->outer, XCB_CW_OVERRIDE_REDIRECT, (uint32_t[]){ w->override });
	xs_inside(g, w);
	xs_hints(g, w);
	if (!w->override && (no_focus || g->user_time))
		x_user_time(g, w, no_focus ? 0 : g->user_time);
	if (w->override) {
		if (raise)
			xcb_configure_window(x->c, w->outer, XCB_CONFIG_WINDOW_STACK_MODE, (uint32_t[]){ XCB_STACK_MODE_ABOVE });
		x_lock_below(g, w);
	}
	xcb_map_window(x->c, w->outer);
	if (no_focus)
		xs_state(g, w, XS_ATTENTION, true);
}

void xs_unmap(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;
	xcb_unmap_notify_event_t ev = { .response_type = XCB_UNMAP_NOTIFY, .event = x->s->root, .window = w->outer };
	char wire[32] = { 0 };

	xcb_unmap_window(x->c, w->outer);
	if (w->override || w->docked)
		return;
	/* So that the window manager lets go of an iconified one too. */
	memcpy(wire, &ev, sizeof ev);
	xcb_send_event(x->c, 0, x->s->root, XCB_EVENT_MASK_SUBSTRUCTURE_REDIRECT | XCB_EVENT_MASK_SUBSTRUCTURE_NOTIFY, wire);
}

void xs_cursor(struct guid *g, struct win *w, uint32_t cursor)
{
	struct xs *x = g->xs;
	uint32_t glyph = cursor - GUI_CURSOR_X, value = XCB_NONE;

	if (cursor) {
		if (!x->cursors[glyph / 2]) {
			x->cursors[glyph / 2] = xcb_generate_id(x->c);
			xcb_create_glyph_cursor(x->c, x->cursors[glyph / 2], x->cursor_font, x->cursor_font, (uint16_t)glyph, (uint16_t)(glyph + 1), 0, 0, 0,
						0xffff, 0xffff, 0xffff);
		}
		value = x->cursors[glyph / 2];
	}
	xcb_change_window_attributes(x->c, w->inner, XCB_CW_CURSOR, &value);
}
