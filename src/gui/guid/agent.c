/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages of the qube's agent: framing, decoding, and which function they are for. A wrong length, an unknown type, a message for a window that is not there
 * and a window made twice end the connection; what is only foolish is dropped and noticed.
 */
#include "gui/guid/pixels.h"
#include "gui/guid/xs.h"

#define ON(name) static int on_##name(struct guid *g, struct win *w, struct gui_frame *f)
#define GET(name)                                        \
	struct gui_##name m;                             \
                                                         \
	if (gui_get_##name(f->body, &m) < 0)             \
		return -EBADMSG

ON(destroy)
{
	win_destroy(g, w);
	return 0;
}

ON(map)
{
	GET(map);
	win_map(g, w, &m);
	return 0;
}

ON(unmap)
{
	win_unmap(g, w);
	return 0;
}

ON(configure)
{
	GET(configure);
	win_configure(g, w, &m);
	return 0;
}

ON(shmimage)
{
	GET(shmimage);
	pix_damage(g, w, &m);
	return 0;
}

ON(wmname)
{
	GET(wmname);
	if (w->ghost)
		return 0;
	text_title(w->title, m.name, sizeof m.name, g->o.allow_utf8_titles);
	xs_title(g, w);
	return 0;
}

ON(dock)
{
	win_dock(g, w);
	return 0;
}

ON(window_hints)
{
	GET(window_hints);
	if (w->ghost)
		return 0;
	check_hints(&m);
	w->hints = m;
	xs_hints(g, w);
	return 0;
}

ON(window_flags)
{
	GET(window_flags);
	win_flags(g, w, &m);
	return 0;
}

ON(wmclass)
{
	GET(wmclass);
	/* Window managers look at a class once, when a window is mapped; a changed one would show another icon and group. */
	if (w->ghost || w->mapped)
		return 0;
	text_class(w->class, m.res_class, sizeof m.res_class);
	text_class(w->instance, m.res_name, sizeof m.res_name);
	xs_class(g, w);
	return 0;
}

ON(window_dump)
{
	return pix_dump(g, w, f->body);
}

ON(cursor)
{
	GET(cursor);
	if (!check_cursor(m.cursor))
		clip_notice(g, DESK_N_REQUEST);
	else if (!w->ghost)
		xs_cursor(g, w, m.cursor);
	return 0;
}

ON(icon)
{
	return icon_take(g, w, f->body);
}

ON(pixels)
{
	return pix_pixels(g, w, f->body);
}

static const struct {
	uint32_t type;
	int (*fn)(struct guid *g, struct win *w, struct gui_frame *f);
} handlers[] = {
	{ GUI_SHMIMAGE, on_shmimage },	       { GUI_CONFIGURE, on_configure },	  { GUI_PIXELS, on_pixels },
	{ GUI_MAP, on_map },		       { GUI_UNMAP, on_unmap },		  { GUI_DESTROY, on_destroy },
	{ GUI_WMNAME, on_wmname },	       { GUI_DOCK, on_dock },		  { GUI_WINDOW_HINTS, on_window_hints },
	{ GUI_WINDOW_FLAGS, on_window_flags }, { GUI_WMCLASS, on_wmclass },	  { GUI_WINDOW_DUMP, on_window_dump },
	{ GUI_CURSOR, on_cursor },	       { GUI_ICON, on_icon },
};

static int on_window(struct guid *g, struct gui_frame *f)
{
	struct win *w = win_find(g, f->window);

	if (!w)
		return -ENOENT;
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
		if (handlers[i].type == f->type)
			return handlers[i].fn(g, w, f);
	return -EBADMSG; /* known, and never accepted: page numbers of Xen */
}

static int handle(struct guid *g, struct gui_frame *f)
{
	struct gui_create c;

	if (f->type == GUI_CLIPBOARD_DATA) {
		clip_data(g, f->body);
		return 0;
	}
	if (f->type != GUI_CREATE)
		return on_window(g, f);
	if (gui_get_create(f->body, &c) < 0)
		return -EBADMSG;
	return win_create(g, f->window, &c);
}

/* The first four bytes; everything after them has a header. */
static int greet(struct guid *g, const uint8_t *p)
{
	struct rd r = rd_mem(p, 4);
	uint32_t theirs = rd_u32le(&r);
	struct gui_xconf x = { .w = (g->root.w + 7) & ~7u, .h = g->root.h, .depth = 24 };
	struct gui_host_hello hello = { .version = GUI_HELLO_VERSION, .can = GUI_CAN_FRAME_ACK | GUI_CAN_ICON | (g->bar_size ? GUI_CAN_BAR : GUI_CAN_STREAM),
					.scale = g->o.scale, .bar_mib = (uint32_t)(g->bar_size >> 20) };

	if (gui_version_pick(theirs, &g->version) < 0) {
		guid_end(g, GUID_END_PROTOCOL, "the agent speaks version %u.%u of the GUI protocol; this is %u.%u", theirs >> 16, theirs & 0xffff,
			 GUI_VERSION_MAJOR, GUI_VERSION_MINOR);
		return -EBADMSG;
	}
	x.mem = (uint32_t)((uint64_t)x.w * x.h * 4 / 1024 + 1);
	gui_put_version(&g->out, g->version);
	gui_put_xconf(&g->out, &x);
	gui_put_host_hello(&g->out, 0, &hello);
	out_check(g);
	clip_ready(g);
	return 0;
}

ssize_t agent_feed(struct guid *g, const uint8_t *p, size_t n, unsigned max_messages)
{
	size_t used = 0;
	int r = 1;

	if (g->version == 0) {
		if (n < 4)
			return 0;
		if (greet(g, p) < 0)
			return -EBADMSG;
		used = 4;
	}
	for (unsigned i = 0; g->ended < 0 && (max_messages == 0 || i < max_messages); i++) {
		struct gui_frame f = { 0 };

		r = gui_frame(&f, p + used, n - used, GUI_FROM_GUEST);
		if (r == 0)
			break;
		if (r > 0)
			r = handle(g, &f);
		if (r < 0) {
			guid_end(g, GUID_END_PROTOCOL, "the agent broke the protocol: %s (%u) for window 0x%x%s", gui_name(f.type), f.type, f.window,
				 r == -ENOENT ? ", which is not there" : "");
			return -EBADMSG;
		}
		used += f.size;
	}
	return (ssize_t)used;
}
