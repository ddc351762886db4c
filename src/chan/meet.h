/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * meet: where the local ends of vchans meet the link's channels. A local end is a request of a link client, or a stream that is there
 * already (a ticket). The vchan client's side offers the channel, the server's side takes it; whoever is first waits for the other.
 */
#ifndef CHAN_MEET_H
#define CHAN_MEET_H

#include "chan/lcs.h"
#include "chan/muxio.h"

#define MEET_WAIT_MS 130000 /* how long an offer or a ticket waits for its counterpart */
#define MEET_ENDS_MAX 1024

struct meet;

struct meet_ops {
	/* Asked for a channel that the other side of the link offers and nobody waits for yet: 0 = it may wait (MEET_WAIT_MS; for ever when
	   *ret_forever is set), positive errno = refused. */
	int (*offer)(uint32_t peer, uint32_t port, bool *ret_forever, void *arg);
	void (*up)(void *arg);
	void (*down)(const char *why, void *arg);
	/* A channel of a ticket or request has ended, or was never made. May be NULL. */
	void (*finished)(uint32_t peer, uint32_t port, void *arg);
};

struct meet *meet_new(struct ev_loop *l, struct muxio *x, const struct meet_ops *ops, void *arg);
void meet_free(struct meet *m);

/* meet_request: the local end is request r (LISTEN or CONNECT), which meet answers; keep: it waits for ever and survives the link's
   restart, otherwise it ends with the session. r->user is used by meet. -EADDRINUSE for a second LISTEN, -EMFILE. */
int meet_request(struct meet *m, struct lcs_req *r, bool keep);
/* meet_cancel: the client of r has gone. */
void meet_cancel(struct meet *m, struct lcs_req *r);
/* meet_has: a local end waits for (peer, port). */
bool meet_has(const struct meet *m, uint32_t peer, uint32_t port);
/* meet_ticket takes fd: a stream to join with (peer, port); listens: our side is the vchan server. Ends after MEET_WAIT_MS. On failure fd
   stays the caller's. */
int meet_ticket(struct meet *m, uint32_t peer, uint32_t port, bool listens, int fd);

/* For the owner's muxio_ops: pass these events on. */
void meet_on_up(struct meet *m);
void meet_on_down(struct meet *m, const char *why);
void meet_on_offered(struct meet *m, struct mux_chan *c);
void meet_on_opened(struct meet *m, struct mux_chan *c);
void meet_on_refused(struct meet *m, struct mux_chan *c, int code);
void meet_on_withdrawn(struct meet *m, struct mux_chan *c);

#endif
