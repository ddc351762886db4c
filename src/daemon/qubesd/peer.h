/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One SEQPACKET channel to another process of ours: requests with a callback each, messages without a reply, and the end of the
 * channel. Nothing blocks; what the socket does not take at once is queued, boundedly.
 */
#ifndef QUBESD_PEER_H
#define QUBESD_PEER_H

#include "base/ev.h"
#include "proto/ipc.h"

struct peer;
/* r: 0 and the reply (descriptors may be taken from it), or negative with a text. Always called, later, exactly once; with -EPIPE when
   the channel ends first. */
typedef void (*peer_reply_fn)(void *arg, int r, struct msg *m, struct err *e);

struct peer_ops {
	void (*msg)(struct peer *p, struct msg *m); /* a message that is no reply */
	void (*gone)(struct peer *p);		    /* the channel ended; the peer may be freed in here */
};

struct peer {
	struct ev_loop *loop;
	int fd;
	struct ev_io *io;
	const struct peer_ops *ops;
	void *arg;
	const char *what; /* for logs */
	uint32_t serial;
	struct peer_wait *waits;
	struct peer_out *out, **out_tail;
	unsigned n_out;
	bool dead;
	unsigned busy; /* callbacks under way */
	bool doomed;   /* freed when busy is 0 */
};

/* peer_new takes over fd. */
struct peer *peer_new(struct ev_loop *l, int fd, const struct peer_ops *ops, void *arg, const char *what);
/* peer_free closes the channel; waiting requests are answered -EPIPE before. NULL-safe. */
void peer_free(struct peer *p);
/* peer_request sends a request. w may be NULL. fds stay the caller's. fn NULL: the reply does not matter. */
int peer_request(struct peer *p, uint32_t type, const struct wr *w, const int *fds, size_t n_fds, peer_reply_fn fn, void *arg,
		 struct err *e);
/* peer_send sends a message that has no reply. */
int peer_send(struct peer *p, uint32_t type, const struct wr *w, const int *fds, size_t n_fds);

#endif
