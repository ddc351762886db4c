/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of the mux: shared by mux.c (channels, sending) and mux_rx.c (receiving). */
#ifndef CHAN_MUX_INT_H
#define CHAN_MUX_INT_H

#include "chan/mux.h"

#define MUX_BUCKETS 256

struct mux {
	enum mux_side side;
	enum mux_state state;
	const struct mux_ops *ops;
	void *arg;
	struct fifo out, held, *to; /* to: the one of both that frames go to */
	bool waking;		    /* WAKE was sent or received in a session, and its SEEDED not yet */
	uint8_t guest_nonce[LINK_NONCE_LEN], host_nonce[LINK_NONCE_LEN];
	bool welcomed;
	/* channels */
	struct mux_chan *chans[MUX_BUCKETS];
	unsigned n_chans, n_offered;
	uint32_t window_used;
	uint32_t last_own, last_peer; /* ids never come again in a session: late frames are told from wrong ones */
	/* receiving */
	struct link_scan scan;
	uint8_t hdr[LINK_HDR_LEN], ctl[LINK_CTL_MAX];
	size_t hdr_have, ctl_have, data_left;
	struct link_hdr h;
	struct mux_chan *data_chan; /* of the DATA frame that is arriving; NULL = drop it */
	unsigned epoch;		    /* counts session ends, so that the parser notices one inside a callback */
};

#define MUX_CALL(m, fn, ...)                                                                       \
	do {                                                                                       \
		if ((m)->ops->fn)                                                                  \
			(m)->ops->fn(__VA_ARGS__);                                                 \
	} while (0)

/* MUX_SEND(m, open, id, .peer = 1) queues a frame. */
#define MUX_SEND(m, name, id, ...)                                                                 \
	do {                                                                                       \
		struct link_##name f_ = { __VA_ARGS__ };                                           \
		struct wr w_ = wr_mem(fifo_room((m)->to, LINK_HDR_LEN + LINK_CTL_MAX),           \
				      LINK_HDR_LEN + LINK_CTL_MAX);                                \
                                                                                                   \
		link_put_##name(&w_, id, &f_);                                                     \
		fifo_added((m)->to, w_.len);                                                     \
	} while (0)

/* mux_send_seed queues SEED and TIME past everything that is held back. */
void mux_send_seed(struct mux *m, const uint8_t seed[LINK_SEED_LEN], uint64_t realtime_ns);
struct mux_chan *mux_chan_find(struct mux *m, uint32_t id);
/* mux_chan_add makes a channel with its receive window; NULL at the limit. */
struct mux_chan *mux_chan_add(struct mux *m, uint32_t id, uint32_t peer, uint32_t port, enum mux_chan_state state);
/* mux_chan_dead takes c out of the tables. */
void mux_chan_dead(struct mux_chan *c);
/* mux_end ends the session with callbacks; the receiver looks for a handshake from here on. */
void mux_end(struct mux *m, const char *why);
/* mux_violation is mux_end, and tells the peer. */
void mux_violation(struct mux *m, const char *why);

#endif
