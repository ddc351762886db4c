/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * guid: the windows of one qube on the user's screen. This header is what its files share. Bytes of the qube are read in agent.c and nowhere else; what they
 * ask for is decided in wins.c and pixels.c by the rules of check.h; only the functions of xs.h speak to the X server, and only host.c hears from it. Nothing
 * here starts a program, opens a file or waits for the qube.
 */
#ifndef GUI_GUID_GUID_H
#define GUI_GUID_GUID_H

#include <uthash.h>

#include "base/err.h"
#include "base/log.h"
#include "gui/guid/check.h"
#include "gui/guid/opts.h"
#include "gui/guid/text.h"
#include "proto/desk.h"

#define GUID_OUT_MAX (10u * 1024 * 1024) /* what waits for the qube; more ends the connection */
#define GUID_GHOSTS_MAX 4096u		 /* windows above the limit, which are remembered and not shown */
#define GUID_TRAY_MAX 16u
#define GUID_STREAM_PIXELS (64u * 1024 * 1024) /* pixels of all windows without shared memory, kept by the X server */
#define GUID_DELAYED_MAX 1024u
#define GUID_NAME_CAP 32

/* Codes that the process ends with. */
enum { GUID_END_STREAM = 0, GUID_END_PROTOCOL = 3, GUID_END_X = 4 };

struct win {
	UT_hash_handle hh;
	uint32_t id;	     /* of the qube */
	bool ghost;	     /* not shown: one too many */
	bool mapped, late;   /* late: mapping waits for the rate */
	bool override;	     /* no window manager; may change only while not mapped */
	bool docked;
	bool fullscreen;     /* by the window manager: frame without strip */
	bool wants_full;     /* asked for fullscreen and got maximized */
	bool focused;
	bool conf_out;	     /* told holds a CONFIGURE that the qube has not answered */
	struct rect in;	     /* the inner window, on the screen */
	struct rect told;    /* what the qube believes */
	uint32_t told_flags; /* GUI_FLAG_* */
	uint32_t transient;  /* of the qube, 0 = none */
	char title[TEXT_TITLE_CAP];
	char class[TEXT_CLASS_CAP], instance[TEXT_CLASS_CAP];
	struct gui_window_hints hints;
	/* pixels.c */
	bool image, putting; /* putting: the X server is at it */
	uint32_t img_w, img_h;
	uint64_t img_off;
	struct rect damage; /* waits for the end of putting */
	bool ack;	    /* a FRAME_ACK is due when it ends */
	/* xs.h: windows of the X server, 0 = none */
	uint32_t outer, inner, strip, pixmap;
	bool reparented, embedded;
	bool tiny; /* the outer window has room for the frame only */
};

struct delayed {
	uint64_t due_ms;
	size_t len;
	uint8_t data[48];
};

struct clip {
	bool asked; /* CLIPBOARD_REQ was sent and not answered */
	uint32_t asked_time;
	bool pasting; /* PASTE was sent to clipd and not answered */
	struct wr in; /* of a GIVE */
	uint32_t in_len;
	struct wr out; /* bytes of a COPY that clipd's socket had no room for */
	unsigned notices[DESK_N_END];
	uint64_t notice_ms[DESK_N_END];
};

struct guid {
	struct opts o;
	uint32_t qid, label, colour;
	char name[GUID_NAME_CAP], icon[64];
	uint64_t bar_size; /* 0: pixels come as a stream */
	uint32_t version;  /* negotiated; 0 before the greeting */
	uint64_t now_ms;
	int ended; /* -1 while it lives, else the exit code */
	struct wr out;
	struct win *wins;
	unsigned n_wins, n_ghosts, n_docked, n_late;
	uint64_t stream_pixels;
	struct rect root, work;
	struct rate attention, raise, state, mapping, icons;
	uint64_t focus_ms;  /* when a window of this qube got the focus */
	uint32_t user_time; /* X time of the last input into this qube */
	unsigned swallowed; /* keycode whose release is not for the qube */
	struct clip clip;
	int desk_fd;
	struct delayed *delayed; /* ring of GUID_DELAYED_MAX, or NULL */
	size_t d_first, d_n;
	uint64_t d_last_ms;
	uint32_t (*random)(void);
	struct xs *xs;
};

/* guid_init sets what does not depend on arguments; o and names are the caller's to fill in. guid_fini frees windows and buffers. */
void guid_init(struct guid *g);
void guid_fini(struct guid *g);
/* guid_end ends the main loop with a code; the first one counts. */
void guid_end(struct guid *g, int code, const char *fmt, ...) _printf_(3, 4);
/* guid_tick does what was put off; guid_wait_ms says how long the loop may sleep until then (-1: for ever). */
void guid_tick(struct guid *g);
int guid_wait_ms(const struct guid *g);

/* --- agent.c: bytes of the qube. agent_feed takes what it understands of n bytes, whole messages only, at most max_messages (0: all): bytes used, or -EBADMSG
   after guid_end. */
ssize_t agent_feed(struct guid *g, const uint8_t *p, size_t n, unsigned max_messages);

/* --- wins.c */
struct win *win_find(struct guid *g, uint32_t id);
struct win *win_by_x(struct guid *g, uint32_t xid);
int win_create(struct guid *g, uint32_t id, const struct gui_create *m);
void win_destroy(struct guid *g, struct win *w);
void win_map(struct guid *g, struct win *w, const struct gui_map *m);
void win_unmap(struct guid *g, struct win *w);
void win_configure(struct guid *g, struct win *w, const struct gui_configure *m);
void win_flags(struct guid *g, struct win *w, const struct gui_window_flags *m);
void win_dock(struct guid *g, struct win *w);
void win_late(struct guid *g);
/* win_tell_place tells the qube where the window is, when it does not know; one message is under way at a time. */
void win_tell_place(struct guid *g, struct win *w);
void win_tell_flags(struct guid *g, struct win *w, uint32_t flags);
/* win_refit, after a change of the screen: windows without a window manager come into the work area again, and others that were on the screen was and are not on
   the new one any more are brought there. */
void win_refit(struct guid *g, const struct rect *was);
struct frame win_frame(const struct win *w);

/* --- icon.c: icon_take has the whole body of ICON; -EBADMSG: the connection is to be closed. */
int icon_take(struct guid *g, struct win *w, struct rd body);

/* --- out.c: to the qube. out_check comes after each gui_put_*(&g->out, …); out_input is for input events, which may be delayed; out_due lets go what is due. */
void out_check(struct guid *g);
void out_input(struct guid *g, const struct wr *message);
void out_due(struct guid *g);

/* --- clip.c: the clipboard and notices, by way of clipd */
void clip_copy(struct guid *g, struct win *w, uint32_t time);
void clip_paste(struct guid *g, struct win *w, uint32_t time);
void clip_data(struct guid *g, struct rd body);
void clip_notice(struct guid *g, enum desk_kind kind);
/* clip_message takes a message of clipd: -EBADMSG when that is not one. clip_flush sends what waits: -EAGAIN when not all went. clip_ready tells clipd that windows
   are coming. */
int clip_message(struct guid *g, uint32_t type, struct rd payload);
int clip_flush(struct guid *g);
void clip_ready(struct guid *g);

#endif
