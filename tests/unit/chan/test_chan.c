/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The unix transport of chan, the byte queue, and queued streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fsx.h"
#include "base/io.h"
#include "chan/chan.h"
#include "chan/fifo.h"
#include "chan/stream.h"

static char dir[64];

static int setup(void **state)
{
	snprintf(dir, sizeof dir, "/tmp/bhchan.%d", getpid());
	assert_int_equal(fs_mkdir_p(dir, 0700, NULL), 0);
	setenv("VCHAN_SOCKET_DIR", dir, 1);
	setenv("VCHAN_DOMAIN", "42", 1);
	return 0;
}

static int teardown(void **state)
{
	return fs_rm_rf(AT_FDCWD, dir, NULL);
}

static int finish(struct chan_req *q)
{
	_cleanup_(chan_req_freep) struct chan_req *own = q;
	struct pollfd p = { .fd = chan_req_fd(q), .events = POLLIN };
	int r;

	while ((r = chan_req_finish(q, NULL)) == -EAGAIN)
		if (poll(&p, 1, 120000) == 0)
			fail_msg("the other end was not seen");
	return r;
}

static void test_server_first(void **state)
{
	struct chan_req *s = chan_listen_start(NULL, 0, 512, NULL);
	char path[128], buf[16];
	int a, b;

	assert_non_null(s);
	snprintf(path, sizeof path, "%s/vchan.42.0.512.sock", dir);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(chan_req_finish(s, NULL), -EAGAIN);
	/* the client is another domain */
	setenv("VCHAN_DOMAIN", "0", 1);
	b = chan_connect(NULL, 42, 512, 5000, NULL);
	setenv("VCHAN_DOMAIN", "42", 1);
	a = finish(s);
	assert_true(a >= 0 && b >= 0);
	assert_int_equal(write(a, "tail", 4), 4);
	close(a);
	assert_int_equal(read(b, buf, sizeof buf), 4);
	assert_int_equal(read(b, buf, sizeof buf), 0);
	close(b);
}

/* The client comes first, and a dead server's file is in its way. */
static void test_client_first(void **state)
{
	struct chan_req *c, *s;
	char path[128];
	int a, b, stale;

	snprintf(path, sizeof path, "%s/vchan.42.42.513.sock", dir);
	stale = unix_listen(path, SOCK_STREAM, 0600, NULL);
	close(stale);
	c = chan_connect_start(NULL, 42, 513, NULL);
	assert_non_null(c);
	assert_int_equal(chan_req_finish(c, NULL), -EAGAIN);
	s = chan_listen_start(NULL, 42, 513, NULL);
	b = finish(c);
	a = finish(s);
	assert_true(a >= 0 && b >= 0);
	assert_true(fcntl(a, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(b, F_GETFL) & O_NONBLOCK);
	close(a);
	close(b);
}

static bool sleeps(pid_t pid)
{
	char path[40], text[512], *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY);
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	at = strrchr(text, ')');
	return at && at[1] == ' ' && at[2] == 'S';
}

/* The first try of a waiting client fails; it sleeps when it has found that out, and its later tries must be woken for. */
static void test_waiting_client_first(void **state)
{
	struct chan_req *s;
	pid_t pid = fork();
	int status = -1, a;

	if (pid == 0)
		_exit(chan_connect(NULL, 42, 517, 120000, NULL) >= 0 ? 0 : 1);
	while (!sleeps(pid))
		sched_yield();
	s = chan_listen_start(NULL, 42, 517, NULL);
	a = finish(s);
	assert_true(a >= 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(a);
}

static void test_one_client_only(void **state)
{
	struct chan_req *s = chan_listen_start(NULL, 42, 514, NULL);
	int first = chan_connect(NULL, 42, 514, 5000, NULL), a = -EAGAIN;
	struct err e = { 0 };

	while (a == -EAGAIN)
		a = chan_req_finish(s, NULL);
	assert_true(first >= 0 && a >= 0);
	assert_int_equal(chan_connect(NULL, 42, 514, 30, &e), -ETIMEDOUT);
	assert_int_equal(e.code, ETIMEDOUT);
	chan_req_free(s);
	close(a);
	close(first);
}

static void test_timeout(void **state)
{
	struct err e = { 0 };

	assert_int_equal(chan_listen(NULL, 1, 515, 20, &e), -ETIMEDOUT);
	assert_int_equal(chan_connect(NULL, 1, 515, 20, NULL), -ETIMEDOUT);
}

static void test_link_without_mux(void **state)
{
	unsetenv("VCHAN_SOCKET_DIR");
	assert_false(chan_is_unix());
	assert_int_equal(chan_listen("/nonexistent/chan.sock", 1, 515, 20, NULL), -ENOENT);
	setenv("VCHAN_SOCKET_DIR", dir, 1);
	assert_true(chan_is_unix());
}

static void test_fifo(void **state)
{
	struct fifo f = { 0 };
	uint8_t in = 0, out = 0;
	unsigned seed = 3;
	size_t left = 0;

	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)(rand_r(&seed) % 5000);

		if (left < 300000) {
			uint8_t *p = fifo_room(&f, n);

			for (size_t k = 0; k < n; k++)
				p[k] = in++;
			fifo_added(&f, n);
			left += n;
		}
		n = MIN((size_t)(rand_r(&seed) % 6000), left);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(fifo_data(&f)[k], out++);
		fifo_drop(&f, n);
		left -= n;
		assert_int_equal(fifo_len(&f), left);
	}
	fifo_drop(&f, SIZE_MAX);
	assert_int_equal(fifo_len(&f), 0);
	fifo_free(&f);
}

