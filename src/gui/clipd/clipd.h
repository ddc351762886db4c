/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * clipd: the clipboard that crosses qubes by two key chords, and what guids have to tell the user (docs/gui.md §4). It reads only fixed messages of the guids and
 * passes the bytes of a clipboard on unread. state.c decides (pure); guid.c speaks with one guid; ask.c asks the policy; tell.c tells the user, keeps the history
 * and the state file of the reference; main.c wires.
 */
#ifndef GUI_CLIPD_CLIPD_H
#define GUI_CLIPD_CLIPD_H

#include "base/ev.h"
#include "proto/desk.h"
#include "proto/gui.h"
#include "proto/names.h"

/* bulkhead-desktop's end of descriptor CLIPD_FD_CONTROL sends one of these for each guid that it starts: name (lstr), u32 most bytes of a copy; one descriptor, the
   guid's socket. */
#define CLIPD_FD_CONTROL 3
#define CLIPD_NEW_GUID 1u

enum clip_refusal { CLIP_OK, CLIP_EMPTY, CLIP_SAME, CLIP_OLD, CLIP_EARLY, CLIP_POLICY, CLIP_BUSY, CLIP_REFUSALS };
#define CLIP_FOCUS_MS 300 /* least age of the focus for a paste */

/* --- state.c: what lies in the clipboard, and in which order things may happen. Times are those of the X server: milliseconds that wrap around. */
struct clip {
	struct qname source; /* meaningless while len is 0 */
	uint8_t *data;
	size_t len;
	uint32_t time; /* of the last copy or paste */
	bool any;      /* time is set */
};
/* clip_after: a is later than b on a clock that wraps. */
bool clip_after(uint32_t a, uint32_t b);
/* clip_copy_ok: a copy of this time may replace what is there (a later one may have come through another guid). */
bool clip_copy_ok(const struct clip *c, uint32_t time);
/* clip_put takes data (malloc) for a copy that clip_copy_ok allowed; len 0 empties it. clip_wipe overwrites and forgets the bytes. */
void clip_put(struct clip *c, const struct qname *source, uint32_t time, uint8_t *data, size_t len);
void clip_wipe(struct clip *c);
/* clip_paste_ok judges a paste chord before the policy is asked. */
enum clip_refusal clip_paste_ok(const struct clip *c, const struct qname *target, uint32_t time, uint32_t focus_ms);
const char *clip_refusal_words(enum clip_refusal why);

struct clipd;

/* --- guid.c */
struct guid;
/* guid_new takes fd. limit: most bytes that this qube may copy. */
int guid_new(struct clipd *d, const struct qname *name, uint32_t limit, int fd);
/* guid_answer ends the paste that it waits for. */
void guid_answer(struct guid *g, bool allowed);
void guid_free_all(struct clipd *d);

/* --- ask.c: one question to policyd at a time and guid. */
struct ask;
/* ask_start: fn is called once, unless ask_drop comes first. A policy that cannot be asked refuses. NULL: refused already. */
struct ask *ask_start(struct ev_loop *loop, const char *socket, const struct qname *source, const struct qname *target, void (*fn)(bool allowed, void *arg), void *arg);
void ask_drop(struct ask *a);

/* --- tell.c */
enum tell_action { TELL_COPY, TELL_PASTE, TELL_REFUSED, TELL_CLEARED, TELL_TOO_LONG };
/* tell_init opens the history and the state file; what cannot be opened is logged and left out. */
void tell_init(struct ev_loop *loop, const char *agent_socket);
/* tell_clip: history, state file and, for what the user does not see, a notice. source or target may be NULL. */
void tell_clip(enum tell_action what, const struct qname *source, const struct qname *target, size_t bytes, size_t limit, enum clip_refusal why);
void tell_notice(const struct qname *qube, enum desk_kind kind, uint32_t number);

struct clipd {
	struct ev_loop *loop;
	struct clip clip;
	const char *policy_socket;
	struct guid *guids;
};

#endif
