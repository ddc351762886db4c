/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One joined channel: a local stream socket on one side, the mux on the other. Each direction ends on its own; the channel is
 * finished when both have, or when the local program or the other end has gone and what was on its way is delivered.
 */
#include <sys/socket.h>

#include "base/io.h"
#include "chan/muxio_int.h"

/* A read this long means that there is more: stay in the list of ready ones instead of asking the kernel. */
#define BULK 16384
/* A data channel of a call begins with 12 bytes HELLO in each direction. */
#define HELLO_LEN 12

static void watch(struct pipe *p)
{
	int want = 0;

	if (!p->ready && !p->no_credit && !p->c->tx_eof && p->c->state == MUX_C_UP)
		want |= EV_READ;
	if (fifo_len(&p->rx) && !p->deaf)
		want |= EV_WRITE;
	if (!p->hup)
		want |= EV_GONE;
	if (want != ev_io_events(p->ev))
		ev_io_set(p->ev, want);
}

void pipe_free(struct pipe *p)
{
	pipe_unready(p);
	TAILQ_REMOVE(&p->x->pipes, p, all);
	ev_io_free(p->ev);
	mux_close(p->c);
	fifo_free(&p->rx);
	close(p->fd);
	free(p);
}

/* An end without ECONNRESET at the local program: a socket that is closed with unread bytes resets its peer, so take them first. */
static void finish(struct pipe *p)
{
	struct muxio *x = p->x;
	uint32_t peer = p->c->peer, port = p->c->port;
	uint64_t first = p->first_us;
	static char drop[65536];

	shutdown(p->fd, SHUT_RDWR);
	for (int i = 0; i < 16 && recv(p->fd, drop, sizeof drop, MSG_DONTWAIT) > 0; i++)
		;
	pipe_free(p);
	if (x->ops->finished)
		x->ops->finished(peer, port, x->arg);
	if (x->ops->traced)
		x->ops->traced(peer, port, first, x->arg);
}

/* Gives false when the pipe has come to its end and is gone. */
static bool settle(struct pipe *p)
{
	const struct mux_chan *c = p->c;
	bool rx_empty = fifo_len(&p->rx) == 0;

	if (rx_empty && c->rx_eof && !p->rx_ended) {
		p->rx_ended = true;
		shutdown(p->fd, SHUT_WR);
	}
	if ((rx_empty && c->state == MUX_C_DEAD) || (rx_empty && c->tx_eof && c->rx_eof) || (p->deaf && c->tx_eof)) {
		finish(p);
		return false;
	}
	watch(p);
	return true;
}

static void go_deaf(struct pipe *p)
{
	size_t n = fifo_len(&p->rx);

	p->deaf = true;
	fifo_free(&p->rx);
	if (n)
		mux_rx_done(p->c, n);
}

static void write_queued(struct pipe *p)
{
	size_t before = fifo_len(&p->rx);
	int r = fifo_write(&p->rx, p->fd);

	if (before > fifo_len(&p->rx))
		mux_rx_done(p->c, before - fifo_len(&p->rx));
	if (r < 0 && r != -EAGAIN)
		go_deaf(p);
}

void pipe_data(struct pipe *p, const uint8_t *data, size_t n)
{
	size_t done = 0;

	if (p->deaf) {
		mux_rx_done(p->c, n);
		return;
	}
	while (done < n && fifo_len(&p->rx) == 0) {
		ssize_t w = send(p->fd, data + done, n - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (w >= 0) {
			done += (size_t)w;
		} else if (errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			go_deaf(p);
			mux_rx_done(p->c, n);
			settle(p);
			return;
		}
	}
	if (done)
		mux_rx_done(p->c, done);
	if (done < n) {
		fifo_put(&p->rx, data + done, n - done);
		watch(p);
	}
}

void pipe_unready(struct pipe *p)
{
	if (p->ready)
		TAILQ_REMOVE(&p->x->ready, p, turn);
	p->ready = false;
}

static void make_ready(struct pipe *p)
{
	if (!p->ready)
		TAILQ_INSERT_TAIL(&p->x->ready, p, turn);
	p->ready = true;
}

void pipe_serve(struct pipe *p)
{
	size_t room;
	uint8_t *to = mux_tx_begin(p->c, &room);
	ssize_t n;

	if (!to) {
		p->no_credit = p->c->state == MUX_C_UP && !p->c->tx_eof;
		settle(p);
		return;
	}
	n = recv(p->fd, to, room, MSG_DONTWAIT);
	if (n > 0) {
		mux_tx_end(p->c, (size_t)n);
		p->sent += (size_t)n;
		if (!p->first_us && p->sent > HELLO_LEN)
			p->first_us = now_us();
		if (n >= BULK)
			make_ready(p);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		mux_tx_eof(p->c);
	}
	settle(p);
}

void pipe_credit(struct pipe *p)
{
	if (!p->no_credit)
		return;
	p->no_credit = false;
	make_ready(p);
	watch(p);
}

void pipe_eof(struct pipe *p)
{
	settle(p);
}

void pipe_reset(struct pipe *p)
{
	pipe_unready(p);
	p->no_credit = false;
	settle(p);
}

static void on_pipe(struct ev_io *io, int fd, int events, void *arg)
{
	struct pipe *p = arg;
	struct muxio *x = p->x;

	if (events & EV_WRITE && fifo_len(&p->rx)) {
		write_queued(p);
		if (!settle(p)) {
			muxio_kick(x);
			return;
		}
	}
	if (events & EV_HUP) {
		/* Nobody reads any more; what the program wrote before it left is still sent, as credit allows. */
		p->hup = true;
		go_deaf(p);
	}
	if (events & EV_READ && !p->ready && !p->no_credit && !p->c->tx_eof)
		make_ready(p);
	settle(p);
	muxio_kick(x);
}

void muxio_join(struct muxio *x, struct mux_chan *c, int fd)
{
	struct pipe *p = xcalloc(1, sizeof *p);

	fd_nonblock(fd, true);
	p->x = x;
	p->c = c;
	p->fd = fd;
	p->ev = ev_io_new(x->loop, fd, 0, on_pipe, p);
	if (!p->ev) {
		close(fd);
		free(p);
		mux_close(c);
		return;
	}
	c->pipe = p;
	TAILQ_INSERT_TAIL(&x->pipes, p, all);
	if (settle(p))
		muxio_kick(x);
}
