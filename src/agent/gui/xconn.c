/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The X connection: opening, extensions, properties, and where each event goes. */
#include <xcb/composite.h>
#include <xcb/damage.h>
#include <xcb/randr.h>
#include <xcb/shm.h>
#include <xcb/xfixes.h>
#include <xcb/xtest.h>

#include "agent/gui/agent.h"
#include "base/log.h"

static const char *const atom_names[ATOM_N] = {
#define A(name) #name,
#include "agent/gui/atoms.def"
#undef A
};

static int get_atoms(struct agent *a, struct err *e)
{
	xcb_intern_atom_cookie_t c[ATOM_N];

	for (size_t i = 0; i < ATOM_N; i++)
		c[i] = xcb_intern_atom(a->x, 0, (uint16_t)strlen(atom_names[i]), atom_names[i]);
	for (size_t i = 0; i < ATOM_N; i++) {
		_cleanup_free_ xcb_intern_atom_reply_t *r = xcb_intern_atom_reply(a->x, c[i], NULL);

		if (!r)
			return err_set(e, EIO, "the X server gives no atoms");
		a->atoms[i] = r->atom;
	}
	return 0;
}

/* Version requests are part of the protocol of each extension: some servers refuse the rest before. */
static int get_extensions(struct agent *a, struct err *e)
{
	const xcb_query_extension_reply_t *d = xcb_get_extension_data(a->x, &xcb_damage_id), *f = xcb_get_extension_data(a->x, &xcb_xfixes_id);
	const xcb_query_extension_reply_t *c = xcb_get_extension_data(a->x, &xcb_composite_id), *t = xcb_get_extension_data(a->x, &xcb_test_id);
	const xcb_query_extension_reply_t *s = xcb_get_extension_data(a->x, &xcb_shm_id), *n = xcb_get_extension_data(a->x, &xcb_randr_id);

	if (!d || !d->present || !f || !f->present || !c || !c->present || !t || !t->present)
		return err_set(e, ENOTSUP, "the X server lacks one of DAMAGE, XFIXES, Composite, XTEST");
	a->ev_damage = d->first_event;
	a->ev_xfixes = f->first_event;
	_cleanup_free_ xcb_damage_query_version_reply_t *dv = xcb_damage_query_version_reply(a->x, xcb_damage_query_version(a->x, 1, 1), NULL);
	_cleanup_free_ xcb_xfixes_query_version_reply_t *fv = xcb_xfixes_query_version_reply(a->x, xcb_xfixes_query_version(a->x, 5, 0), NULL);
	_cleanup_free_ xcb_composite_query_version_reply_t *cv = xcb_composite_query_version_reply(a->x, xcb_composite_query_version(a->x, 0, 4), NULL);

	if (!dv || !fv || fv->major_version < 2 || !cv)
		return err_set(e, ENOTSUP, "an extension of the X server is too old");
	if (s && s->present) {
		_cleanup_free_ xcb_shm_query_version_reply_t *sv = xcb_shm_query_version_reply(a->x, xcb_shm_query_version(a->x), NULL);

		a->has_shm = sv && sv->shared_pixmaps && (sv->major_version > 1 || sv->minor_version >= 2);
	}
	if (n && n->present) {
		_cleanup_free_ xcb_randr_query_version_reply_t *rv = xcb_randr_query_version_reply(a->x, xcb_randr_query_version(a->x, 1, 5), NULL);

		a->has_randr = rv != NULL;
	}
	return 0;
}

static void make_windows(struct agent *a)
{
	static const uint32_t yes = 1, own[2] = { 1, XCB_EVENT_MASK_PROPERTY_CHANGE };

	a->own = xcb_generate_id(a->x);
	xcb_create_window(a->x, 0, a->own, a->root, -10, -10, 1, 1, 0, XCB_WINDOW_CLASS_INPUT_ONLY, XCB_COPY_FROM_PARENT,
			  XCB_CW_OVERRIDE_REDIRECT | XCB_CW_EVENT_MASK, own);
	a->stub = xcb_generate_id(a->x);
	xcb_create_window(a->x, 0, a->stub, a->root, -10, -10, 1, 1, 0, XCB_WINDOW_CLASS_INPUT_ONLY, XCB_COPY_FROM_PARENT, XCB_CW_OVERRIDE_REDIRECT, &yes);
}

