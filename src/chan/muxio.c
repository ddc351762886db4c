/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The port of a mux: reading, writing, taking turns. The pumps of single channels are in pipe.c. */
#include "chan/muxio.h"

#include "base/io.h"
#include "chan/muxio_int.h"

#define IN_CAP 131072
#define TURNS 64 /* frames sent before other descriptors are looked at again */

static void watch_port(struct muxio *x)
{
	int want = EV_GONE;

	if (!x->ev)
		return;
	if (mux_queued(x->mux) <= MUX_OUT_HARD)
		want |= EV_READ;
	if (fifo_len(mux_out(x->mux)))
		want |= EV_WRITE;
	if (want != ev_io_events(x->ev))
		ev_io_set(x->ev, want);
}

static void port_fail(struct muxio *x, int code)
{
	ev_io_free(x->ev);
	x->ev = NULL;
	fd_closep(&x->port);
	x->in_have = 0;
	mux_lost(x->mux, "the port was closed");
	if (x->ops->port_lost)
		x->ops->port_lost(code, x->arg);
}

/* Gives 0 when everything is written, -EAGAIN, or another error after which the port is gone. */
static int flush(struct muxio *x)
{
	struct fifo *out = mux_out(x->mux);
	size_t before = fifo_len(out);
	int r;

	if (!x->ev)
		return -EAGAIN;
	if (before == 0)
		return 0;
	r = fifo_write(out, x->port);
	/* A device without a listener at the other end is full, not broken. */
	if (r < 0 && r != -EAGAIN)
		port_fail(x, r);
	return r;
}

void muxio_pump(struct muxio *x)
{
	for (int i = 0; i < TURNS; i++) {
		struct pipe *p;

		if (mux_queued(x->mux) >= MUXIO_OUT_HIGH) {
			flush(x);
			if (!x->ev || mux_queued(x->mux) >= MUXIO_OUT_HIGH)
				break;
		}
		p = x->ready.tqh_first;
		if (!p)
			break;
		pipe_unready(p);
		pipe_serve(p);
	}
	flush(x);
	watch_port(x);
	if (x->ready.tqh_first && mux_queued(x->mux) < MUXIO_OUT_HIGH)
		ev_timer_start(x->again, 0);
}

static void on_again(struct ev_timer *t, void *arg)
{
	muxio_pump(arg);
}

void muxio_kick(struct muxio *x)
{
	/* Inside a callback of the port the output is written when the input is done, in one go. */
	if (!x->in_input)
		muxio_pump(x);
}

/*
 * How many of the first n bytes in x->in to take now. A virtio port hands out single pages; passing each on at once would cost a write,
 * a wake-up and a read for every 4 KiB, most of a guest's time. The rest of a frame whose header is here is certain to follow.
 */
static size_t whole_frames(const struct muxio *x, size_t n)
{
	size_t end = 0;

	if (!x->small_reads || mux_in_frame(x->mux))
		return n;
	while (n - end >= LINK_HDR_LEN) {
		struct link_hdr h;

		if (link_get_hdr(x->in + end, LINK_FROM_BOTH, &h) < 0)
			return n; /* the mux says what is wrong */
		if (n - end - LINK_HDR_LEN < h.len)
			break;
		end += LINK_HDR_LEN + h.len;
	}
	return end;
}

static void input(struct muxio *x)
{
	size_t start = x->in_have, take;
	ssize_t n;

	do {
		n = read(x->port, x->in + x->in_have, IN_CAP - x->in_have);
		if (n > 0)
			x->in_have += (size_t)n;
	} while ((n > 0 && x->small_reads && x->in_have < IN_CAP) || (n < 0 && errno == EINTR));
	if (x->in_have == start) {
		if (n < 0 && errno == EAGAIN)
			return;
		port_fail(x, n == 0 || errno == ECONNRESET ? 0 : -errno);
		return;
	}
	if (x->ops->before_input)
		x->ops->before_input(x->arg);
	take = whole_frames(x, x->in_have);
	x->in_have -= take;
	x->in_input = true;
	mux_input(x->mux, x->in, take);
	x->in_input = false;
	memmove(x->in, x->in + take, x->in_have);
}

static void on_port(struct ev_io *io, int fd, int events, void *arg)
{
	struct muxio *x = arg;

	if (events & EV_READ) {
		input(x);
	} else if (events & EV_HUP) {
		port_fail(x, 0);
		return;
	}
	if (x->ev)
		muxio_pump(x);
}

int muxio_port(struct muxio *x, int fd)
{
	fd_nonblock(fd, true);
	x->ev = ev_io_new(x->loop, fd, EV_READ | EV_GONE, on_port, x);
	if (!x->ev)
		return -EINVAL;
	x->port = fd;
	return 0;
}

/* --- what the mux reports --------------------------------------------------------------------------------------- */

static void m_hello(void *arg)
{
	struct muxio *x = arg;

	if (x->ops->hello)
		x->ops->hello(x->arg);
}

