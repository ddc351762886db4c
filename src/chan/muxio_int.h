/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of muxio: muxio.c (the port) and pipe.c (one joined channel). */
#ifndef CHAN_MUXIO_INT_H
#define CHAN_MUXIO_INT_H

#include <sys/queue.h>

#include "chan/muxio.h"

/* Queued output at which channels stop being read: what a key press may have to wait behind. */
#define MUXIO_OUT_HIGH 131072

struct pipe {
	struct muxio *x;
	struct mux_chan *c;
	int fd;
	struct ev_io *ev;
	struct fifo rx;	   /* received, not yet taken by the local program; at most the window */
	bool ready;	   /* in the ready list: readable, waits for its turn, not polled for reading */
	bool no_credit;
	bool rx_ended;	   /* our EOF was passed on to the local program */
	bool deaf;	   /* the local program takes nothing any more */
	bool hup;	   /* it has closed its end completely */
	uint64_t sent, first_us; /* bytes of the local program; when they were more than its HELLO */
	TAILQ_ENTRY(pipe) turn, all;
};

struct muxio {
	struct ev_loop *loop;
	const struct muxio_ops *ops;
	void *arg;
	struct mux *mux;
	int port;
	struct ev_io *ev; /* NULL without a port */
	struct ev_timer *again;
	uint8_t *in; /* in_have: bytes at its start that wait for the rest of their frame */
	size_t in_have;
	bool small_reads, in_input;
	TAILQ_HEAD(, pipe) ready, pipes;
};

void muxio_pump(struct muxio *x);
/* pipe_serve sends at most one frame of p and decides what p waits for next. */
void pipe_serve(struct pipe *p);
void pipe_unready(struct pipe *p);
void pipe_data(struct pipe *p, const uint8_t *data, size_t n);
void pipe_credit(struct pipe *p);
void pipe_eof(struct pipe *p);
void pipe_reset(struct pipe *p);
/* pipe_free closes at once. */
void pipe_free(struct pipe *p);

#endif
