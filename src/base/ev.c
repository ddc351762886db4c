/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Event loop over libuv. Each source owns its uv handle and is freed by libuv's close callback, never earlier. */
#include "base/ev.h"

#include <uv.h>

struct ev_loop {
	uv_loop_t uv;
	int code;
};

struct ev_io {
	uv_poll_t uv;
	ev_io_fn fn;
	void *arg;
	int fd, events;
};

struct ev_timer {
	uv_timer_t uv;
	ev_timer_fn fn;
	void *arg;
};

struct ev_signal {
	uv_signal_t uv;
	ev_signal_fn fn;
	void *arg;
};

struct ev_loop *ev_new(void)
{
	struct ev_loop *l = xcalloc(1, sizeof *l);

	if (uv_loop_init(&l->uv) < 0) {
		free(l);
		return NULL;
	}
	return l;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

static void close_one(uv_handle_t *h, void *arg)
{
	if (!uv_is_closing(h))
		uv_close(h, on_closed);
}

void ev_free(struct ev_loop *l)
{
	if (!l)
		return;
	uv_walk(&l->uv, close_one, NULL);
	while (uv_run(&l->uv, UV_RUN_DEFAULT))
		;
	uv_loop_close(&l->uv);
	free(l);
}

int ev_run(struct ev_loop *l)
{
	l->code = 0;
	uv_run(&l->uv, UV_RUN_DEFAULT);
	return l->code;
}

void ev_stop(struct ev_loop *l, int code)
{
	l->code = code;
	uv_stop(&l->uv);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	struct ev_io *io = p->data;
	int ev = 0;

	if (status < 0) {
		/* As in poll(2), an error makes a descriptor ready for what was asked, so that the caller's next call meets it. libuv has
		   stopped polling: ask again, unless the callback changes or frees the source. */
		ev = EV_HUP | (io->events & (EV_READ | EV_WRITE));
		ev_io_set(io, io->events);
	} else {
		ev |= events & UV_READABLE ? EV_READ : 0;
		ev |= events & UV_WRITABLE ? EV_WRITE : 0;
		ev |= events & (UV_DISCONNECT | UV_PRIORITIZED) ? EV_HUP : 0;
	}
	io->fn(io, io->fd, ev, io->arg);
}

struct ev_io *ev_io_new(struct ev_loop *l, int fd, int events, ev_io_fn fn, void *arg)
{
	struct ev_io *io = xcalloc(1, sizeof *io);

	if (uv_poll_init(&l->uv, &io->uv, fd) < 0) {
		free(io);
		return NULL;
	}
	io->uv.data = io;
	io->fn = fn;
	io->arg = arg;
	io->fd = fd;
	ev_io_set(io, events);
	return io;
}

void ev_io_set(struct ev_io *io, int events)
{
	int uv = 0;

	io->events = events;
	uv |= events & EV_READ ? UV_READABLE : 0;
	uv |= events & EV_WRITE ? UV_WRITABLE : 0;
	/* With no interest at all the descriptor is not watched, or a closed peer would spin the loop. */
	if (events & EV_GONE)
		/* libuv has no name for "hang-up only": the kernel reports that one with any interest, and libuv maps it to this. */
		uv_poll_start(&io->uv, uv | UV_PRIORITIZED, on_poll);
	else if (uv || events & EV_HUP)
		uv_poll_start(&io->uv, uv | UV_DISCONNECT, on_poll);
	else
		uv_poll_stop(&io->uv);
}

int ev_io_events(const struct ev_io *io)
{
	return io->events;
}

void ev_io_free(struct ev_io *io)
{
	if (!io)
		return;
	uv_poll_stop(&io->uv);
	uv_close((uv_handle_t *)&io->uv, on_closed);
}

static void on_timer(uv_timer_t *t)
{
	struct ev_timer *x = t->data;

	x->fn(x, x->arg);
}

struct ev_timer *ev_timer_new(struct ev_loop *l, ev_timer_fn fn, void *arg)
{
	struct ev_timer *t = xcalloc(1, sizeof *t);

	uv_timer_init(&l->uv, &t->uv);
	t->uv.data = t;
	t->fn = fn;
	t->arg = arg;
	return t;
}

static void timer_set(struct ev_timer *t, uint64_t ms, uint64_t repeat)
{
	uv_update_time(t->uv.loop);
	uv_timer_start(&t->uv, on_timer, ms, repeat);
}

void ev_timer_start(struct ev_timer *t, uint64_t ms)
{
	timer_set(t, ms, 0);
}

void ev_timer_repeat(struct ev_timer *t, uint64_t ms)
{
	timer_set(t, ms, ms);
}

void ev_timer_stop(struct ev_timer *t)
{
	uv_timer_stop(&t->uv);
}

void ev_timer_free(struct ev_timer *t)
{
	if (!t)
		return;
	uv_timer_stop(&t->uv);
	uv_close((uv_handle_t *)&t->uv, on_closed);
}

static void on_signal(uv_signal_t *s, int signum)
{
	struct ev_signal *x = s->data;

	x->fn(x, signum, x->arg);
}

struct ev_signal *ev_signal_new(struct ev_loop *l, int signum, ev_signal_fn fn, void *arg)
{
	struct ev_signal *s = xcalloc(1, sizeof *s);

	uv_signal_init(&l->uv, &s->uv);
	s->uv.data = s;
	s->fn = fn;
	s->arg = arg;
	uv_signal_start(&s->uv, on_signal, signum);
	return s;
}

void ev_signal_free(struct ev_signal *s)
{
	if (!s)
		return;
	uv_signal_stop(&s->uv);
	uv_close((uv_handle_t *)&s->uv, on_closed);
}
