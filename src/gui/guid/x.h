/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to x*.c: the connection to the X server and what was made there once. */
#ifndef GUI_GUID_X_H
#define GUI_GUID_X_H

#include <xcb/render.h>
#include <xcb/shm.h>
#include <xcb/xcb.h>

#include "gui/guid/host.h"
#include "gui/guid/pixels.h"
#include "gui/guid/xs.h"

#define X_LOCKERS_MAX 16
#define X_CURSORS ((GUI_CURSOR_END - GUI_CURSOR_X) / 2)

#define X_ATOMS(A)                                                                                                     \
	A(WM_PROTOCOLS) A(WM_DELETE_WINDOW) A(WM_STATE) A(WM_CHANGE_STATE) A(UTF8_STRING) A(MANAGER)                    \
	A(_NET_WM_PING) A(_NET_WM_NAME) A(_NET_WM_PID) A(_NET_WM_ICON) A(_NET_WM_USER_TIME) A(_NET_WORKAREA)             \
	A(_NET_WM_STATE) A(_NET_WM_STATE_FULLSCREEN) A(_NET_WM_STATE_MAXIMIZED_VERT) A(_NET_WM_STATE_MAXIMIZED_HORZ)    \
	A(_NET_WM_STATE_HIDDEN) A(_NET_WM_STATE_DEMANDS_ATTENTION) A(_NET_WM_MOVERESIZE)                                 \
	A(_NET_ACTIVE_WINDOW) A(_NET_WM_USER_TIME_WINDOW) A(_NET_SYSTEM_TRAY_OPCODE) A(_XEMBED_INFO)                                                                       \
	A(_MOTIF_WM_HINTS) A(_QUBES_LABEL) A(_QUBES_LABEL_COLOR) A(_QUBES_VMNAME) A(_QUBES_VMWINDOWID)

enum x_atom {
#define A(name) A_##name,
	X_ATOMS(A)
#undef A
	A_N
};

/* The button that went down on a frame; xhandle.c. */
struct handle {
	xcb_window_t window; /* outer, 0 = none */
	int x, y;	     /* on the screen */
	int button;	     /* of the strip, -1 = none */
	int direction;
	xcb_window_t last; /* the strip that was pressed before, for a double click */
	uint32_t last_ms;
};

struct xs {
	xcb_connection_t *c;
	xcb_screen_t *s;
	int screen;
	xcb_atom_t atom[A_N], tray_sel;
	xcb_gcontext_t gc, text_gc;
	xcb_pixmap_t tile;
	xcb_font_t text_font, cursor_font;
	xcb_cursor_t cursors[X_CURSORS];
	uint32_t contrast;
	/* shared memory: one attachment for all windows */
	uint8_t shm_event, shm_major;
	xcb_shm_seg_t seg;
	/* tint of tray icons; 0 = the server cannot */
	xcb_render_pictformat_t pict_format;
	xcb_render_picture_t pict_colour;
	/* keyboard, for the chords */
	uint32_t copy_sym, paste_sym;
	uint8_t min_code;
	unsigned n_codes, per_code;
	uint32_t *syms;
	xcb_window_t tray;
	xcb_window_t lockers[X_LOCKERS_MAX];
	unsigned n_lockers;
	struct handle handle;
	size_t max_request; /* bytes */
	char host[64];
	uint32_t pid;
};

/* x_open connects and makes everything that does not depend on a window; bar_fd (-1: none) is given to the X server, which gets a copy. */
int x_open(struct guid *g, int bar_fd, struct err *e);
/* x_events handles what has arrived. x_alive is false when the server is gone. */
void x_events(struct guid *g);
bool x_alive(const struct xs *x);
void x_work_area(struct guid *g);
void x_keyboard(struct xs *x);

/* xprops.c. x_word gives the first word of a property of any window, 0 when there is none. */
uint32_t x_word(struct xs *x, xcb_window_t window, enum x_atom name);
void x_props_new(struct guid *g, struct win *w);
void x_state_changed(struct guid *g, struct win *w);
void x_user_time(struct guid *g, struct win *w, uint32_t time);
void x_tell_wm(struct xs *x, xcb_window_t window, enum x_atom type, const uint32_t data[5]);
/* xdraw.c */
int x_draw_open(struct guid *g, struct err *e);
/* xhandle.c. x_handle_press and x_handle_motion: true when the event was the frame's and is not for the qube. */
void x_strip(struct guid *g, struct win *w);
bool x_handle_press(struct guid *g, struct win *w, const xcb_button_press_event_t *ev);
bool x_handle_motion(struct guid *g, struct win *w, const xcb_motion_notify_event_t *ev);
/* xlock.c: windows of screen lockers, which nothing of a qube may cover */
void x_lock_scan(struct guid *g);
void x_lock_mapped(struct guid *g, xcb_window_t window);
void x_lock_gone(struct guid *g, xcb_window_t window);
void x_lock_below(struct guid *g, struct win *w);
/* xtray.c */
void x_tray_find(struct guid *g);
void x_tray_reparented(struct guid *g, struct win *w);

#endif
