/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qrexec-policy-agent: the resident prompt for a desktop (GTK 3, X11). server.c takes questions from policyd and queues them, window.c shows
 * one, guard.c decides which events may reach it, notices.c shows notices. Nothing here parses bytes: that is prompt/.
 */
#ifndef GUI_PROMPT_GUI_H
#define GUI_PROMPT_GUI_H

#include <gtk/gtk.h>

/* GLib and base/defs.h both have these: include this header first. */
#undef MIN
#undef MAX
#include "base/str.h"
#include "prompt/prompt.h"

#define WINDOWS_MAX 3 /* questions of different qubes on the screen at once */

/* --- guard.c */
struct guard;
/* guard_new watches over the events of a toplevel: no key and no button reaches it before it had the focus for delay_ms without a
   break and without such events; events made by other programs (XSendEvent) never do. Escape always passes. changed is told about each
   change of guard_open. Freed with the window. */
struct guard *guard_new(GtkWidget *window, unsigned delay_ms, void (*changed)(void *arg), void *arg);
bool guard_open(const struct guard *g);
/* guard_state publishes the state as the property _BULKHEAD_PROMPT_STATE of the X window: guarded, open or ready. */
void guard_state(struct guard *g, bool ready);
/* guard_stop ends all calls of changed; before the window is destroyed. */
void guard_stop(struct guard *g);
/* guard_init installs the filter of all events of this program. */
void guard_init(void);

/* --- window.c */
struct window;
/* What the user did: target NULL = refused. The window is gone when done is called. */
typedef void (*window_done)(void *arg, const char *target);
/* window_new shows a question (borrowed until done or window_free). */
struct window *window_new(const struct pr_question *q, unsigned delay_ms, window_done done, void *arg);
/* window_waiting tells how many more questions of this qube wait. */
void window_waiting(struct window *w, size_t n);
void window_free(struct window *w);
/* window_warm loads fonts, style and pictures before the first question. */
void window_warm(void);
/* swatch gives a picture of a colour (caller unrefs); a qube without a known colour gets a hollow grey one. */
GdkPixbuf *swatch(uint32_t colour, int size);

/* --- notices.c */
void notice_show(const struct pr_notice *n);
/* notice_text shows a text of our own. */
void notice_text(const char *text, bool error);

/* --- server.c */
int server_start(int listener, unsigned delay_ms, struct err *e);

#endif
