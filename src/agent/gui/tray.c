/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tray of this qube: programs give their icons to us, each goes into an embedder window of ours, which is what guid docks. An icon that leaves takes its
 * embedder with it.
 */
#include "agent/gui/agent.h"

#define OPCODE_DOCK 0u
#define XEMBED_EMBEDDED 0u
#define SIZE_FIRST 24u

void tray_start(struct agent *a)
{
	static const uint32_t horizontal = 0;
	const uint32_t v[5] = { XCB_CURRENT_TIME, a->atoms[ATOM__NET_SYSTEM_TRAY_S0], a->own };
	_cleanup_free_ xcb_get_selection_owner_reply_t *r =
		xcb_get_selection_owner_reply(a->x, xcb_get_selection_owner(a->x, a->atoms[ATOM__NET_SYSTEM_TRAY_S0]), NULL);

	/* a qube with a panel of its own keeps it */
	if (r && r->owner)
		return;
	x_set32(a, a->own, a->atoms[ATOM__NET_SYSTEM_TRAY_ORIENTATION], XCB_ATOM_CARDINAL, &horizontal, 1);
	xcb_set_selection_owner(a->x, a->own, a->atoms[ATOM__NET_SYSTEM_TRAY_S0], XCB_CURRENT_TIME);
	x_message(a, a->root, a->root, a->atoms[ATOM_MANAGER], XCB_EVENT_MASK_STRUCTURE_NOTIFY, v);
}

static struct win *by_icon(const struct agent *a, uint32_t icon)
{
	struct win *w;

	TAILQ_FOREACH(w, &a->wins, all)
		if (w->icon && w->icon == icon)
			return w;
	return NULL;
}

static uint32_t make_embedder(struct agent *a)
{
	const uint32_t v[3] = { a->screen->white_pixel, 1, XCB_EVENT_MASK_SUBSTRUCTURE_NOTIFY };
	uint32_t id = xcb_generate_id(a->x);

	xcb_create_window(a->x, a->screen->root_depth, id, a->root, 0, 0, SIZE_FIRST, SIZE_FIRST, 0, XCB_WINDOW_CLASS_INPUT_OUTPUT, a->screen->root_visual,
			  XCB_CW_BACK_PIXEL | XCB_CW_OVERRIDE_REDIRECT | XCB_CW_EVENT_MASK, v);
	return id;
}

static void dock(struct agent *a, uint32_t icon)
{
	uint32_t embedder;
	struct win *w = win_find(a, icon);

	if (x_own(a, icon) || by_icon(a, icon))
		return;
	/* it was told as an ordinary window: that one is gone */
	if (w)
		win_gone(a, w);
	embedder = make_embedder(a);
	w = win_new(a, embedder, 0, 0, SIZE_FIRST, SIZE_FIRST, a->screen->root_depth);
	w->icon = icon;
	w->docked = w->override = true;
	const uint32_t size[2] = { SIZE_FIRST, SIZE_FIRST };
	const uint32_t v[5] = { XCB_CURRENT_TIME, XEMBED_EMBEDDED, 0, embedder };

	xcb_reparent_window(a->x, icon, embedder, 0, 0);
	xcb_configure_window(a->x, icon, XCB_CONFIG_WINDOW_WIDTH | XCB_CONFIG_WINDOW_HEIGHT, size);
	xcb_map_window(a->x, icon);
	x_message(a, icon, icon, a->atoms[ATOM__XEMBED], 0, v);
	win_announce(a, w);
	xcb_map_window(a->x, embedder);
}

void tray_resize(struct agent *a, struct win *w, uint32_t width, uint32_t height)
{
	const uint32_t size[2] = { width, height };

	xcb_configure_window(a->x, w->icon, XCB_CONFIG_WINDOW_WIDTH | XCB_CONFIG_WINDOW_HEIGHT, size);
}

static void undock(struct agent *a, struct win *w)
{
	uint32_t embedder = w->id;

	win_gone(a, w);
	xcb_destroy_window(a->x, embedder);
}

bool tray_message(struct agent *a, const xcb_client_message_event_t *m)
{
	if (m->type != a->atoms[ATOM__NET_SYSTEM_TRAY_OPCODE])
		return false;
	if (m->data.data32[1] == OPCODE_DOCK)
		dock(a, m->data.data32[2]);
	return true;
}

/* What happens inside of an embedder. True when the event was about that. */
bool tray_event(struct agent *a, const xcb_generic_event_t *ev)
{
	const xcb_destroy_notify_event_t *d = (const xcb_destroy_notify_event_t *)ev;
	const xcb_reparent_notify_event_t *r = (const xcb_reparent_notify_event_t *)ev;
	uint8_t type = ev->response_type & 0x7f;
	struct win *w;

	if (type != XCB_DESTROY_NOTIFY && type != XCB_REPARENT_NOTIFY && type != XCB_UNMAP_NOTIFY && type != XCB_MAP_NOTIFY && type != XCB_CONFIGURE_NOTIFY)
		return false;
	/* all of these begin with the window that asked for events and the one that it is about */
	if (d->event == a->root)
		return false;
	w = by_icon(a, d->window);
	if (w && w->id == d->event && (type == XCB_DESTROY_NOTIFY || (type == XCB_REPARENT_NOTIFY && r->parent != w->id)))
		undock(a, w);
	return true;
}
