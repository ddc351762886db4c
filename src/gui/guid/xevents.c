/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Events of the X server, each to the function that it is for. */
#include "gui/guid/x.h"

#define EV(type) const xcb_##type##_event_t *ev = (const void *)any

static void on_configure(struct guid *g, const xcb_generic_event_t *any)
{
	EV(configure_notify);
	struct xs *x = g->xs;
	struct win *w;
	struct rect out = { ev->x, ev->y, ev->width, ev->height };

	if (ev->window == x->s->root) {
		x_work_area(g);
		return;
	}
	w = win_by_x(g, ev->window);
	/* What guid placed itself is where guid knows it to be. */
	if (!w || ev->window != w->outer || !w->mapped || w->override)
		return;
	if (w->reparented && !(any->response_type & 0x80)) {
		_cleanup_free_ xcb_translate_coordinates_reply_t *t =
			xcb_translate_coordinates_reply(x->c, xcb_translate_coordinates(x->c, w->outer, x->s->root, 0, 0), NULL);

		if (t) {
			out.x = t->dst_x;
			out.y = t->dst_y;
		}
	}
	host_geometry(g, w, &out);
}

/* What window managers and other guids go by when a new window asks for the focus. */
static void worked(struct guid *g, struct win *w, bool press, uint32_t time)
{
	if (press && !w->override)
		x_user_time(g, w, time);
}

static void on_key(struct guid *g, const xcb_generic_event_t *any)
{
	EV(key_press);
	struct win *w = win_by_x(g, ev->event);
	struct gui_keypress m = { .type = ev->response_type & 0x7f, .state = ev->state, .keycode = ev->detail };
	struct frame f;

	if (!w)
		return;
	f = win_frame(w);
	m.x = ev->event_x - (int32_t)f.left;
	m.y = ev->event_y - (int32_t)f.top;
	worked(g, w, m.type == XCB_KEY_PRESS, ev->time);
	host_key(g, w, &m, ev->time);
}

static void on_button(struct guid *g, const xcb_generic_event_t *any)
{
	EV(button_press);
	struct win *w = win_by_x(g, ev->event);
	struct gui_button m = { .type = ev->response_type & 0x7f, .x = ev->event_x, .y = ev->event_y, .state = ev->state, .button = ev->detail };

	if (!w)
		return;
	if (x_handle_press(g, w, ev))
		return;
	worked(g, w, m.type == XCB_BUTTON_PRESS, ev->time);
	host_button(g, w, &m, ev->time);
}

static void on_motion(struct guid *g, const xcb_generic_event_t *any)
{
	EV(motion_notify);
	struct win *w = win_by_x(g, ev->event);
	struct gui_motion m = { .x = ev->event_x, .y = ev->event_y, .state = ev->state, .is_hint = ev->detail };

	if (w && !x_handle_motion(g, w, ev))
		host_motion(g, w, &m);
}

static void on_crossing(struct guid *g, const xcb_generic_event_t *any)
{
	EV(enter_notify);
	struct win *w = win_by_x(g, ev->event);
	struct gui_crossing m = { .type = ev->response_type & 0x7f, .x = ev->event_x, .y = ev->event_y, .state = ev->state, .mode = ev->mode,
				  .detail = ev->detail, .focus = ev->same_screen_focus & 1 };

	if (w && ev->event == w->inner)
		host_crossing(g, w, &m);
}

static void on_focus(struct guid *g, const xcb_generic_event_t *any)
{
	EV(focus_in);
	struct win *w = win_by_x(g, ev->event);
	struct gui_focus m = { .type = ev->response_type & 0x7f, .mode = 0, .detail = ev->detail };
	_cleanup_free_ xcb_query_keymap_reply_t *keys = NULL;

	/* Grabs of the keyboard come and go without a change of focus. */
	if (!w || (ev->mode != XCB_NOTIFY_MODE_NORMAL && ev->mode != XCB_NOTIFY_MODE_WHILE_GRABBED))
		return;
	if (m.type == XCB_FOCUS_IN)
		keys = xcb_query_keymap_reply(g->xs->c, xcb_query_keymap(g->xs->c), NULL);
	host_focus(g, w, &m, keys ? keys->keys : NULL);
}

static void on_expose(struct guid *g, const xcb_generic_event_t *any)
{
	EV(expose);
	struct win *w = win_by_x(g, ev->window);
	struct rect r = { ev->x, ev->y, ev->width, ev->height };

	if (!w)
		return;
	if (ev->window == w->inner)
		pix_show(g, w, &r);
	else if (ev->window == w->strip && ev->count == 0)
		x_strip(g, w);
}

static void on_client_message(struct guid *g, const xcb_generic_event_t *any)
{
	EV(client_message);
	struct xs *x = g->xs;
	struct win *w = win_by_x(g, ev->window);

	if (ev->format != 32)
		return;
	if (ev->type == x->atom[A_MANAGER] && ev->data.data32[1] == x->tray_sel)
		x_tray_find(g);
	if (!w || ev->type != x->atom[A_WM_PROTOCOLS])
		return;
	if (ev->data.data32[0] == x->atom[A_WM_DELETE_WINDOW])
		host_close(g, w);
	else if (ev->data.data32[0] == x->atom[A__NET_WM_PING]) {
		xcb_client_message_event_t back = *ev;
		char wire[32];

		back.window = x->s->root;
		memcpy(wire, &back, sizeof wire);
		xcb_send_event(x->c, 0, x->s->root, XCB_EVENT_MASK_SUBSTRUCTURE_REDIRECT | XCB_EVENT_MASK_SUBSTRUCTURE_NOTIFY, wire);
	}
}

