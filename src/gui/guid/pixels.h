/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pixels of windows, behind one interface for both ways: shared memory that the X server reads (WINDOW_DUMP type 1, SHMIMAGE), or bytes of the stream (type 2,
 * PIXELS). Damage is merged while the X server is busy with a window, so a qube that floods costs one put at a time, and FRAME_ACK follows the put.
 */
#ifndef GUI_GUID_PIXELS_H
#define GUI_GUID_PIXELS_H

#include "gui/guid/guid.h"

/* pix_dump and pix_pixels take the whole body. -EBADMSG: the connection is to be closed. */
int pix_dump(struct guid *g, struct win *w, struct rd body);
int pix_pixels(struct guid *g, struct win *w, struct rd body);
void pix_damage(struct guid *g, struct win *w, const struct gui_shmimage *m);
/* pix_show draws a part of the window again, from what is there. */
void pix_show(struct guid *g, struct win *w, const struct rect *r);
/* pix_done: the X server has read what xs_put gave it. */
void pix_done(struct guid *g, struct win *w);
void pix_drop(struct guid *g, struct win *w);

#endif
