/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The event loop of ev.h for programs of a qube, over epoll and timerfd instead of libuv. Reason: in an emulated guest reading
 * the clock is a device access, and libuv reads it twice a turn; here no turn reads it. A change of interest costs at most one call.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/timerfd.h>

#include "base/ev.h"

#define BATCH 32

/* What epoll knows: one per descriptor; timers and signals are descriptors too. */
struct ev_io {
	struct ev_loop *l;
	int fd, want, armed; /* armed: what the kernel was told, -1 = not in the set */
	bool dirty, dead;
	ev_io_fn fn;
	void *arg;
	TAILQ_ENTRY(ev_io) all, change;
};

struct ev_timer {
	struct ev_io *io;
	ev_timer_fn fn;
	void *arg;
};

struct ev_signal {
	struct ev_io *io;
	ev_signal_fn fn;
	void *arg;
	int signum;
};

struct ev_loop {
	int epfd, code;
	bool stop;
	TAILQ_HEAD(, ev_io) ios, changed, graves;
};

struct ev_loop *ev_new(void)
{
	struct ev_loop *l = xcalloc(1, sizeof *l);

	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		free(l);
		return NULL;
	}
	TAILQ_INIT(&l->ios);
	TAILQ_INIT(&l->changed);
	TAILQ_INIT(&l->graves);
	return l;
}

static uint32_t mask(int want)
{
	uint32_t m = (want & EV_READ ? EPOLLIN : 0u) | (want & EV_WRITE ? EPOLLOUT : 0u);

	/* A complete hang-up is reported with any mask. */
	return want & EV_GONE ? m : m | EPOLLRDHUP;
}

static void apply(struct ev_io *io)
{
	struct epoll_event e = { .events = mask(io->want), .data.ptr = io };

	/* With no interest at all the descriptor leaves the set, or a closed peer would spin the loop. */
	if (io->want == 0 && io->armed >= 0)
		epoll_ctl(io->l->epfd, EPOLL_CTL_DEL, io->fd, NULL);
	else if (io->want && io->want != io->armed)
		epoll_ctl(io->l->epfd, io->armed < 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, io->fd, &e);
	io->armed = io->want ? io->want : -1;
}

void ev_io_set(struct ev_io *io, int events)
{
	io->want = events;
	if (!io->dirty && !io->dead)
		TAILQ_INSERT_TAIL(&io->l->changed, io, change);
	io->dirty = !io->dead;
}

int ev_io_events(const struct ev_io *io)
{
	return io->want;
}

struct ev_io *ev_io_new(struct ev_loop *l, int fd, int events, ev_io_fn fn, void *arg)
{
	struct ev_io *io = xcalloc(1, sizeof *io);
	struct epoll_event e = { .events = 0, .data.ptr = io };

	*io = (struct ev_io){ .l = l, .fd = fd, .armed = -1, .fn = fn, .arg = arg };
	/* Whether the descriptor can be polled at all is known only by trying. */
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &e) < 0) {
		free(io);
		return NULL;
	}
	io->armed = 0;
	TAILQ_INSERT_TAIL(&l->ios, io, all);
	ev_io_set(io, events);
	return io;
}

void ev_io_free(struct ev_io *io)
{
	if (!io || io->dead)
		return;
	if (io->armed >= 0)
		epoll_ctl(io->l->epfd, EPOLL_CTL_DEL, io->fd, NULL);
	if (io->dirty)
		TAILQ_REMOVE(&io->l->changed, io, change);
	TAILQ_REMOVE(&io->l->ios, io, all);
	/* Events of this batch may still point to it. */
	io->dead = true;
	TAILQ_INSERT_TAIL(&io->l->graves, io, all);
}

static void bury(struct ev_loop *l)
{
	struct ev_io *io;

	while ((io = l->graves.tqh_first)) {
		TAILQ_REMOVE(&l->graves, io, all);
		free(io);
	}
}

static void dispatch(struct ev_io *io, uint32_t got)
{
	int ev = 0, asked = io->want & (EV_READ | EV_WRITE);

	if (io->dead || io->want == 0)
		return;
	ev |= got & EPOLLIN ? io->want & EV_READ : 0;
	ev |= got & EPOLLOUT ? io->want & EV_WRITE : 0;
	ev |= got & EPOLLRDHUP && !(io->want & EV_GONE) ? EV_HUP : 0;
	/* As in poll(2), an error or a hang-up makes a descriptor ready for what was asked, so that the caller's next call meets it. */
	ev |= got & (EPOLLHUP | EPOLLERR) ? EV_HUP | asked : 0;
	if (ev)
		io->fn(io, io->fd, ev, io->arg);
}

