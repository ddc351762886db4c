/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of windows (children of the root), and what guid is told of their life: created, mapped, moved, gone. An id that guid has not yet
 * acknowledged as gone is not used again: a new window of the same id is held until then.
 */
#include "agent/gui/agent.h"
#include "base/log.h"

#define MINOR_DESTROY_ACK 5u

static struct win *bucket_find(const struct agent *a, uint32_t id)
{
	struct win *w;

	LIST_FOREACH(w, &a->buckets[id % WIN_BUCKETS], bucket)
		if (w->id == id)
			return w;
	return NULL;
}

struct win *win_find(const struct agent *a, uint32_t id)
{
	return bucket_find(a, id);
}

bool win_visible(const struct win *w)
{
	return w->mapped && !w->input_only;
}

static struct win *ghost_find(const struct agent *a, uint32_t id)
{
	struct win *w;

	TAILQ_FOREACH(w, &a->ghosts, all)
		if (w->id == id)
			return w;
	return NULL;
}

/* --- what is told -------------------------------------------------------------------------------------------------- */

static bool on_screen(const struct win *w)
{
	return w->mapped && !w->override && !w->icon && !w->input_only;
}

bool win_withheld(const struct agent *a)
{
	const struct win *w;

	TAILQ_FOREACH(w, &a->wins, all)
		if (w->withheld && on_screen(w))
			return true;
	return false;
}

void win_count(struct agent *a)
{
	unsigned n = 0;
	struct win *w;

	TAILQ_FOREACH(w, &a->wins, all)
		n += !w->withheld && on_screen(w);
	if (n != a->n_managed) {
		a->n_managed = n;
		control_windows(a);
	}
	control_withheld(a);
}

/* What comes to a window that is on the screen. */
static void tell_mapped(struct agent *a, struct win *w)
{
	if (w->docked) {
		SEND(a, dock, w->id, .end_ = 0);
	} else {
		props_map(a, w);
		SEND(a, map, w->id, .transient_for = w->transient_for, .override_redirect = w->override);
		props_name(a, w);
		if (w->flags)
			SEND(a, window_flags, w->id, .set = w->flags);
	}
	pixels_all(a, w);
}

void win_announce(struct agent *a, struct win *w)
{
	if (!link_up(a) || w->announced || w->withheld || w->held || w->input_only)
		return;
	w->announced = true;
	SEND(a, create, w->id, .x = w->x, .y = w->y, .w = w->w, .h = w->h, .override_redirect = w->override);
	SEND(a, configure, w->id, .x = w->x, .y = w->y, .w = w->w, .h = w->h, .override_redirect = w->override);
	if (!w->icon) {
		props_class(a, w);
		props_hints(a, w);
		icon_tell(a, w);
	}
	pixels_watch(a, w);
	if (w->mapped)
		tell_mapped(a, w);
}

void win_replay(struct agent *a)
{
	struct win *w;

	TAILQ_FOREACH(w, &a->wins, all)
		win_announce(a, w);
}

static void win_free(struct agent *a, struct win *w)
{
	pixels_release(a, w);
	free(w);
}

