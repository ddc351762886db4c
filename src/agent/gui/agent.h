/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of qubes-gui, the agent of a qube's windows: one X connection, one stream to guid, one thread. Every callback ends with agent_settle, which
 * takes what the X server has said meanwhile, sends damage, and flushes. Windows are told only while a guid is connected; without one the agent follows the
 * X server and is otherwise quiet.
 */
#ifndef AGENT_GUI_AGENT_H
#define AGENT_GUI_AGENT_H

#include <sys/queue.h>
#include <xcb/xcb.h>

#include "agent/gui/baralloc.h"
#include "agent/gui/damage.h"
#include "agent/gui/hostmsg.h"
#include "agent/gui/mods.h"
#include "base/ev.h"
#include "chan/chan.h"
#include "chan/stream.h"

#define WIN_BUCKETS 256

enum atom {
#define A(name) ATOM_##name,
#include "agent/gui/atoms.def"
#undef A
	ATOM_N
};

/* A place in the memory for pixels with the pixmap that lies there. */
struct buf {
	uint64_t off;
	uint32_t pixmap, seq; /* seq: the dump that told of it last */
	uint32_t w, h;
	uint8_t depth;
	LIST_ENTRY(buf) next;
};
LIST_HEAD(buf_list, buf);

struct win {
	uint32_t id, icon; /* icon: of an embedder of ours, the program's window in it */
	uint32_t transient_for, flags;
	int32_t x, y;
	uint32_t w, h;
	uint8_t depth;
	bool input_only, override, mapped;
	bool announced;	  /* this guid knows it */
	bool withheld;	  /* is told only when somebody asks for it */
	bool held;	  /* an older window of this id was not acknowledged as gone yet */
	bool docked, dead;
	bool has_icon;	  /* guid was told of one */
	uint32_t damage;  /* XID of the damage object, 0 = none */
	struct damage dirty, out; /* out: copied, about to be told */
	bool in_flight;	  /* told, and not acknowledged */
	uint32_t dumps, acks;
	bool dumped;	  /* guid has a dump of this size since the window was mapped */
	struct buf *buf;
	struct buf_list old;
	TAILQ_ENTRY(win) all;
	LIST_ENTRY(win) bucket;
};
TAILQ_HEAD(win_list, win);

enum link_state { LINK_NONE, LINK_LISTEN, LINK_GREET, LINK_UP };

struct agent_options {
	const char *bar_file;	 /* in place of the device */
	const char *control;	 /* path of the control socket */
	const char *wipe_flag;	 /* the clipboard is blanked after a while when this file is there */
	uint64_t wipe_ms;
	uint64_t answer_ms;	 /* how long a program may take for its clipboard, or the next piece of it */
	int bar_fd;		 /* SEQPACKET socket to root, which opens the memory for pixels; -1 */
	int control_fd;		 /* listening socket for commands; -1 */
};

struct agent {
	struct agent_options o;
	struct ev_loop *loop;
	/* X */
	xcb_connection_t *x;
	struct ev_io *x_ev;
	xcb_screen_t *screen;
	uint32_t root, id_base, id_mask;
	uint32_t own;  /* our window: selections, properties; never mapped */
	uint32_t stub; /* takes the pointer when it is outside of all windows */
	uint32_t atoms[ATOM_N];
	uint8_t ev_damage, ev_xfixes;
	bool has_shm, has_randr;
	uint32_t gc24, gc32;
	bool stub_mapped;
	struct ev_timer *again_timer;
	/* windows */
	struct win_list wins, ghosts;
	LIST_HEAD(, win) buckets[WIN_BUCKETS];
	bool withhold;
	char *preloaded; /* the program whose windows are withheld until it is asked for by this name; NULL = none */
	uint32_t focus, under; /* windows: with the focus, under the pointer */
	unsigned n_managed;    /* announced, mapped, managed windows */
	/* link */
	enum link_state state;
	struct chan_req *req;
	struct ev_io *req_ev;
	struct chan_stream *stream;
	struct ev_timer *retry;
	uint64_t retry_ms;
	uint32_t version, can;
	bool overrun;
	/* memory for pixels */
	struct bar_alloc bar;
	uint32_t bar_seg;
	struct ev_timer *bar_timer;
	struct ev_io *bar_ev; /* the helper's answers */
	unsigned bar_tries;
	bool bar_full;
	uint32_t told_w, told_h; /* of the last layout */
	/* keyboard */
	struct mods_map mods;
	/* clipboard */
	uint8_t *clip;
	size_t clip_len;
	bool clip_own;
	uint32_t clip_time;
	unsigned clip_step; /* of a request under way, 0 = none */
	struct wr clip_pieces;
	uint64_t clip_until; /* ms: all pieces have come by then, or are not waited for */
	struct ev_timer *clip_timer, *wipe_timer;
	/* tray */
	uint32_t tray_time;
	/* cursor */
	uint32_t cursor_atom, cursor;
	struct control *control;
};