int ev_run(struct ev_loop *l)
{
	struct epoll_event e[BATCH];

	l->stop = false;
	l->code = 0;
	while (!l->stop && l->ios.tqh_first) {
		struct ev_io *io;
		int n;

		while ((io = l->changed.tqh_first)) {
			TAILQ_REMOVE(&l->changed, io, change);
			io->dirty = false;
			apply(io);
		}
		n = epoll_wait(l->epfd, e, BATCH, -1);
		for (int i = 0; i < n; i++)
			dispatch(e[i].data.ptr, e[i].events);
		bury(l);
	}
	return l->code;
}

void ev_stop(struct ev_loop *l, int code)
{
	l->code = code;
	l->stop = true;
}

void ev_free(struct ev_loop *l)
{
	struct ev_io *io;

	if (!l)
		return;
	while ((io = l->ios.tqh_first))
		ev_io_free(io);
	bury(l);
	close(l->epfd);
	free(l);
}

/* --- timers and signals ------------------------------------------------------------------------------------------ */

static void on_timer(struct ev_io *io, int fd, int events, void *arg)
{
	struct ev_timer *t = arg;
	uint64_t n;

	if (read(fd, &n, sizeof n) == sizeof n)
		t->fn(t, t->arg);
}

struct ev_timer *ev_timer_new(struct ev_loop *l, ev_timer_fn fn, void *arg)
{
	struct ev_timer *t = xcalloc(1, sizeof *t);
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	*t = (struct ev_timer){ .fn = fn, .arg = arg };
	t->io = fd >= 0 ? ev_io_new(l, fd, EV_READ | EV_GONE, on_timer, t) : NULL;
	if (!t->io)
		abort(); /* out of descriptors at the start: nothing would work */
	return t;
}

static void timer_set(struct ev_timer *t, uint64_t ms, uint64_t repeat)
{
	struct itimerspec s = { .it_value = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 },
				.it_interval = { .tv_sec = (time_t)(repeat / 1000), .tv_nsec = (long)(repeat % 1000) * 1000000 } };

	if (ms == 0)
		s.it_value.tv_nsec = 1;
	timerfd_settime(t->io->fd, 0, &s, NULL);
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
	struct itimerspec s = { 0 };

	timerfd_settime(t->io->fd, 0, &s, NULL);
}

void ev_timer_free(struct ev_timer *t)
{
	int fd;

	if (!t)
		return;
	fd = t->io->fd;
	ev_io_free(t->io);
	close(fd);
	free(t);
}

/* Signals come through a pipe that a handler writes to. Not by signalfd: that needs them blocked, and a program that forks would
   hand blocked signals on to what its children run. */
static int signal_pipe[NSIG]; /* write end, 0 = none */
static pid_t signal_owner;

static void handler(int signum)
{
	int saved = errno;

	/* A child between fork and exec: the signal is its own, and the pipe its parent's. */
	if (getpid() != signal_owner)
		_exit(128 + signum);
	(void)!write(signal_pipe[signum], "s", 1);
	errno = saved;
}

static void on_signal(struct ev_io *io, int fd, int events, void *arg)
{
	struct ev_signal *s = arg;
	char drop[64];

	if (read(fd, drop, sizeof drop) > 0)
		s->fn(s, s->signum, s->arg);
}

struct ev_signal *ev_signal_new(struct ev_loop *l, int signum, ev_signal_fn fn, void *arg)
{
	struct ev_signal *s = xcalloc(1, sizeof *s);
	struct sigaction a = { .sa_handler = handler, .sa_flags = SA_RESTART };
	int p[2];

	*s = (struct ev_signal){ .fn = fn, .arg = arg, .signum = signum };
	if (signum <= 0 || signum >= NSIG || signal_pipe[signum] || pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		abort(); /* a mistake of the program, or out of descriptors at its start */
	s->io = ev_io_new(l, p[0], EV_READ | EV_GONE, on_signal, s);
	if (!s->io)
		abort();
	signal_owner = getpid();
	signal_pipe[signum] = p[1];
	sigaction(signum, &a, NULL);
	return s;
}

void ev_signal_free(struct ev_signal *s)
{
	int fd;

	if (!s)
		return;
	signal(s->signum, SIG_DFL);
	close(signal_pipe[s->signum]);
	signal_pipe[s->signum] = 0;
	fd = s->io->fd;
	ev_io_free(s->io);
	close(fd);
	free(s);
}
