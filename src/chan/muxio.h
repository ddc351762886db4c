/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * muxio: a mux on an event loop. Owns the descriptor of the port, reads and writes it, and pumps channels that were joined with a
 * stream descriptor. Bulk goes from a socket into the output queue and from the input buffer into a socket without a further copy;
 * readable channels take turns frame by frame, so one of them cannot starve the others.
 */
#ifndef CHAN_MUXIO_H
#define CHAN_MUXIO_H

#include "base/ev.h"
#include "chan/mux.h"

struct muxio;

/* As mux_ops, for what muxio does not do itself. refused and withdrawn: c is dead, the callee forgets it and calls mux_close. */
struct muxio_ops {
	void (*hello)(void *arg);
	void (*seed)(const uint8_t *p, size_t n, void *arg);
	void (*set_time)(uint64_t realtime_ns, void *arg);
	void (*poweroff)(void *arg);
	void (*ready)(void *arg);
	void (*freeze)(void *arg);
	void (*frozen)(void *arg);
	void (*woken)(void *arg);
	void (*up)(void *arg);
	void (*down)(const char *why, void *arg);
	void (*offered)(struct mux_chan *c, void *arg);
	void (*opened)(struct mux_chan *c, void *arg); /* join or close it now: data may follow at once */
	void (*refused)(struct mux_chan *c, int code, void *arg);
	void (*withdrawn)(struct mux_chan *c, void *arg); /* a channel that was not joined yet was reset */
	void (*before_input)(void *arg);	  /* port bytes were read and are about to be taken */
	void (*port_lost)(int code, void *arg); /* port closed (0) or failed; its descriptor is closed already */
	void (*finished)(uint32_t peer, uint32_t port, void *arg); /* a joined channel has ended */
	/* likewise; first_us: when the local program had sent more than its HELLO (docs/protocol/qrexec.md), 0 = never */
	void (*traced)(uint32_t peer, uint32_t port, uint64_t first_us, void *arg);
};

struct muxio *muxio_new(struct ev_loop *l, enum mux_side side, const struct muxio_ops *ops, void *arg);
void muxio_free(struct muxio *x);
/* muxio_n_joined: joined channels that have not finished. */
unsigned muxio_n_joined(const struct muxio *x);
/* muxio_has: a joined channel of (peer, port) has not finished. */
bool muxio_has(const struct muxio *x, uint32_t peer, uint32_t port);
struct mux *muxio_mux(struct muxio *x);
/* muxio_port takes the port's descriptor (non-blocking is set here). -EINVAL when it cannot be polled; fd stays the caller's then. */
int muxio_port(struct muxio *x, int fd);
/* muxio_join takes fd, a stream socket, and pumps it until both directions have ended. c must be up. */
void muxio_join(struct muxio *x, struct mux_chan *c, int fd);
/* muxio_kick writes what callers queued in the mux outside of a muxio callback. */
void muxio_kick(struct muxio *x);

#endif
