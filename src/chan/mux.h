/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * struct mux: the state machine of one end of the link (docs/protocol/link.md): handshake, channels, credit. It knows no
 * descriptor and no clock: bytes go in by mux_input and come out of mux_out, so that tests and the fuzzer drive the real thing.
 * Whatever the other end sends, the only effects are callbacks and, on a violation, the end of the session.
 */
#ifndef CHAN_MUX_H
#define CHAN_MUX_H

#include "base/err.h"
#include "chan/fifo.h"
#include "proto/link.h"

#define MUX_CHANS_MAX 1024
#define MUX_OFFERED_MAX 128		/* channels offered by the peer that wait for our decision */
#define MUX_WINDOW (256u << 10)		/* what we take before it is consumed: per channel … */
#define MUX_WINDOW_SMALL (16u << 10)	/* … once windows of MUX_WINDOW_BUDGET are in use */
#define MUX_WINDOW_BUDGET (32u << 20)
#define MUX_OUT_HARD (1u << 20)		/* more queued output than this: read no input (the peer does not read its answers) */
/* Zeros that a guest sends before HELLO: they complete any frame that its predecessor left half-written and then are no frame. */
#define MUX_PREAMBLE (LINK_DATA_MAX + 2 * LINK_HDR_LEN)

enum mux_side { MUX_GUEST, MUX_HOST };
enum mux_state { MUX_SCAN, MUX_SEEDING, MUX_UP, MUX_FROZEN /* guest only: it waits for WAKE */ };
enum mux_chan_state { MUX_C_OPENING, MUX_C_OFFERED, MUX_C_UP, MUX_C_DEAD };

struct mux;

struct mux_chan {
	struct mux *mux;
	struct mux_chan *next;
	uint32_t id, peer, port;
	enum mux_chan_state state;
	bool tx_eof, rx_eof;	/* end of file sent, received */
	uint32_t tx_credit;	/* bytes that we may send */
	uint32_t rx_window;	/* our window; rx_left: what the peer may still send; rx_used: consumed, not yet told */
	uint32_t rx_left, rx_used;
	void *user; /* the owner's */
	void *pipe; /* muxio's */
};

/*
 * Callbacks; any may be NULL. A channel belongs to the mux's tables until refused or reset is called for it; from then it is dead and only
 * waits for mux_close. Every callback may call every function of this header but mux_input and mux_free.
 */
struct mux_ops {
	void (*hello)(void *arg);				/* host: answer by mux_welcome, now or later */
	void (*seed)(const uint8_t *p, size_t n, void *arg);	/* guest: use it, then mux_seeded */
	void (*set_time)(uint64_t realtime_ns, void *arg);	/* guest */
	void (*poweroff)(void *arg);				/* guest */
	void (*ready)(void *arg);				/* host: the guest has started everything */
	void (*freeze)(void *arg);				/* guest: become still, then mux_frozen */
	void (*frozen)(void *arg);				/* host: down comes next; the guest waits for mux_wake */
	void (*woken)(void *arg);				/* host: the session that mux_wake found goes on */
	void (*up)(void *arg);
	void (*down)(const char *why, void *arg); /* after reset/refused of every channel. Guest: start again by mux_hello */
	void (*offered)(struct mux_chan *c, void *arg);		/* decide by mux_accept, mux_refuse, now or later */
	void (*opened)(struct mux_chan *c, void *arg);
	void (*refused)(struct mux_chan *c, int code, void *arg);
	void (*data)(struct mux_chan *c, const uint8_t *p, size_t n, void *arg); /* take all; report by mux_rx_done */
	void (*credit)(struct mux_chan *c, void *arg);		/* we may send again */
	void (*eof)(struct mux_chan *c, void *arg);
	void (*reset)(struct mux_chan *c, void *arg);		/* also for an offered channel that was withdrawn */
};

struct mux *mux_new(enum mux_side side, const struct mux_ops *ops, void *arg);
/* mux_free frees channels without callbacks; dead ones stay the owner's. */
void mux_free(struct mux *m);
enum mux_state mux_state(const struct mux *m);
unsigned mux_n_chans(const struct mux *m);

/* mux_input takes n received bytes. */
void mux_input(struct mux *m, const uint8_t *p, size_t n);
/* mux_in_frame is true unless the next input byte is the first of a frame. */
bool mux_in_frame(const struct mux *m);
/* mux_out gives the queue of bytes to send; write them and fifo_drop. mux_queued counts also what is held back by mux_hold. */
struct fifo *mux_out(struct mux *m);
size_t mux_queued(const struct mux *m);
/* mux_lost: the transport was interrupted; ends the session and drops queued output. */
void mux_lost(struct mux *m, const char *why);

/* mux_hello (guest) starts a session with a fresh random nonce; mux_hello_again repeats it while no answer came. */
void mux_hello(struct mux *m, const uint8_t nonce[LINK_NONCE_LEN]);
void mux_hello_again(struct mux *m);
/* mux_seeded (guest): the random generator has the seed. Opens the gate. */
void mux_seeded(struct mux *m);
/* mux_welcome (host) answers a hello. */
void mux_welcome(struct mux *m, const uint8_t nonce[LINK_NONCE_LEN], const uint8_t seed[LINK_SEED_LEN],
		 uint64_t realtime_ns);
/* mux_poweroff (host) asks the guest to shut down. -ENOTCONN without a session. */
int mux_poweroff(struct mux *m);

/* mux_ready and mux_frozen (guest), mux_freeze (host): -ENOTCONN without a session. mux_frozen ends it; FROZEN is the last frame. */
int mux_ready(struct mux *m);
int mux_freeze(struct mux *m);
int mux_frozen(struct mux *m);
/* mux_hold (host): from now on nothing more of the session is given to mux_out, as the machine is about to be paused. mux_release ends it. Both
   do nothing without a session. */
void mux_hold(struct mux *m);
void mux_release(struct mux *m);
/* mux_wake (host): a new seed is the next thing that the guest gets, and nothing else before it has answered. Without a session, the
   guest being frozen: up is called then; in a session: woken. -EINPROGRESS while one of these is under way already. */
int mux_wake(struct mux *m, const uint8_t nonce[LINK_NONCE_LEN], const uint8_t seed[LINK_SEED_LEN], uint64_t realtime_ns);

/* mux_time (host) sets the guest's clock, if there is a session. */
void mux_time(struct mux *m, uint64_t realtime_ns);

/* mux_open offers a channel to the peer: -ENOTCONN before the gate is open, -EMFILE at the limit. */
int mux_open(struct mux *m, uint32_t peer, uint32_t port, void *user, struct mux_chan **ret);
void mux_accept(struct mux_chan *c);
/* mux_refuse refuses with a positive errno and frees c. */
void mux_refuse(struct mux_chan *c, int code);
/* mux_tx_begin gives a place for *ret_room bytes to send, or NULL without credit. Fill it at once, then mux_tx_end with the real number
   (0: nothing was there). No other call of the mux in between. */
uint8_t *mux_tx_begin(struct mux_chan *c, size_t *ret_room);
void mux_tx_end(struct mux_chan *c, size_t n);
void mux_tx_eof(struct mux_chan *c);
/* mux_rx_done: n received bytes have left our memory. */
void mux_rx_done(struct mux_chan *c, size_t n);
/* mux_close frees the channel; tells the peer unless it knows. */
void mux_close(struct mux_chan *c);

#endif