void win_forget(struct agent *a)
{
	struct win *w;

	while ((w = TAILQ_FIRST(&a->ghosts))) {
		TAILQ_REMOVE(&a->ghosts, w, all);
		win_free(a, w);
	}
	TAILQ_FOREACH(w, &a->wins, all) {
		pixels_unwatch(a, w);
		pixels_release(a, w);
		w->announced = w->held = w->has_icon = false;
	}
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

/* What a program that was opened ahead does while it waits to be asked for is not told either: the same X client, the same windows' numbers but for the last bits. */
static bool withheld_client(const struct agent *a, uint32_t id)
{
	const struct win *w;

	TAILQ_FOREACH(w, &a->wins, all)
		if (a->preloaded && w->withheld && (w->id & ~a->id_mask) == (id & ~a->id_mask))
			return true;
	return false;
}

struct win *win_new(struct agent *a, uint32_t id, int32_t x, int32_t y, uint32_t width, uint32_t height, uint8_t depth)
{
	struct win *w = xcalloc(1, sizeof *w);

	*w = (struct win){ .id = id, .x = x, .y = y, .w = width, .h = height, .depth = depth,
			  .withheld = a->withhold || withheld_client(a, id) };
	LIST_INIT(&w->old);
	w->held = ghost_find(a, id) != NULL;
	TAILQ_INSERT_TAIL(&a->wins, w, all);
	LIST_INSERT_HEAD(&a->buckets[id % WIN_BUCKETS], w, bucket);
	return w;
}

struct win *win_add(struct agent *a, uint32_t id)
{
	static const uint32_t events = XCB_EVENT_MASK_PROPERTY_CHANGE, none = 0;
	xcb_get_window_attributes_cookie_t ac = xcb_get_window_attributes(a->x, id);
	xcb_get_geometry_cookie_t gc = xcb_get_geometry(a->x, id);
	struct win *w;

	xcb_change_window_attributes(a->x, id, XCB_CW_EVENT_MASK, &events);
	_cleanup_free_ xcb_get_window_attributes_reply_t *attr = xcb_get_window_attributes_reply(a->x, ac, NULL);
	_cleanup_free_ xcb_get_geometry_reply_t *geo = xcb_get_geometry_reply(a->x, gc, NULL);

	if (!attr || !geo)
		return NULL;
	w = win_new(a, id, geo->x, geo->y, geo->width, geo->height, geo->depth);
	w->input_only = attr->_class == XCB_WINDOW_CLASS_INPUT_ONLY;
	w->override = attr->override_redirect;
	w->mapped = false; /* MapNotify follows, or win_scan says it */
	if (geo->border_width && !w->input_only)
		xcb_configure_window(a->x, id, XCB_CONFIG_WINDOW_BORDER_WIDTH, &none);
	win_announce(a, w);
	return w;
}

void win_scan(struct agent *a)
{
	_cleanup_free_ xcb_query_tree_reply_t *t = xcb_query_tree_reply(a->x, xcb_query_tree(a->x, a->root), NULL);
	const xcb_window_t *v = t ? xcb_query_tree_children(t) : NULL;
	int n = t ? xcb_query_tree_children_length(t) : 0;

	for (int i = 0; i < n; i++) {
		struct win *w = x_own(a, v[i]) || win_find(a, v[i]) ? NULL : win_add(a, v[i]);
		_cleanup_free_ xcb_get_window_attributes_reply_t *r =
			w ? xcb_get_window_attributes_reply(a->x, xcb_get_window_attributes(a->x, w->id), NULL) : NULL;

		/* its own event may be on the way as well: the second one changes nothing */
		if (r && r->map_state != XCB_MAP_STATE_UNMAPPED)
			win_mapped(a, w, r->override_redirect);
	}
}

void win_gone(struct agent *a, struct win *w)
{
	LIST_REMOVE(w, bucket);
	TAILQ_REMOVE(&a->wins, w, all);
	if (a->focus == w->id)
		a->focus = 0;
	if (a->under == w->id)
		a->under = 0;
	pixels_unwatch(a, w);
	w->dead = true;
	win_count(a);
	if (w->announced)
		SEND(a, destroy, w->id, .end_ = 0);
	/* guid may still show its pixels */
	if (w->announced && (a->version & 0xffff) >= MINOR_DESTROY_ACK)
		TAILQ_INSERT_TAIL(&a->ghosts, w, all);
	else
		win_free(a, w);
}

void win_destroy_ack(struct agent *a, uint32_t id)
{
	struct win *w = ghost_find(a, id);

	if (!w)
		return;
	TAILQ_REMOVE(&a->ghosts, w, all);
	win_free(a, w);
	w = bucket_find(a, id);
	if (w && w->held && !ghost_find(a, id)) {
		w->held = false;
		win_announce(a, w);
	}
}

void win_mapped(struct agent *a, struct win *w, bool override)
{
	if (w->mapped)
		return;
	w->mapped = true;
	w->override = override;
	if (!override && !w->icon)
		wm_mapped(a, w);
	win_count(a);
	w->dumped = false;
	if (w->announced)
		tell_mapped(a, w);
	else
		win_announce(a, w);
}

void win_unmapped(struct agent *a, struct win *w)
{
	if (!w->mapped)
		return;
	w->mapped = w->dumped = false;
	w->in_flight = false;
	damage_clear(&w->dirty);
	if (w->announced)
		SEND(a, unmap, w->id, .end_ = 0);
	if (!w->override && !w->icon) {
		static const uint32_t withdrawn[2] = { 0, 0 };

		w->flags = 0;
		xcb_delete_property(a->x, w->id, a->atoms[ATOM__NET_WM_STATE]);
		x_set32(a, w->id, a->atoms[ATOM_WM_STATE], a->atoms[ATOM_WM_STATE], withdrawn, 2);
	}
	win_count(a);
}

void win_configured(struct agent *a, struct win *w, int32_t x, int32_t y, uint32_t width, uint32_t height)
{
	bool size = w->w != width || w->h != height;

	w->x = x;
	w->y = y;
	w->w = width;
	w->h = height;
	if (w->announced)
		SEND(a, configure, w->id, .x = x, .y = y, .w = width, .h = height, .override_redirect = w->override);
	if (!size || !w->announced || !w->mapped)
		return;
	w->dumped = false;
	pixels_all(a, w);
}

/* Whether another window covers the point: only then the X server has to be asked which one is on top. */
static bool alone_at(const struct agent *a, const struct win *w, int32_t x, int32_t y)
{
	const struct win *o;

	TAILQ_FOREACH(o, &a->wins, all)
		if (o != w && o->mapped && x >= o->x && y >= o->y && x < o->x + (int32_t)o->w && y < o->y + (int32_t)o->h)
			return false;
	return true;
}

void win_raise(struct agent *a, struct win *w, int32_t x, int32_t y)
{
	static const uint32_t above = XCB_STACK_MODE_ABOVE;

	x += w->x;
	y += w->y;
	if (alone_at(a, w, x, y))
		return;
	_cleanup_free_ xcb_translate_coordinates_reply_t *t =
		xcb_translate_coordinates_reply(a->x, xcb_translate_coordinates(a->x, a->root, a->root, (int16_t)x, (int16_t)y), NULL);

	if (t && t->child != w->id)
		xcb_configure_window(a->x, w->id, XCB_CONFIG_WINDOW_STACK_MODE, &above);
}
