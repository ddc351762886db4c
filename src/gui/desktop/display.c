/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The X server as far as this program needs it: monitors, the keyboard's name, and a selection whose owner is the one bulkhead-desktop of the display. No
 * window of a qube is looked at.
 */
#include <stdlib.h>
#include <xcb/randr.h>
#include <xcb/xcb.h>

#include "base/log.h"
#include "base/str.h"
#include "gui/desktop/desktop.h"

struct display {
	struct desk *d;
	xcb_connection_t *x;
	xcb_screen_t *screen;
	xcb_window_t own;
	xcb_atom_t selection, look, rules, resources;
	uint8_t randr_event; /* first event of RandR, 0 = there is none */
	bool rootless_keys;  /* XWayland: its keyboard's name says nothing */
	struct ev_io *ev;
};

static xcb_atom_t atom(xcb_connection_t *x, const char *name)
{
	_cleanup_free_ xcb_intern_atom_reply_t *r = xcb_intern_atom_reply(x, xcb_intern_atom(x, 0, (uint16_t)strlen(name), name), NULL);

	return r ? r->atom : XCB_NONE;
}

/* Gives a copy with a NUL behind it, NULL when there is no such property of texts. */
static char *root_text(struct display *p, xcb_atom_t what, size_t *ret_len)
{
	_cleanup_free_ xcb_get_property_reply_t *r =
		xcb_get_property_reply(p->x, xcb_get_property(p->x, 0, p->screen->root, what, XCB_ATOM_STRING, 0, 65536 / 4), NULL);
	char *s;

	if (!r || r->format != 8)
		return NULL;
	*ret_len = (size_t)xcb_get_property_value_length(r);
	s = xmalloc(*ret_len + 1);
	memcpy(s, xcb_get_property_value(r), *ret_len);
	s[*ret_len] = '\0';
	return s;
}

/* --- monitors ---------------------------------------------------------------------------------------------------------- */

/* Resource Xft.dpi: what the user's desktop draws for. */
static uint32_t dpi_of(struct display *p)
{
	size_t n = 0;
	_cleanup_free_ char *all = root_text(p, p->resources, &n);
	const char *s = all ? strstr(all, "Xft.dpi:") : NULL;
	char num[8] = "";
	uint64_t v;

	if (!s || (s != all && s[-1] != '\n'))
		return 0;
	s += strlen("Xft.dpi:");
	s += strspn(s, " \t");
	if (str_printf(num, sizeof num, "%.*s", (int)MIN(strspn(s, "0123456789"), sizeof num - 1), s) < 0 || str_u64(num, 1000, &v) < 0)
		return 0;
	return (uint32_t)v;
}

static size_t monitors(struct display *p, struct monitor m[MONITORS_MAX])
{
	_cleanup_free_ xcb_randr_get_monitors_reply_t *r =
		p->randr_event ? xcb_randr_get_monitors_reply(p->x, xcb_randr_get_monitors(p->x, p->screen->root, 1), NULL) : NULL;
	uint32_t dpi = dpi_of(p);
	size_t n = 0;

	/* The primary one first: new windows of a qube go there. */
	for (int first = 1; r && first >= 0; first--)
		for (xcb_randr_monitor_info_iterator_t i = xcb_randr_get_monitors_monitors_iterator(r); i.rem && n < MONITORS_MAX;
		     xcb_randr_monitor_info_next(&i))
			if ((i.data->primary != 0) == (first == 1) && i.data->width && i.data->height)
				m[n++] = (struct monitor){ .x = i.data->x, .y = i.data->y, .w = i.data->width, .h = i.data->height,
							   .w_mm = i.data->width_in_millimeters, .h_mm = i.data->height_in_millimeters, .dpi = dpi };
	if (n == 0)
		m[n++] = (struct monitor){ .w = p->screen->width_in_pixels, .h = p->screen->height_in_pixels, .dpi = dpi };
	return n;
}