static void m_seed(const uint8_t *p, size_t n, void *arg)
{
	struct muxio *x = arg;

	if (x->ops->seed)
		x->ops->seed(p, n, x->arg);
}

static void m_set_time(uint64_t t, void *arg)
{
	struct muxio *x = arg;

	if (x->ops->set_time)
		x->ops->set_time(t, x->arg);
}

static void m_poweroff(void *arg)
{
	struct muxio *x = arg;

	if (x->ops->poweroff)
		x->ops->poweroff(x->arg);
}

static void m_ready(void *arg)
{
	struct muxio *x = arg;

	if (x->ops->ready)
		x->ops->ready(x->arg);
}

static void m_freeze(void *arg)
{
	struct muxio *x = arg;

	if (x->ops->freeze)
		x->ops->freeze(x->arg);
}

static void m_frozen(void *arg)
{
	struct muxio *x = arg;

	if (x->ops->frozen)
		x->ops->frozen(x->arg);
}

static void m_woken(void *arg)
{
	struct muxio *x = arg;

	if (x->ops->woken)
		x->ops->woken(x->arg);
}

static void m_up(void *arg)
{
	struct muxio *x = arg;

	if (x->ops->up)
		x->ops->up(x->arg);
}

static void m_down(const char *why, void *arg)
{
	struct muxio *x = arg;

	if (x->ops->down)
		x->ops->down(why, x->arg);
}

static void m_offered(struct mux_chan *c, void *arg)
{
	struct muxio *x = arg;

	if (x->ops->offered)
		x->ops->offered(c, x->arg);
	else
		mux_refuse(c, EOPNOTSUPP);
}

static void m_opened(struct mux_chan *c, void *arg)
{
	struct muxio *x = arg;

	if (x->ops->opened)
		x->ops->opened(c, x->arg);
	else
		mux_close(c);
}

static void m_refused(struct mux_chan *c, int code, void *arg)
{
	struct muxio *x = arg;

	if (x->ops->refused)
		x->ops->refused(c, code, x->arg);
	else
		mux_close(c);
}

static void m_reset(struct mux_chan *c, void *arg)
{
	struct muxio *x = arg;

	if (c->pipe)
		pipe_reset(c->pipe);
	else if (x->ops->withdrawn)
		x->ops->withdrawn(c, x->arg);
	else
		mux_close(c);
}

static void m_data(struct mux_chan *c, const uint8_t *p, size_t n, void *arg)
{
	if (c->pipe)
		pipe_data(c->pipe, p, n);
	else
		mux_rx_done(c, n); /* opened, and the owner closed it or did not join it at once: there is no reader */
}

static void m_credit(struct mux_chan *c, void *arg)
{
	if (c->pipe)
		pipe_credit(c->pipe);
}

static void m_eof(struct mux_chan *c, void *arg)
{
	if (c->pipe)
		pipe_eof(c->pipe);
}

static const struct mux_ops mux_callbacks = {
	.hello = m_hello, .seed = m_seed, .set_time = m_set_time, .poweroff = m_poweroff, .up = m_up, .down = m_down,
	.ready = m_ready, .freeze = m_freeze, .frozen = m_frozen, .woken = m_woken,
	.offered = m_offered, .opened = m_opened, .refused = m_refused, .data = m_data, .credit = m_credit,
	.eof = m_eof, .reset = m_reset,
};

struct muxio *muxio_new(struct ev_loop *l, enum mux_side side, const struct muxio_ops *ops, void *arg)
{
	struct muxio *x = xcalloc(1, sizeof *x);

	x->loop = l;
	x->ops = ops;
	x->arg = arg;
	x->port = -1;
	x->in = xmalloc(IN_CAP);
	x->mux = mux_new(side, &mux_callbacks, x);
	x->small_reads = side == MUX_GUEST;
	x->again = ev_timer_new(l, on_again, x);
	TAILQ_INIT(&x->ready);
	TAILQ_INIT(&x->pipes);
	return x;
}

void muxio_free(struct muxio *x)
{
	if (!x)
		return;
	while (x->pipes.tqh_first)
		pipe_free(x->pipes.tqh_first);
	ev_io_free(x->ev);
	ev_timer_free(x->again);
	fd_closep(&x->port);
	mux_free(x->mux);
	free(x->in);
	free(x);
}

unsigned muxio_n_joined(const struct muxio *x)
{
	const struct pipe *p;
	unsigned n = 0;

	TAILQ_FOREACH(p, &x->pipes, all)
		n++;
	return n;
}

bool muxio_has(const struct muxio *x, uint32_t peer, uint32_t port)
{
	const struct pipe *p;

	TAILQ_FOREACH(p, &x->pipes, all)
		if (p->c->peer == peer && p->c->port == port)
			return true;
	return false;
}

struct mux *muxio_mux(struct muxio *x)
{
	return x->mux;
}