/* main.c. agent_settle: see above. agent_fail ends the program. */
void agent_settle(struct agent *a);
void agent_fail(struct agent *a, const char *why);

/* xconn.c: the X connection. x_open connects ($DISPLAY), checks the extensions, makes our windows. x_event handles one event. */
int x_open(struct agent *a, struct err *e);
void x_event(struct agent *a, const xcb_generic_event_t *ev);
/* x_own is true for ids of our own making. x_roundtrip waits until the X server has done all that was asked. */
bool x_own(const struct agent *a, uint32_t id);
void x_roundtrip(struct agent *a);
/* x_prop gives up to max bytes of a property as memory of the caller, NULL when there is none of this type (0 = any). */
uint8_t *x_prop(struct agent *a, uint32_t window, uint32_t prop, uint32_t type, size_t max, size_t *ret_len, uint32_t *ret_type);
void x_set32(struct agent *a, uint32_t window, uint32_t prop, uint32_t type, const uint32_t *v, size_t n);
void x_message(struct agent *a, uint32_t to, uint32_t window, uint32_t type, uint32_t mask, const uint32_t data[5]);

/* win.c: the table of windows, and what is told of them. */
struct win *win_find(const struct agent *a, uint32_t id);
/* win_add takes a child of the root up. NULL when it is gone already. */
struct win *win_add(struct agent *a, uint32_t id);
struct win *win_new(struct agent *a, uint32_t id, int32_t x, int32_t y, uint32_t w, uint32_t h, uint8_t depth);
void win_gone(struct agent *a, struct win *w);
void win_mapped(struct agent *a, struct win *w, bool override);
void win_unmapped(struct agent *a, struct win *w);
void win_configured(struct agent *a, struct win *w, int32_t x, int32_t y, uint32_t width, uint32_t height);
void win_scan(struct agent *a);
/* win_withheld: is there a window that would be on the screen if it were not withheld? */
bool win_withheld(const struct agent *a);
/* win_count counts the windows anew that keep a disposable alive. */
void win_count(struct agent *a);
/* win_announce tells guid all about a window; win_replay about all of them, oldest first. win_forget: guid is gone. */
void win_announce(struct agent *a, struct win *w);
void win_replay(struct agent *a);
void win_forget(struct agent *a);
void win_destroy_ack(struct agent *a, uint32_t id);
/* win_raise puts w above what hides the point (x, y of w) from the pointer. */
void win_raise(struct agent *a, struct win *w, int32_t x, int32_t y);
bool win_visible(const struct win *w);

/* props.c: titles, classes, hints, states. props_all reads and tells all. */
void props_changed(struct agent *a, struct win *w, uint32_t atom);
void props_class(struct agent *a, struct win *w);
void props_hints(struct agent *a, struct win *w);
void props_name(struct agent *a, struct win *w);
void props_map(struct agent *a, struct win *w);

/* icon.c: icon_tell sends the icon that a program has put on its window, when guid shows icons. */
void icon_tell(struct agent *a, struct win *w);