static void look_at_monitors(struct display *p)
{
	struct monitor m[MONITORS_MAX];
	char text[sizeof p->d->layout] = "";
	struct wr w = wr_mem(text, sizeof text - 1);

	layout_put(&w, m, monitors(p, m));
	if (!wr_ok(&w))
		return;
	text[w.len] = '\0';
	if (streq(text, p->d->layout))
		return;
	memcpy(p->d->layout, text, sizeof text);
	layout_changed(p->d);
}

static void look_at_keyboard(struct display *p)
{
	size_t n = 0;
	_cleanup_free_ char *s = p->rootless_keys ? NULL : root_text(p, p->rules, &n);
	char layout[100];

	if (s && keyboard_put(s, n, layout, sizeof layout) == 0)
		keyboard_changed(p->d, layout);
}

/* --- events ---------------------------------------------------------------------------------------------------------------- */

static void handle(struct display *p, const xcb_generic_event_t *g)
{
	uint8_t type = g->response_type & 0x7f;

	if (type == XCB_PROPERTY_NOTIFY) {
		xcb_property_notify_event_t ev;

		memcpy(&ev, g, sizeof ev);
		if (ev.atom == p->rules)
			look_at_keyboard(p);
		else if (ev.atom == p->resources)
			look_at_monitors(p);
	} else if (type == XCB_CLIENT_MESSAGE || (p->randr_event && type >= p->randr_event && type < p->randr_event + 2)) {
		look_at_monitors(p);
	} else if (type == XCB_SELECTION_CLEAR) {
		log_warn("another program has taken this display over");
		ev_stop(p->d->loop, 1);
	}
}

static void drain(struct display *p)
{
	xcb_generic_event_t *g;

	while ((g = xcb_poll_for_event(p->x))) {
		handle(p, g);
		free(g);
	}
	if (xcb_connection_has_error(p->x)) {
		log_error("the display has gone");
		ev_stop(p->d->loop, 1);
		/* It would go on telling. */
		ev_io_free(STEAL_PTR(p->ev));
	}
}

static void on_x(struct ev_io *io, int fd, int events, void *arg)
{
	drain(arg);
}

/* --- start and end ------------------------------------------------------------------------------------------------------------ */

static int connect_x(struct display *p, struct err *e)
{
	const char *name = getenv("DISPLAY");
	char selection[40];
	int number = 0;
	xcb_screen_iterator_t i;

	p->x = xcb_connect(NULL, &number);
	if (xcb_connection_has_error(p->x))
		return err_set(e, ENOTCONN, name && name[0] ? "no connection to the display '%s'" : "no display: $DISPLAY is not set%s", name ? name : "");
	i = xcb_setup_roots_iterator(xcb_get_setup(p->x));
	for (int n = 0; n < number && i.rem > 1; n++)
		xcb_screen_next(&i);
	p->screen = i.data;
	if (!p->screen || str_printf(selection, sizeof selection, "_BULKHEAD_DESKTOP_S%d", number) < 0)
		return err_set(e, ENOTCONN, "the display has no screen");
	p->selection = atom(p->x, selection);
	p->look = atom(p->x, "_BULKHEAD_MONITOR_LAYOUT");
	p->rules = atom(p->x, "_XKB_RULES_NAMES");
	p->resources = XCB_ATOM_RESOURCE_MANAGER;
	return p->selection && p->look ? 0 : err_set(e, ENOTCONN, "the display does not answer");
}

static xcb_window_t owner(struct display *p)
{
	_cleanup_free_ xcb_get_selection_owner_reply_t *r = xcb_get_selection_owner_reply(p->x, xcb_get_selection_owner(p->x, p->selection), NULL);

	return r ? r->owner : XCB_NONE;
}

static bool has_extension(xcb_connection_t *x, const char *name)
{
	_cleanup_free_ xcb_query_extension_reply_t *r = xcb_query_extension_reply(x, xcb_query_extension(x, (uint16_t)strlen(name), name), NULL);

	return r && r->present;
}

