/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The guest's event loop: interest, hang-up kinds, freeing inside callbacks, timers, signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/ev.h"
#include "base/io.h"

struct seen {
	struct ev_loop *l;
	struct ev_io *io, *other;
	int events, n, timers, signals;
};

static void on_io(struct ev_io *io, int fd, int events, void *arg)
{
	struct seen *s = arg;

	s->events = events;
	s->n++;
	ev_stop(s->l, 5);
}

static void on_limit(struct ev_timer *t, void *arg)
{
	struct seen *s = arg;

	s->timers++;
	ev_stop(s->l, 9);
}

/* Runs until a callback stops it; code 9: nothing happened for 30 ms. */
static int turn(struct seen *s)
{
	struct ev_timer *t = ev_timer_new(s->l, on_limit, s);
	int r;

	ev_timer_start(t, 30);
	r = ev_run(s->l);
	ev_timer_free(t);
	return r;
}

static void test_interest(void **state)
{
	struct seen s = { .l = ev_new() };
	char c;
	int p[2];

	assert_int_equal(unix_pair(SOCK_STREAM, p), 0);
	s.io = ev_io_new(s.l, p[0], EV_READ, on_io, &s);
	assert_int_equal(turn(&s), 9);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(turn(&s), 5);
	assert_int_equal(s.events, EV_READ);
	ev_io_set(s.io, 0);
	assert_int_equal(turn(&s), 9);
	ev_io_set(s.io, EV_WRITE);
	assert_int_equal(turn(&s), 5);
	assert_int_equal(s.events, EV_WRITE);
	assert_int_equal(read(p[0], &c, 1), 1);
	ev_io_free(s.io);
	close(p[0]);
	close(p[1]);
	ev_free(s.l);
}

static void test_half_and_whole_close(void **state)
{
	struct seen s = { .l = ev_new() };
	int p[2];

	assert_int_equal(unix_pair(SOCK_STREAM, p), 0);
	s.io = ev_io_new(s.l, p[0], EV_GONE, on_io, &s);
	assert_int_equal(shutdown(p[1], SHUT_WR), 0);
	assert_int_equal(turn(&s), 9); /* a half close is not reported with EV_GONE … */
	ev_io_set(s.io, EV_HUP);
	assert_int_equal(turn(&s), 5); /* … but without */
	assert_int_equal(s.events, EV_HUP);
	ev_io_set(s.io, EV_GONE);
	close(p[1]);
	assert_int_equal(turn(&s), 5);
	assert_int_equal(s.events, EV_HUP);
	ev_io_set(s.io, 0);
	assert_int_equal(turn(&s), 9);
	ev_io_set(s.io, EV_READ | EV_GONE);
	assert_int_equal(turn(&s), 5);
	assert_int_equal(s.events, EV_READ | EV_HUP);
	ev_io_free(s.io);
	close(p[0]);
	ev_free(s.l);
}

static void on_free_both(struct ev_io *io, int fd, int events, void *arg)
{
	struct seen *s = arg;

	s->n++;
	ev_io_free(s->io);
	ev_io_free(s->other);
	ev_stop(s->l, 5);
}

/* Both are ready in one batch; the first callback frees both. */
static void test_free_in_callback(void **state)
{
	struct seen s = { .l = ev_new() };
	int p[2];

	assert_int_equal(unix_pair(SOCK_STREAM, p), 0);
	s.io = ev_io_new(s.l, p[0], EV_WRITE, on_free_both, &s);
	s.other = ev_io_new(s.l, p[1], EV_WRITE, on_free_both, &s);
	assert_int_equal(turn(&s), 5);
	assert_int_equal(s.n, 1);
	close(p[0]);
	close(p[1]);
	assert_int_equal(turn(&s), 9);
	ev_free(s.l);
}

static void test_not_pollable(void **state)
{
	struct ev_loop *l = ev_new();

	assert_null(ev_io_new(l, -1, EV_READ, on_io, NULL));
	assert_int_equal(ev_run(l), 0); /* no source: ends at once */
	ev_free(l);
}

static void on_tick(struct ev_timer *t, void *arg)
{
	struct seen *s = arg;

	if (++s->timers == 3) {
		ev_timer_free(t);
		ev_stop(s->l, 1);
	}
}

static void test_timers(void **state)
{
	struct seen s = { .l = ev_new() };
	struct ev_timer *never = ev_timer_new(s.l, on_limit, &s);

	ev_timer_start(never, 5);
	ev_timer_stop(never);
	ev_timer_repeat(ev_timer_new(s.l, on_tick, &s), 2);
	assert_int_equal(ev_run(s.l), 1);
	assert_int_equal(s.timers, 3);
	ev_timer_start(never, 0);
	assert_int_equal(ev_run(s.l), 9);
	ev_timer_free(never);
	ev_free(s.l);
}

static void on_signal(struct ev_signal *sig, int signum, void *arg)
{
	struct seen *s = arg;

	s->signals = signum;
	ev_signal_free(sig);
	ev_stop(s->l, 2);
}

static void test_signal(void **state)
{
	struct seen s = { .l = ev_new() };
	sigset_t mask;

	ev_signal_new(s.l, SIGUSR1, on_signal, &s);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	assert_false(sigismember(&mask, SIGUSR1)); /* children must not inherit it blocked */
	raise(SIGUSR1);
	assert_int_equal(ev_run(s.l), 2);
	assert_int_equal(s.signals, SIGUSR1);
	ev_free(s.l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interest),	 cmocka_unit_test(test_half_and_whole_close),
		cmocka_unit_test(test_free_in_callback), cmocka_unit_test(test_not_pollable),
		cmocka_unit_test(test_timers),		 cmocka_unit_test(test_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