static void on_x(struct ev_io *io, int fd, int events, void *arg)
{
	agent_settle(arg);
}

int x_open(struct agent *a, struct err *e)
{
	static const uint32_t events = XCB_EVENT_MASK_SUBSTRUCTURE_NOTIFY | XCB_EVENT_MASK_PROPERTY_CHANGE;
	int screen = 0, r;

	a->x = xcb_connect(NULL, &screen);
	if (xcb_connection_has_error(a->x))
		return err_set(e, ECONNREFUSED, "no X server answers at '%s'", getenv("DISPLAY") ? getenv("DISPLAY") : "");
	const xcb_setup_t *setup = xcb_get_setup(a->x);
	xcb_screen_iterator_t it = xcb_setup_roots_iterator(setup);

	for (; it.rem && screen > 0; screen--)
		xcb_screen_next(&it);
	a->screen = it.data;
	if (!a->screen || setup->image_byte_order != XCB_IMAGE_ORDER_LSB_FIRST)
		return err_set(e, ENOTSUP, "a screen of this kind cannot be shown");
	a->root = a->screen->root;
	a->id_base = setup->resource_id_base;
	a->id_mask = setup->resource_id_mask;
	r = get_extensions(a, e);
	if (r == 0)
		r = get_atoms(a, e);
	if (r < 0)
		return r;
	make_windows(a);
	xcb_change_window_attributes(a->x, a->root, XCB_CW_EVENT_MASK, &events);
	xcb_composite_redirect_subwindows(a->x, a->root, XCB_COMPOSITE_REDIRECT_AUTOMATIC);
	xcb_xfixes_select_cursor_input(a->x, a->root, XCB_XFIXES_CURSOR_NOTIFY_MASK_DISPLAY_CURSOR);
	a->x_ev = ev_io_new(a->loop, xcb_get_file_descriptor(a->x), EV_READ, on_x, a);
	return a->x_ev ? 0 : err_set(e, EINVAL, "the X connection cannot be watched");
}

bool x_own(const struct agent *a, uint32_t id)
{
	return (id & ~a->id_mask) == a->id_base;
}

void x_roundtrip(struct agent *a)
{
	free(xcb_get_input_focus_reply(a->x, xcb_get_input_focus(a->x), NULL));
}

uint8_t *x_prop(struct agent *a, uint32_t window, uint32_t prop, uint32_t type, size_t max, size_t *ret_len, uint32_t *ret_type)
{
	_cleanup_free_ xcb_get_property_reply_t *r =
		xcb_get_property_reply(a->x, xcb_get_property(a->x, 0, window, prop, type, 0, (uint32_t)(max + 3) / 4), NULL);
	uint8_t *out;
	int n;

	*ret_len = 0;
	if (!r || r->type == XCB_ATOM_NONE || (type && r->type != type))
		return NULL;
	n = xcb_get_property_value_length(r);
	*ret_len = MIN((size_t)(n < 0 ? 0 : n), max);
	if (ret_type)
		*ret_type = r->type;
	out = xmalloc(*ret_len + 1);
	memcpy(out, xcb_get_property_value(r), *ret_len);
	out[*ret_len] = 0;
	return out;
}

void x_set32(struct agent *a, uint32_t window, uint32_t prop, uint32_t type, const uint32_t *v, size_t n)
{
	xcb_change_property(a->x, XCB_PROP_MODE_REPLACE, window, prop, type, 32, (uint32_t)n, v);
}

void x_message(struct agent *a, uint32_t to, uint32_t window, uint32_t type, uint32_t mask, const uint32_t data[5])
{
	xcb_client_message_event_t m = { .response_type = XCB_CLIENT_MESSAGE, .format = 32, .window = window, .type = type };

	memcpy(m.data.data32, data, sizeof m.data.data32);
	xcb_send_event(a->x, 0, to, mask, (const char *)&m);
}

/* --- events -------------------------------------------------------------------------------------------------------- */

static void on_create(struct agent *a, const xcb_create_notify_event_t *ev)
{
	if (ev->parent == a->root && !x_own(a, ev->window) && !win_find(a, ev->window))
		win_add(a, ev->window);
}

