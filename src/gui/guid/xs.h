/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The X server, as the rest of guid sees it: xcb behind it in the program (x*.c), a recorder in the tests. Every function takes decided values: rectangles are
 * inside of limits, texts are filtered, ids belong to guid. None of them fails: a lost connection ends the loop.
 */
#ifndef GUI_GUID_XS_H
#define GUI_GUID_XS_H

#include "gui/guid/guid.h"

/* xs_create makes outer, inner and strip of w, not mapped; xs_destroy takes all that w has. */
void xs_create(struct guid *g, struct win *w);
void xs_destroy(struct guid *g, struct win *w);
/* xs_place moves and sizes the outer window (the window manager may change that of a mapped one) and all in it. xs_inside lays out only what is in it. */
void xs_place(struct guid *g, struct win *w, bool move);
void xs_inside(struct guid *g, struct win *w);
/* xs_map maps w as its override says. raise: to the top (below screen lockers in any case). no_focus: the window manager is asked to leave the focus where it is. */
void xs_map(struct guid *g, struct win *w, bool raise, bool no_focus);
void xs_unmap(struct guid *g, struct win *w);
void xs_title(struct guid *g, struct win *w);
void xs_class(struct guid *g, struct win *w);
void xs_hints(struct guid *g, struct win *w);
void xs_transient(struct guid *g, struct win *w, const struct win *of);
void xs_dock(struct guid *g, struct win *w);
void xs_cursor(struct guid *g, struct win *w, uint32_t cursor);
enum xs_state { XS_FULLSCREEN, XS_MAXIMIZED, XS_ATTENTION };
void xs_state(struct guid *g, struct win *w, enum xs_state state, bool on);
/* xs_icon: n words as _NET_WM_ICON has them (width, height, pixels), or n = 0 for the label's own tile. */
void xs_icon(struct guid *g, struct win *w, const uint32_t *words, size_t n);
void xs_iconify(struct guid *g, struct win *w);
/* xs_image: w has another image (or none). xs_put shows a rectangle of shared memory and calls pix_done when the X server has read it; xs_pixels shows private
   bytes (rows of 4 r->w); xs_again shows what xs_pixels brought before. */
void xs_image(struct guid *g, struct win *w);
void xs_put(struct guid *g, struct win *w, const struct rect *r);
void xs_pixels(struct guid *g, struct win *w, const struct rect *r, const uint8_t *p);
void xs_again(struct guid *g, struct win *w, const struct rect *r);
/* xs_idle_ms: how long nobody has worked in the window that has the focus, as far as one can know; UINT32_MAX when none has it. */
uint32_t xs_idle_ms(struct guid *g);
/* xs_chord: 1 copy, 2 paste, 0 another key. */
int xs_chord(struct guid *g, uint32_t state, uint32_t keycode);

#endif
