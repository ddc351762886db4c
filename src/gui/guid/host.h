/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens to windows on the screen, told by the X side (x*.c). Coordinates of input are inside of the inner window. */
#ifndef GUI_GUID_HOST_H
#define GUI_GUID_HOST_H

#include "gui/guid/guid.h"

/* The outer window is there, on the screen's coordinates. */
void host_geometry(struct guid *g, struct win *w, const struct rect *outer);
void host_key(struct guid *g, struct win *w, const struct gui_keypress *m, uint32_t time);
void host_button(struct guid *g, struct win *w, const struct gui_button *m, uint32_t time);
void host_motion(struct guid *g, struct win *w, const struct gui_motion *m);
void host_crossing(struct guid *g, struct win *w, const struct gui_crossing *m);
/* keys: what is pressed, 256 bits; only for a gain of focus, else NULL. */
void host_focus(struct guid *g, struct win *w, const struct gui_focus *m, const uint8_t *keys);
void host_close(struct guid *g, struct win *w);
void host_state(struct guid *g, struct win *w, bool fullscreen, bool maximized, bool hidden);
/* host_lost: the X server has destroyed the outer window (its tray has gone). */
void host_lost(struct guid *g, struct win *w);
void host_screen(struct guid *g, const struct rect *root, const struct rect *work);

#endif
