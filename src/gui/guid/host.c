/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Events of the screen become messages to the qube (host.h); chords of the clipboard end here. */
#include "gui/guid/host.h"

#include "gui/guid/pixels.h"
#include "gui/guid/xs.h"

/* Input messages are small; they are encoded aside because they may have to wait. */
#define INPUT(g, id, name, m)                                         \
	do {                                                          \
		uint8_t buf_[48];                                     \
		struct wr wr_ = wr_mem(buf_, sizeof buf_);            \
                                                                      \
		gui_put_##name(&wr_, id, m);                      \
		out_input(g, &wr_);                                   \
	} while (0)

#define X_KEY_PRESS 2u
#define X_FOCUS_IN 9u

void host_geometry(struct guid *g, struct win *w, const struct rect *outer)
{
	struct frame f = win_frame(w);
	struct rect in;

	(void)frame_inner(&f, outer, &in);
	/* The strip is there from a certain width on, which is another frame. */
	w->in.w = in.w;
	f = win_frame(w);
	w->tiny = !frame_inner(&f, outer, &in);
	/* A screen may be larger than the protocol knows; the rest is frame. */
	in.w = MIN(in.w, GUI_WIDTH_MAX);
	in.h = MIN(in.h, GUI_HEIGHT_MAX);
	w->in = in;
	xs_inside(g, w);
	win_tell_place(g, w);
}

void host_key(struct guid *g, struct win *w, const struct gui_keypress *m, uint32_t time)
{
	bool press = m->type == X_KEY_PRESS;
	int chord;

	g->user_time = time;
	if (!press && g->swallowed && m->keycode == g->swallowed) {
		g->swallowed = 0;
		return;
	}
	chord = press ? xs_chord(g, m->state, m->keycode) : 0;
	if (chord) {
		/* A repeat of a held chord is not another one. */
		if (g->swallowed != m->keycode) {
			g->swallowed = m->keycode;
			(chord == 1 ? clip_copy : clip_paste)(g, w, time);
		}
		return;
	}
	if (press && g->swallowed == m->keycode)
		g->swallowed = 0;
	INPUT(g, w->id, keypress, m);
}

void host_button(struct guid *g, struct win *w, const struct gui_button *m, uint32_t time)
{
	g->user_time = time;
	INPUT(g, w->id, button, m);
}

void host_motion(struct guid *g, struct win *w, const struct gui_motion *m)
{
	INPUT(g, w->id, motion, m);
}

void host_crossing(struct guid *g, struct win *w, const struct gui_crossing *m)
{
	INPUT(g, w->id, crossing, m);
}

void host_focus(struct guid *g, struct win *w, const struct gui_focus *m, const uint8_t *keys)
{
	if (m->type == X_FOCUS_IN) {
		struct gui_keymap_notify k = { .end_ = 0 };

		if (!w->focused)
			g->focus_ms = g->now_ms;
		w->focused = true;
		if (keys) {
			memcpy(k.keys, keys, sizeof k.keys);
			/* A chord that is still held belongs to guid. */
			if (g->swallowed)
				k.keys[g->swallowed / 8 % 32] &= (uint8_t)~(1u << g->swallowed % 8);
			INPUT(g, 0, keymap_notify, &k);
		}
	} else {
		w->focused = false;
		g->swallowed = 0;
	}
	INPUT(g, w->id, focus, m);
}

void host_close(struct guid *g, struct win *w)
{
	static const struct gui_close m;

	gui_put_close(&g->out, w->id, &m);
	out_check(g);
}

void host_state(struct guid *g, struct win *w, bool fullscreen, bool maximized, bool hidden)
{
	uint32_t flags = hidden ? GUI_FLAG_MINIMIZE : 0;

	/* A program that wanted the whole screen and got the work area is told that it has what it wanted, or it would not draw right. */
	if (fullscreen || (w->wants_full && maximized))
		flags |= GUI_FLAG_FULLSCREEN;
	if (fullscreen != w->fullscreen) {
		struct frame f = win_frame(w);
		struct rect out = frame_outer(&f, &w->in);

		w->fullscreen = fullscreen;
		host_geometry(g, w, &out);
		xs_hints(g, w);
	}
	if (!maximized)
		w->wants_full = false;
	win_tell_flags(g, w, flags);
}

void host_lost(struct guid *g, struct win *w)
{
	bool docked = w->docked;

	xs_destroy(g, w);
	xs_create(g, w);
	xs_class(g, w);
	if (w->title[0])
		xs_title(g, w);
	xs_image(g, w);
	if (docked)
		xs_dock(g, w);
	else if (w->mapped)
		xs_map(g, w, false, true);
	pix_done(g, w);
}

void host_screen(struct guid *g, const struct rect *root, const struct rect *work)
{
	struct rect was = g->root;
	struct gui_host_screen m = { .w = root->w, .h = root->h };

	g->root = *root;
	g->work = *work;
	if (g->version && !rect_eq(&was, root)) {
		gui_put_host_screen(&g->out, 0, &m);
		out_check(g);
	}
	win_refit(g, &was);
}