/* --- streams ------------------------------------------------------------------------------------------------- */

struct reader {
	struct ev_loop *loop;
	char got[64];
	size_t n, unit;
	int code;
	bool ended, pause_once, drained;
	struct chan_stream *s;
};

static ssize_t on_data(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	struct reader *r = arg;

	if (n < r->unit)
		return 0;
	if (r->pause_once) {
		r->pause_once = false;
		chan_stream_pause(s, true);
		return 0;
	}
	memcpy(r->got + r->n, p, r->unit);
	r->n += r->unit;
	return (ssize_t)r->unit;
}

static void on_drained(struct chan_stream *s, void *arg)
{
	((struct reader *)arg)->drained = true;
}

static void on_closed(struct chan_stream *s, int code, void *arg)
{
	struct reader *r = arg;

	r->ended = true;
	r->code = code;
	chan_stream_free(s);
	r->s = NULL;
	ev_stop(r->loop, 0);
}

static const struct chan_stream_ops ops = { .data = on_data, .drained = on_drained, .closed = on_closed };

static void run(struct reader *r, int fd, size_t in_max)
{
	r->loop = ev_new();
	r->s = chan_stream_new(r->loop, fd, in_max, 4096, &ops, r);
	assert_non_null(r->s);
}

static void test_stream_units(void **state)
{
	struct reader r = { .unit = 3 };
	int p[2];

	assert_int_equal(unix_pair(SOCK_STREAM, p), 0);
	run(&r, p[0], 16);
	assert_int_equal(write(p[1], "abcdefgh", 8), 8);
	close(p[1]);
	ev_run(r.loop);
	assert_true(r.ended);
	assert_int_equal(r.code, 0);
	assert_int_equal(r.n, 6);
	assert_memory_equal(r.got, "abcdef", 6);
	ev_free(r.loop);
}

static void test_stream_too_long(void **state)
{
	struct reader r = { .unit = 60 };
	int p[2];

	assert_int_equal(unix_pair(SOCK_STREAM, p), 0);
	run(&r, p[0], 8);
	assert_int_equal(write(p[1], "0123456789abcdef", 16), 16);
	ev_run(r.loop);
	assert_int_equal(r.code, -EMSGSIZE);
	close(p[1]);
	ev_free(r.loop);
}

static void resume(struct ev_timer *t, void *arg)
{
	struct reader *r = arg;

	chan_stream_pause(r->s, false);
	ev_timer_free(t);
}

/* Input that waits during a pause is not lost when the peer has gone meanwhile. */
static void test_stream_pause_and_end(void **state)
{
	struct reader r = { .unit = 4, .pause_once = true };
	int p[2];

	assert_int_equal(unix_pair(SOCK_STREAM, p), 0);
	run(&r, p[0], 16);
	assert_int_equal(write(p[1], "tail", 4), 4);
	close(p[1]);
	ev_timer_start(ev_timer_new(r.loop, resume, &r), 20);
	ev_run(r.loop);
	assert_true(r.ended);
	assert_int_equal(r.n, 4);
	assert_memory_equal(r.got, "tail", 4);
	ev_free(r.loop);
}

static void drain(struct ev_io *io, int fd, int events, void *arg)
{
	static char buf[65536];
	struct reader *r = arg;

	if (read(fd, buf, sizeof buf) <= 0 || r->drained) {
		ev_io_free(io);
		ev_stop(r->loop, 0);
	}
}

static void test_stream_backpressure(void **state)
{
	static char block[2048];
	struct reader r = { .unit = 1 };
	int p[2], sent = 0, last;

	assert_int_equal(unix_pair(SOCK_STREAM, p), 0);
	run(&r, p[0], 16);
	while (!chan_stream_full(r.s))
		assert_int_equal(chan_stream_send(r.s, block, sizeof block), 0);
	while ((last = chan_stream_send(r.s, block, sizeof block)) == 0)
		assert_true(++sent < 100);
	assert_int_equal(last, -ENOBUFS);
	assert_true(chan_stream_queued(r.s) <= 4 * 4096);
	ev_io_new(r.loop, p[1], EV_READ, drain, &r);
	ev_run(r.loop);
	assert_true(r.drained);
	chan_stream_free(r.s);
	close(p[1]);
	ev_free(r.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server_first),   cmocka_unit_test(test_client_first), cmocka_unit_test(test_waiting_client_first),
		cmocka_unit_test(test_one_client_only), cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_link_without_mux), cmocka_unit_test(test_fifo),
		cmocka_unit_test(test_stream_units),   cmocka_unit_test(test_stream_too_long),
		cmocka_unit_test(test_stream_pause_and_end), cmocka_unit_test(test_stream_backpressure),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
