/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * struct chan_stream: a stream descriptor on an event loop with an input queue, for messages that arrive in pieces, and an output
 * queue with a high-water mark. For control traffic (qrexec messages, QubesDB, the console); bulk data does not go through it.
 */
#ifndef CHAN_STREAM_H
#define CHAN_STREAM_H

#include "base/ev.h"

struct chan_stream;

struct chan_stream_ops {
	/*
	 * n unread bytes are at p. Gives how many are used up (0: wait for more), or a negative code, which closes the stream. Called
	 * again while it uses something. With in_max unread bytes and nothing used the stream ends with -EMSGSIZE.
	 */
	ssize_t (*data)(struct chan_stream *s, const uint8_t *p, size_t n, void *arg);
	/* The output queue fell below half of the mark after it was full. May be NULL. */
	void (*drained)(struct chan_stream *s, void *arg);
	/* The end: code 0 = the other side ended its stream, negative = failure. Called at most once, and last; free the stream in it. */
	void (*closed)(struct chan_stream *s, int code, void *arg);
};

/* chan_stream_new takes fd, makes it non-blocking and reads from now on. in_max: most bytes that data may leave unread; out_high: the
   output mark. NULL when fd cannot be polled (fd stays the caller's then). */
struct chan_stream *chan_stream_new(struct ev_loop *l, int fd, size_t in_max, size_t out_high,
				    const struct chan_stream_ops *ops, void *arg);
/* chan_stream_free closes the descriptor at once; queued output is lost. Fine inside every callback. NULL-safe. */
void chan_stream_free(struct chan_stream *s);
/* chan_stream_send writes or queues all n bytes. -EPIPE when the peer has gone, -ENOBUFS beyond 4 times the mark (nothing is queued then). */
int chan_stream_send(struct chan_stream *s, const void *p, size_t n);
/* chan_stream_send_fd sends all n bytes (few enough for one write) with fd, which stays the caller's. -EAGAIN when bytes wait already or the socket
   is full: nothing was sent then; else as chan_stream_send. */
int chan_stream_send_fd(struct chan_stream *s, const void *p, size_t n, int fd);
size_t chan_stream_queued(const struct chan_stream *s);
/* chan_stream_full: stop producing (reading the other side) until drained. */
bool chan_stream_full(const struct chan_stream *s);
/* chan_stream_pause stops and resumes reading; resuming offers the bytes that are already here from the loop, not at once. */
void chan_stream_pause(struct chan_stream *s, bool on);
/* chan_stream_end closes our direction once the queue is written; reading goes on. */
void chan_stream_end(struct chan_stream *s);
/* chan_stream_poll takes what has arrived now, without waiting for the loop. */
void chan_stream_poll(struct chan_stream *s);
int chan_stream_fd(const struct chan_stream *s);
DEFINE_CLEANUP(chan_stream_free, struct chan_stream *)

#endif