/* wm.c: the little that a window manager has to do here. */
int wm_start(struct agent *a, struct err *e);
void wm_mapped(struct agent *a, struct win *w);
void wm_message(struct agent *a, const xcb_client_message_event_t *m);
void wm_flags(struct agent *a, struct win *w, uint32_t set, uint32_t unset); /* guid's word */
void wm_close(struct agent *a, struct win *w);
void wm_focus(struct agent *a, struct win *w);
void wm_unfocus(struct agent *a, struct win *w);
bool wm_protocol(struct agent *a, uint32_t window, uint32_t atom);

/* pixels.c: damage and dumps. pixels_send sends what is due; true when something was sent. */
void pixels_watch(struct agent *a, struct win *w);
void pixels_unwatch(struct agent *a, struct win *w);
void pixels_damaged(struct agent *a, struct win *w, struct box b);
void pixels_all(struct agent *a, struct win *w);
bool pixels_send(struct agent *a);
void pixels_dump_ack(struct agent *a, uint32_t id);
void pixels_frame_ack(struct agent *a, uint32_t id);
void pixels_release(struct agent *a, struct win *w);

/* bar.c: the memory for pixels. bar_start looks for it (and goes on looking for a while). */
void bar_start(struct agent *a, uint32_t mib);
bool bar_ready(const struct agent *a);

/* input.c: what guid says of keyboard and pointer. */
void input_start(struct agent *a);
void input_map(struct agent *a); /* reads the modifiers' keys */
void input_message(struct agent *a, const struct hostmsg *m);

/* clip.c: clipboard. */
int clip_start(struct agent *a, struct err *e);
void clip_ask(struct agent *a);
void clip_set(struct agent *a, struct rd text);
void clip_notify(struct agent *a, const xcb_selection_notify_event_t *n);
void clip_piece(struct agent *a, const xcb_property_notify_event_t *ev);
void clip_request(struct agent *a, const xcb_selection_request_event_t *r);
void clip_clear(struct agent *a, const xcb_selection_clear_event_t *c);

/* tray.c: icons that programs put into a tray. */
void tray_start(struct agent *a);
bool tray_message(struct agent *a, const xcb_client_message_event_t *m);
bool tray_event(struct agent *a, const xcb_generic_event_t *ev);
void tray_resize(struct agent *a, struct win *w, uint32_t width, uint32_t height);

/* cursor.c */
void cursor_changed(struct agent *a, uint32_t atom);
void cursor_tell(struct agent *a, struct win *w);
/* cursor_number gives the protocol's number for the name of a shape, 0 when it has none. */
uint32_t cursor_number(const char *name, size_t n);

/* randr.c: monitors. layout_set makes n of them; scale_set tells programs how many dots an inch has. */
struct monitor {
	uint32_t w, h, x, y, w_mm, h_mm;
};
#define MONITORS_MAX 16
int layout_set(struct agent *a, const struct monitor *v, size_t n, struct err *e);
/* layout_screen: guid has a screen of this size. Monitors that make up just that size stay as they are. */
void layout_screen(struct agent *a, uint32_t w, uint32_t h);
void scale_set(struct agent *a, uint32_t thousandths);

/* control.c: text commands on a local socket. control_command is the other end: sends line and prints the answer, gives an exit status; control_layout takes
   the lines of qubes.SetMonitorLayout from descriptor fd and does the same. */
int control_command(const char *path, const char *line);
int control_layout(const char *path, int fd);
int control_start(struct agent *a, struct err *e);
void control_windows(struct agent *a); /* the number of managed windows changed */
void control_withheld(struct agent *a); /* a window was mapped, or is none any more */

/* link.c: the stream. */
void link_start(struct agent *a);
bool link_up(const struct agent *a);
bool link_full(const struct agent *a);
void link_send(struct agent *a, const void *p, size_t n);
#define SEND(a, name, window, ...)                                                                                     \
	do {                                                                                                           \
		struct gui_##name m_ = { __VA_ARGS__ };                                                                \
		uint8_t b_[256];                                                                                       \
		struct wr w_ = wr_mem(b_, sizeof b_);                                                                  \
                                                                                                                       \
		gui_put_##name(&w_, window, &m_);                                                                      \
		link_send(a, w_.buf, w_.len);                                                                          \
	} while (0)

#endif
