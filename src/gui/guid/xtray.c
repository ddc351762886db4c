/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Icons in the system tray: the outer window is embedded, frame and all. A tray that goes takes its icons along; they come again with the next one. */
#include "gui/guid/x.h"

#define REQUEST_DOCK 0u

static void request(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;
	xcb_client_message_event_t ev = { .response_type = XCB_CLIENT_MESSAGE, .format = 32, .window = x->tray, .type = x->atom[A__NET_SYSTEM_TRAY_OPCODE] };
	char wire[32];

	if (!x->tray || w->embedded)
		return;
	ev.data.data32[1] = REQUEST_DOCK;
	ev.data.data32[2] = w->outer;
	memcpy(wire, &ev, sizeof wire);
	xcb_send_event(x->c, 0, x->tray, 0, wire);
}

void xs_dock(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;

	xcb_change_window_attributes(x->c, w->outer, XCB_CW_OVERRIDE_REDIRECT, (uint32_t[]){ 0 });
	/* version 0, wants to be mapped */
	xcb_change_property(x->c, XCB_PROP_MODE_REPLACE, w->outer, x->atom[A__XEMBED_INFO], x->atom[A__XEMBED_INFO], 32, 2, (uint32_t[]){ 0, 1 });
	xs_image(g, w);
	xs_inside(g, w);
	xs_hints(g, w);
	request(g, w);
}

void x_tray_find(struct guid *g)
{
	struct xs *x = g->xs;
	_cleanup_free_ xcb_get_selection_owner_reply_t *r =
		xcb_get_selection_owner_reply(x->c, xcb_get_selection_owner(x->c, x->tray_sel), NULL);

	x->tray = r ? r->owner : XCB_NONE;
	for (struct win *w = g->wins; w; w = w->hh.next)
		if (w->docked)
			request(g, w);
}

void x_tray_reparented(struct guid *g, struct win *w)
{
	w->embedded = w->reparented;
	/* Given back by a tray that ended: not a window of the desktop. */
	if (!w->embedded)
		xcb_unmap_window(g->xs->c, w->outer);
}