static void on_reparent(struct agent *a, const xcb_reparent_notify_event_t *ev)
{
	struct win *w = win_find(a, ev->window);

	if (ev->event != a->root || x_own(a, ev->window))
		return;
	if (ev->parent == a->root && !w)
		win_add(a, ev->window);
	else if (ev->parent != a->root && w)
		win_gone(a, w);
}

static void on_configure(struct agent *a, const xcb_configure_notify_event_t *ev)
{
	struct win *w = win_find(a, ev->window);
	static const uint32_t none = 0;

	if (!w || ev->event != a->root)
		return;
	if (ev->border_width && !w->icon)
		xcb_configure_window(a->x, w->id, XCB_CONFIG_WINDOW_BORDER_WIDTH, &none);
	win_configured(a, w, ev->x, ev->y, ev->width, ev->height);
}

static bool on_structure(struct agent *a, uint8_t type, const xcb_generic_event_t *ev)
{
	struct win *w = NULL;

	switch (type) {
	case XCB_CREATE_NOTIFY:
		on_create(a, (const xcb_create_notify_event_t *)ev);
		return true;
	case XCB_REPARENT_NOTIFY:
		on_reparent(a, (const xcb_reparent_notify_event_t *)ev);
		return true;
	case XCB_CONFIGURE_NOTIFY:
		on_configure(a, (const xcb_configure_notify_event_t *)ev);
		return true;
	case XCB_DESTROY_NOTIFY:
		w = win_find(a, ((const xcb_destroy_notify_event_t *)ev)->window);
		if (w)
			win_gone(a, w);
		return true;
	case XCB_MAP_NOTIFY:
		w = win_find(a, ((const xcb_map_notify_event_t *)ev)->window);
		if (w)
			win_mapped(a, w, ((const xcb_map_notify_event_t *)ev)->override_redirect);
		return true;
	case XCB_UNMAP_NOTIFY:
		w = win_find(a, ((const xcb_unmap_notify_event_t *)ev)->window);
		if (w)
			win_unmapped(a, w);
		return true;
	default:
		return false;
	}
}

static void on_damage(struct agent *a, const xcb_damage_notify_event_t *ev)
{
	struct win *w = win_find(a, ev->drawable);

	if (w)
		pixels_damaged(a, w, (struct box){ ev->area.x, ev->area.y, ev->area.width, ev->area.height });
}

static void on_property(struct agent *a, const xcb_property_notify_event_t *ev)
{
	struct win *w = win_find(a, ev->window);

	if (ev->window == a->own)
		clip_piece(a, ev);
	if (w && !w->icon)
		props_changed(a, w, ev->atom);
}

static void on_message(struct agent *a, const xcb_client_message_event_t *ev)
{
	if (ev->format == 32 && !tray_message(a, ev))
		wm_message(a, ev);
}

void x_event(struct agent *a, const xcb_generic_event_t *ev)
{
	uint8_t type = ev->response_type & 0x7f;

	if (type == 0) {
		const xcb_generic_error_t *err = (const xcb_generic_error_t *)ev;

		/* windows go away at any time: requests about them fail, which is no news */
		log_debug("X error %u of request %u.%u for 0x%x", err->error_code, err->major_code, err->minor_code, err->resource_id);
		return;
	}
	if (tray_event(a, ev) || on_structure(a, type, ev))
		return;
	if (type == a->ev_damage + XCB_DAMAGE_NOTIFY)
		on_damage(a, (const xcb_damage_notify_event_t *)ev);
	else if (type == a->ev_xfixes + XCB_XFIXES_CURSOR_NOTIFY)
		cursor_changed(a, ((const xcb_xfixes_cursor_notify_event_t *)ev)->name);
	else if (type == XCB_PROPERTY_NOTIFY)
		on_property(a, (const xcb_property_notify_event_t *)ev);
	else if (type == XCB_CLIENT_MESSAGE)
		on_message(a, (const xcb_client_message_event_t *)ev);
	else if (type == XCB_SELECTION_NOTIFY)
		clip_notify(a, (const xcb_selection_notify_event_t *)ev);
	else if (type == XCB_SELECTION_REQUEST)
		clip_request(a, (const xcb_selection_request_event_t *)ev);
	else if (type == XCB_SELECTION_CLEAR)
		clip_clear(a, (const xcb_selection_clear_event_t *)ev);
	else if (type == XCB_MAPPING_NOTIFY)
		input_map(a);
}