static void on_property(struct guid *g, const xcb_generic_event_t *any)
{
	EV(property_notify);
	struct xs *x = g->xs;
	struct win *w;

	if (ev->window == x->s->root) {
		if (ev->atom == x->atom[A__NET_WORKAREA])
			x_work_area(g);
		return;
	}
	w = win_by_x(g, ev->window);
	if (w && (ev->atom == x->atom[A__NET_WM_STATE] || ev->atom == x->atom[A_WM_STATE]))
		x_state_changed(g, w);
}

static void on_reparent(struct guid *g, const xcb_generic_event_t *any)
{
	EV(reparent_notify);
	struct win *w = win_by_x(g, ev->window);

	if (!w || ev->window != w->outer || ev->event != w->outer)
		return;
	w->reparented = ev->parent != g->xs->s->root;
	if (w->docked)
		x_tray_reparented(g, w);
}

static void on_destroy(struct guid *g, const xcb_generic_event_t *any)
{
	EV(destroy_notify);
	struct win *w = win_by_x(g, ev->window);

	x_lock_gone(g, ev->window);
	if (ev->window == g->xs->tray)
		x_tray_find(g);
	if (w && ev->window == w->outer && ev->event == w->outer)
		host_lost(g, w);
}

static void on_map(struct guid *g, const xcb_generic_event_t *any)
{
	EV(map_notify);

	if (ev->event == g->xs->s->root)
		x_lock_mapped(g, ev->window);
}

static void on_unmap(struct guid *g, const xcb_generic_event_t *any)
{
	EV(unmap_notify);

	if (ev->event == g->xs->s->root)
		x_lock_gone(g, ev->window);
}

static void on_mapping(struct guid *g, const xcb_generic_event_t *any)
{
	EV(mapping_notify);

	if (ev->request != XCB_MAPPING_POINTER)
		x_keyboard(g->xs);
}

/* Errors are expected: windows vanish by the hand of others. */
static void on_error(struct guid *g, const xcb_generic_event_t *any)
{
	const xcb_generic_error_t *e = (const void *)any;

	log_debug("X error %u of request %u.%u", e->error_code, e->major_code, e->minor_code);
	if (g->xs->shm_major && e->major_code == g->xs->shm_major)
		for (struct win *w = g->wins; w; w = w->hh.next)
			if (w->putting)
				pix_done(g, w);
}

static void on_put_done(struct guid *g, const xcb_generic_event_t *any)
{
	const xcb_shm_completion_event_t *ev = (const void *)any;

	for (struct win *w = g->wins; w; w = w->hh.next)
		if (ev->drawable && (ev->drawable == w->inner || ev->drawable == w->pixmap)) {
			pix_done(g, w);
			return;
		}
}

static const struct {
	uint8_t type;
	void (*fn)(struct guid *g, const xcb_generic_event_t *any);
} table[] = {
	{ 0, on_error },
	{ XCB_KEY_PRESS, on_key }, { XCB_KEY_RELEASE, on_key },
	{ XCB_BUTTON_PRESS, on_button }, { XCB_BUTTON_RELEASE, on_button },
	{ XCB_MOTION_NOTIFY, on_motion },
	{ XCB_ENTER_NOTIFY, on_crossing }, { XCB_LEAVE_NOTIFY, on_crossing },
	{ XCB_FOCUS_IN, on_focus }, { XCB_FOCUS_OUT, on_focus },
	{ XCB_EXPOSE, on_expose },
	{ XCB_CONFIGURE_NOTIFY, on_configure },
	{ XCB_PROPERTY_NOTIFY, on_property },
	{ XCB_CLIENT_MESSAGE, on_client_message },
	{ XCB_REPARENT_NOTIFY, on_reparent },
	{ XCB_DESTROY_NOTIFY, on_destroy },
	{ XCB_MAP_NOTIFY, on_map }, { XCB_UNMAP_NOTIFY, on_unmap },
	{ XCB_MAPPING_NOTIFY, on_mapping },
};

/* Only what the server itself reports of keyboard and pointer is input: events that another program sends are not. */
static bool is_input(uint8_t type)
{
	return type >= XCB_KEY_PRESS && type <= XCB_FOCUS_OUT;
}

void x_events(struct guid *g)
{
	xcb_generic_event_t *any;

	while (g->ended < 0 && (any = xcb_poll_for_event(g->xs->c))) {
		uint8_t type = any->response_type & 0x7f;

		if (g->bar_size && type == g->xs->shm_event)
			on_put_done(g, any);
		else if (!(any->response_type & 0x80) || !is_input(type))
			for (size_t i = 0; i < ARRAY_SIZE(table); i++)
				if (table[i].type == type)
					table[i].fn(g, any);
		free(any);
	}
}
