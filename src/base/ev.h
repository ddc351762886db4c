/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Event loop: a thin, owned layer over libuv (uv_poll, uv_timer, uv_signal), so that daemons use descriptors and callbacks
 * and never libuv's own streams, processes or thread pool. Sources are heap objects that the loop frees after ev_*_free;
 * freeing a source inside any callback is fine, its own included. One loop a process. Callbacks must not block.
 */
#ifndef BASE_EV_H
#define BASE_EV_H

#include "base/err.h"

struct ev_loop;
struct ev_io;
struct ev_timer;
struct ev_signal;

#define EV_READ 1
#define EV_WRITE 2
#define EV_HUP 4 /* the peer closed or an error is pending; always reported, with or without EV_READ asked for */
#define EV_GONE 8 /* only as interest: EV_HUP means that the peer closed both directions, not that it ended its own (half close) */

typedef void (*ev_io_fn)(struct ev_io *io, int fd, int events, void *arg);
typedef void (*ev_timer_fn)(struct ev_timer *t, void *arg);
typedef void (*ev_signal_fn)(struct ev_signal *s, int signum, void *arg);

struct ev_loop *ev_new(void);
/* ev_free closes all remaining sources. */
void ev_free(struct ev_loop *l);
/* ev_run runs until ev_stop; gives the code of ev_stop, or 0 when no source is left. */
int ev_run(struct ev_loop *l);
void ev_stop(struct ev_loop *l, int code);

/* ev_io_new watches fd (stays the caller's; close it only after ev_io_free). events may be 0 and changed later. NULL when
   the descriptor cannot be polled. */
struct ev_io *ev_io_new(struct ev_loop *l, int fd, int events, ev_io_fn fn, void *arg);
void ev_io_set(struct ev_io *io, int events);
int ev_io_events(const struct ev_io *io);
void ev_io_free(struct ev_io *io);

/* ev_timer_new makes a stopped timer; ev_timer_start fires once after ms (restarting replaces); ev_timer_repeat fires every ms. */
struct ev_timer *ev_timer_new(struct ev_loop *l, ev_timer_fn fn, void *arg);
void ev_timer_start(struct ev_timer *t, uint64_t ms);
void ev_timer_repeat(struct ev_timer *t, uint64_t ms);
void ev_timer_stop(struct ev_timer *t);
void ev_timer_free(struct ev_timer *t);

struct ev_signal *ev_signal_new(struct ev_loop *l, int signum, ev_signal_fn fn, void *arg);
void ev_signal_free(struct ev_signal *s);

DEFINE_CLEANUP(ev_io_free, struct ev_io *)
DEFINE_CLEANUP(ev_timer_free, struct ev_timer *)
DEFINE_CLEANUP(ev_free, struct ev_loop *)

#endif
