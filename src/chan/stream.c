/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Queued stream on an event loop. */
#include "chan/stream.h"

#include <sys/socket.h>

#include "base/io.h"
#include "chan/fifo.h"

#define READ_CHUNK 65536

struct chan_stream {
	struct ev_loop *loop;
	struct ev_io *io;
	struct ev_timer *kick; /* offers input that waited while paused */
	int fd;
	size_t in_max, out_high;
	const struct chan_stream_ops *ops;
	void *arg;
	struct fifo in, out;
	bool paused, was_full, ending, ended, closed, eof;
	int eof_code;
	bool busy, dead; /* a callback runs; it freed the stream, whose memory goes when the callback returned */
};

static void watch(struct chan_stream *s)
{
	int want = (s->paused || s->eof ? 0 : EV_READ) | (fifo_len(&s->out) ? EV_WRITE : 0);

	want |= EV_GONE;
	if (s->closed)
		want = 0;
	if (want != ev_io_events(s->io))
		ev_io_set(s->io, want);
}

static void fail(struct chan_stream *s, int code)
{
	if (s->closed)
		return;
	s->closed = true;
	watch(s);
	s->ops->closed(s, code, s->arg);
}

/* Gives false when the callback that ran freed the stream. */
static bool alive(struct chan_stream *s)
{
	s->busy = false;
	if (!s->dead)
		return true;
	free(s);
	return false;
}

/* Gives false when a callback freed or closed the stream. */
static bool offer(struct chan_stream *s)
{
	while (fifo_len(&s->in) && !s->paused) {
		ssize_t n;

		s->busy = true;
		n = s->ops->data(s, fifo_data(&s->in), fifo_len(&s->in), s->arg);
		if (!alive(s))
			return false;
		if (n < 0) {
			fail(s, (int)n);
			return false;
		}
		if (n == 0) {
			if (fifo_len(&s->in) < s->in_max)
				return true;
			fail(s, -EMSGSIZE);
			return false;
		}
		fifo_drop(&s->in, (size_t)n);
	}
	return true;
}

/* Input that came before the end is offered first, after a pause if need be. */
static void at_eof(struct chan_stream *s)
{
	if (!offer(s))
		return;
	if (s->paused && fifo_len(&s->in))
		watch(s);
	else
		fail(s, s->eof_code);
}

static void on_readable(struct chan_stream *s)
{
	size_t used = fifo_len(&s->in), left = s->in_max > used ? s->in_max - used : 1;
	size_t room = MIN(left, (size_t)READ_CHUNK);
	ssize_t n;

	n = read(s->fd, fifo_room(&s->in, room), room);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		fifo_added(&s->in, (size_t)n);
		offer(s);
		return;
	}
	s->eof_code = n == 0 || errno == ECONNRESET ? 0 : -errno;
	s->eof = true;
	at_eof(s);
}

/* Gives false when the stream was freed or closed. */
static bool flush(struct chan_stream *s)
{
	int r = fifo_write(&s->out, s->fd);

	if (r < 0 && r != -EAGAIN) {
		fifo_free(&s->out);
		fail(s, r);
		return false;
	}
	if (r == 0 && s->ending && !s->ended) {
		s->ended = true;
		shutdown(s->fd, SHUT_WR);
	}
	if (s->was_full && fifo_len(&s->out) < s->out_high / 2) {
		s->was_full = false;
		s->busy = true;
		if (s->ops->drained)
			s->ops->drained(s, s->arg);
		if (!alive(s))
			return false;
	}
	watch(s);
	return !s->closed;
}

static void on_io(struct ev_io *io, int fd, int events, void *arg)
{
	struct chan_stream *s = arg;

	if (s->closed)
		return;
	if (events & EV_WRITE && !flush(s))
		return;
	/* A peer that closed completely while we do not read: unread input is still offered when reading resumes. */
	if (s->paused || s->eof) {
		if (events & EV_HUP)
			ev_io_set(s->io, 0);
	} else if (events & (EV_READ | EV_HUP)) {
		on_readable(s);
	}
}

static void on_kick(struct ev_timer *t, void *arg)
{
	struct chan_stream *s = arg;

	if (s->closed)
		return;
	if (s->eof)
		at_eof(s);
	else
		offer(s);
}

struct chan_stream *chan_stream_new(struct ev_loop *l, int fd, size_t in_max, size_t out_high,
				    const struct chan_stream_ops *ops, void *arg)
{
	struct chan_stream *s = xcalloc(1, sizeof *s);

	fd_nonblock(fd, true);
	s->loop = l;
	s->fd = fd;
	s->in_max = in_max;
	s->out_high = out_high;
	s->ops = ops;
	s->arg = arg;
	s->io = ev_io_new(l, fd, EV_READ | EV_GONE, on_io, s);
	if (!s->io) {
		free(s);
		return NULL;
	}
	s->kick = ev_timer_new(l, on_kick, s);
	return s;
}

void chan_stream_free(struct chan_stream *s)
{
	if (!s)
		return;
	ev_io_free(s->io);
	ev_timer_free(s->kick);
	close(s->fd);
	fifo_free(&s->in);
	fifo_free(&s->out);
	s->closed = s->dead = true;
	if (!s->busy)
		free(s);
}

int chan_stream_send(struct chan_stream *s, const void *p, size_t n)
{
	if (s->closed || s->ending)
		return -EPIPE;
	if (fifo_len(&s->out) + n > s->out_high * 4)
		return -ENOBUFS;
	/* Straight to the socket when nothing waits: the common case needs neither queue nor copy. */
	if (fifo_len(&s->out) == 0 && n) {
		ssize_t w = send(s->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (w < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTSOCK)
			return errno == ECONNRESET ? -EPIPE : -errno;
		if (w > 0) {
			p = (const uint8_t *)p + w;
			n -= (size_t)w;
		}
	}
	fifo_put(&s->out, p, n);
	if (fifo_len(&s->out) >= s->out_high)
		s->was_full = true;
	watch(s);
	return 0;
}

int chan_stream_send_fd(struct chan_stream *s, const void *p, size_t n, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl = { 0 };
	struct iovec v = { (void *)(uintptr_t)p, n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof ctl.buf };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	ssize_t w;

	if (s->closed || s->ending)
		return -EPIPE;
	if (fifo_len(&s->out))
		return -EAGAIN;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	w = sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (w < 0)
		return errno == EINTR ? -EAGAIN : errno == ECONNRESET ? -EPIPE : -errno;
	/* The descriptor has gone with the first byte; the rest follows as ever. */
	fifo_put(&s->out, (const uint8_t *)p + w, n - (size_t)w);
	watch(s);
	return 0;
}

size_t chan_stream_queued(const struct chan_stream *s)
{
	return fifo_len(&s->out);
}

bool chan_stream_full(const struct chan_stream *s)
{
	return fifo_len(&s->out) >= s->out_high;
}

void chan_stream_pause(struct chan_stream *s, bool on)
{
	if (s->paused == on)
		return;
	s->paused = on;
	if (!on && (fifo_len(&s->in) || s->eof))
		ev_timer_start(s->kick, 0);
	watch(s);
}

void chan_stream_end(struct chan_stream *s)
{
	s->ending = true;
	if (!s->closed && fifo_len(&s->out) == 0 && !s->ended) {
		s->ended = true;
		shutdown(s->fd, SHUT_WR);
	}
}

void chan_stream_poll(struct chan_stream *s)
{
	if (!s->closed && !s->paused && !s->eof && !s->busy)
		on_readable(s);
}

int chan_stream_fd(const struct chan_stream *s)
{
	return s->fd;
}
