/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Screen lockers: windows of the root with a class from screensaver_names. Windows of the qube that no window manager stacks stay below them. Classes of qubes have
   a prefix, so none of them is taken for a locker. */
#include "base/str.h"
#include "gui/guid/x.h"

static bool is_locker(struct guid *g, xcb_window_t window)
{
	struct xs *x = g->xs;
	_cleanup_free_ xcb_get_property_reply_t *p =
		xcb_get_property_reply(x->c, xcb_get_property(x->c, 0, window, XCB_ATOM_WM_CLASS, XCB_ATOM_STRING, 0, 64), NULL);
	struct rd r = rd_mem(p ? xcb_get_property_value(p) : "", p ? (size_t)xcb_get_property_value_length(p) : 0);
	struct rd part;

	/* Instance and class, each with a NUL. */
	for (int i = 0; i < 2; i++) {
		part = rd_until(&r, 0);
		if (!rd_ok(&r))
			return false;
		for (size_t n = 0; n < g->o.n_screensaver_names; n++)
			if (rd_eq(&part, g->o.screensaver_names[n]))
				return true;
	}
	return false;
}

void x_lock_below(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;

	for (unsigned i = 0; i < x->n_lockers; i++)
		xcb_configure_window(x->c, w->outer, XCB_CONFIG_WINDOW_SIBLING | XCB_CONFIG_WINDOW_STACK_MODE,
				     (uint32_t[]){ x->lockers[i], XCB_STACK_MODE_BELOW });
}

void x_lock_mapped(struct guid *g, xcb_window_t window)
{
	struct xs *x = g->xs;

	if (g->o.n_screensaver_names == 0 || win_by_x(g, window))
		return;
	x_lock_gone(g, window);
	if (x->n_lockers == X_LOCKERS_MAX || !is_locker(g, window))
		return;
	x->lockers[x->n_lockers++] = window;
	for (struct win *w = g->wins; w; w = w->hh.next)
		if (w->override && w->mapped)
			x_lock_below(g, w);
}

void x_lock_gone(struct guid *g, xcb_window_t window)
{
	struct xs *x = g->xs;

	for (unsigned i = 0; i < x->n_lockers; i++)
		if (x->lockers[i] == window)
			x->lockers[i--] = x->lockers[--x->n_lockers];
}

void x_lock_scan(struct guid *g)
{
	struct xs *x = g->xs;
	_cleanup_free_ xcb_query_tree_reply_t *t = NULL;
	const xcb_window_t *kids;

	if (g->o.n_screensaver_names == 0)
		return;
	t = xcb_query_tree_reply(x->c, xcb_query_tree(x->c, x->s->root), NULL);
	kids = t ? xcb_query_tree_children(t) : NULL;
	for (int i = 0; kids && i < xcb_query_tree_children_length(t); i++) {
		_cleanup_free_ xcb_get_window_attributes_reply_t *a =
			xcb_get_window_attributes_reply(x->c, xcb_get_window_attributes(x->c, kids[i]), NULL);

		if (a && a->map_state == XCB_MAP_STATE_VIEWABLE)
			x_lock_mapped(g, kids[i]);
	}
}