/* The selection's owner is asked for and taken while nobody else can: of two that start at once one is refused. */
static int take_over(struct display *p, struct err *e)
{
	static const uint32_t mask = XCB_EVENT_MASK_PROPERTY_CHANGE;
	int r = 0;

	p->own = xcb_generate_id(p->x);
	xcb_create_window(p->x, 0, p->own, p->screen->root, -10, -10, 1, 1, 0, XCB_WINDOW_CLASS_INPUT_ONLY, XCB_COPY_FROM_PARENT, 0, NULL);
	xcb_grab_server(p->x);
	if (owner(p) != XCB_NONE)
		r = err_set(e, EEXIST, "a bulkhead-desktop serves this display already");
	else
		xcb_set_selection_owner(p->x, p->own, p->selection, XCB_CURRENT_TIME);
	xcb_ungrab_server(p->x);
	xcb_change_window_attributes(p->x, p->screen->root, XCB_CW_EVENT_MASK, &mask);
	xcb_flush(p->x);
	return r;
}

static void use_randr(struct display *p)
{
	const xcb_query_extension_reply_t *ext = xcb_get_extension_data(p->x, &xcb_randr_id);
	_cleanup_free_ xcb_randr_query_version_reply_t *v = NULL;

	if (!ext || !ext->present)
		return;
	v = xcb_randr_query_version_reply(p->x, xcb_randr_query_version(p->x, 1, 5), NULL);
	if (!v || v->major_version < 1 || (v->major_version == 1 && v->minor_version < 5))
		return;
	p->randr_event = ext->first_event;
	xcb_randr_select_input(p->x, p->screen->root,
			       XCB_RANDR_NOTIFY_MASK_SCREEN_CHANGE | XCB_RANDR_NOTIFY_MASK_CRTC_CHANGE | XCB_RANDR_NOTIFY_MASK_OUTPUT_CHANGE);
	xcb_flush(p->x);
}

static void display_free(struct display *p)
{
	ev_io_free(p->ev);
	if (p->x)
		xcb_disconnect(p->x);
	free(p);
}

int display_open(struct desk *d, struct err *e)
{
	struct display *p = xcalloc(1, sizeof *p);
	int r;

	p->d = d;
	r = connect_x(p, e);
	if (r == 0)
		r = take_over(p, e);
	if (r == 0) {
		use_randr(p);
		p->rootless_keys = has_extension(p->x, "XWAYLAND");
		p->ev = ev_io_new(d->loop, xcb_get_file_descriptor(p->x), EV_READ, on_x, p);
		r = p->ev ? 0 : err_set(e, EINVAL, "the display cannot be waited for");
	}
	if (r < 0) {
		display_free(p);
		return r;
	}
	d->display = p;
	look_at_monitors(p);
	look_at_keyboard(p);
	/* Answers may have brought events along, which the descriptor does not tell of any more. */
	drain(p);
	return 0;
}

void display_close(struct desk *d)
{
	if (d->display)
		display_free(STEAL_PTR(d->display));
}

int display_tell(struct err *e)
{
	struct display *p = xcalloc(1, sizeof *p);
	int r = connect_x(p, e);
	xcb_window_t to = r == 0 ? owner(p) : XCB_NONE;
	xcb_client_message_event_t ev = { .response_type = XCB_CLIENT_MESSAGE, .format = 32, .window = to, .type = r == 0 ? p->look : XCB_NONE };

	if (r == 0 && to == XCB_NONE)
		r = err_set(e, ENOENT, "no bulkhead-desktop serves this display (start one: bulkhead-desktop --all --watch)");
	if (r == 0) {
		char raw[32] = "";

		memcpy(raw, &ev, sizeof ev);
		xcb_send_event(p->x, 0, to, 0, raw);
		/* It is on its way when the server has answered something that came after it. */
		(void)owner(p);
	}
	display_free(p);
	return r;
}
