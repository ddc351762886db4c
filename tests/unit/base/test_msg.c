/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages with descriptors, malformed datagrams, and the event loop. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/ev.h"
#include "base/io.h"
#include "base/msg.h"

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void test_round_trip(void **state)
{
	int p[2], extra[2];
	struct wr w = wr_grow(100);
	struct msg m;
	char c = 0;

	assert_int_equal(unix_pair(SOCK_SEQPACKET, p), 0);
	assert_int_equal(pipe2(extra, O_CLOEXEC), 0);
	wr_str(&w, "payload");
	assert_int_equal(msg_send(p[0], 0x123, 9, MSG_F_REPLY, &w, &extra[1], 1), 0);
	close(extra[1]);
	assert_int_equal(msg_recv(p[1], &m), 1);
	assert_int_equal(m.type, 0x123);
	assert_int_equal(m.serial, 9);
	assert_int_equal(m.flags, MSG_F_REPLY);
	assert_int_equal(m.len, 7);
	assert_memory_equal(m.data, "payload", 7);
	assert_int_equal(m.n_fds, 1);
	assert_true(fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(m.fds[0], "x", 1), 1);
	msg_fini(&m);
	assert_int_equal(read(extra[0], &c, 1), 1);
	/* msg_fini closed the descriptor that was not taken. */
	assert_int_equal(read(extra[0], &c, 1), 0);
	msg_fini(&m);
	close(extra[0]);
	assert_int_equal(msg_send(p[0], 1, 2, 0, NULL, NULL, 0), 0);
	assert_int_equal(msg_recv(p[1], &m), 1);
	assert_int_equal(m.len, 0);
	msg_fini(&m);
	close(p[0]);
	assert_int_equal(msg_recv(p[1], &m), 0);
	assert_int_equal(msg_send(p[1], 1, 2, 0, NULL, NULL, 0), -EPIPE);
	close(p[1]);
	wr_free(&w);
}

static void test_sizes(void **state)
{
	int p[2], too_many[MSG_FDS_MAX + 1] = { 0 };
	struct wr w = wr_grow(MSG_PAYLOAD_MAX + 10);
	struct msg m;

	assert_int_equal(unix_pair(SOCK_SEQPACKET, p), 0);
	wr_zero(&w, MSG_PAYLOAD_MAX);
	assert_int_equal(msg_send(p[0], 1, 1, 0, &w, NULL, 0), 0);
	assert_int_equal(msg_recv(p[1], &m), 1);
	assert_int_equal(m.len, MSG_PAYLOAD_MAX);
	msg_fini(&m);
	wr_u8(&w, 0);
	assert_int_equal(msg_send(p[0], 1, 1, 0, &w, NULL, 0), -EMSGSIZE);
	wr_reset(&w);
	wr_fail(&w);
	assert_int_equal(msg_send(p[0], 1, 1, 0, &w, NULL, 0), -EMSGSIZE);
	assert_int_equal(msg_send(p[0], 1, 1, 0, NULL, too_many, MSG_FDS_MAX + 1), -EMSGSIZE);
	assert_int_equal(fd_nonblock(p[1], true), 0);
	assert_int_equal(msg_recv(p[1], &m), -EAGAIN);
	close(p[0]);
	close(p[1]);
	wr_free(&w);
}

static void send_raw(int fd, const void *data, size_t n, const int *fds, size_t n_fds)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int) * 64)];
	} c = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds) {
		m.msg_control = c.buf;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c.hdr.cmsg_level = SOL_SOCKET;
		c.hdr.cmsg_type = SCM_RIGHTS;
		c.hdr.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&c.hdr), fds, sizeof(int) * n_fds);
	}
	assert_true(sendmsg(fd, &m, 0) >= 0);
}

static void test_malformed(void **state)
{
	static const uint8_t short_header[15], wrong_len[17] = { 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 'x' };
	static const uint8_t long_len[16] = { 1, 0, 0, 0, 2, 0, 0, 0, 1 }, huge[16] = { 1, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255 };
	static uint8_t too_long[MSG_HDR_LEN + MSG_PAYLOAD_MAX + 1] = { 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0 };
	static const struct {
		const uint8_t *p;
		size_t n;
	} rows[] = { { short_header, 15 }, { wrong_len, 17 }, { long_len, 16 }, { huge, 16 }, { too_long, sizeof too_long } };
	int p[2], big = 1 << 20, fds[30], before;
	struct msg m;

	assert_int_equal(unix_pair(SOCK_SEQPACKET, p), 0);
	(void)setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = p[1];
	before = open_fds();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		send_raw(p[0], rows[i].p, rows[i].n, fds, 2);
		assert_int_equal(msg_recv(p[1], &m), -EBADMSG);
	}
	/* More descriptors than a message may have: none of them stays open. */
	static const uint8_t good[16] = { 1, 0, 0, 0, 2, 0, 0, 0, 0 };
	send_raw(p[0], good, 16, fds, 5);
	assert_int_equal(msg_recv(p[1], &m), -EBADMSG);
	send_raw(p[0], good, 16, fds, 30);
	assert_int_equal(msg_recv(p[1], &m), -EBADMSG);
	send_raw(p[0], good, 16, fds, 4);
	assert_int_equal(msg_recv(p[1], &m), 1);
	assert_int_equal(m.n_fds, 4);
	msg_fini(&m);
	assert_int_equal(open_fds(), before);
	close(p[0]);
	close(p[1]);
}

struct loop {
	struct ev_loop *l;
	struct ev_io *io;
	struct ev_timer *t;
	int n, events;
};

static void on_io(struct ev_io *io, int fd, int events, void *arg)
{
	struct loop *x = arg;
	char c;

	x->events |= events;
	x->n++;
	if (events & EV_READ && read(fd, &c, 1) == 1 && c == 'x')
		return;
	/* A source may free itself. */
	ev_io_free(io);
	x->io = NULL;
	ev_stop(x->l, 42);
}

static void test_io_source(void **state)
{
	struct loop x = { .l = ev_new() };
	int p[2];

	assert_int_equal(unix_pair(SOCK_STREAM, p), 0);
	x.io = ev_io_new(x.l, p[0], EV_READ, on_io, &x);
	assert_non_null(x.io);
	assert_int_equal(ev_io_events(x.io), EV_READ);
	assert_int_equal(write(p[1], "xx", 2), 2);
	close(p[1]);
	assert_int_equal(ev_run(x.l), 42);
	assert_int_equal(x.n, 3);
	assert_true(x.events & EV_READ && x.events & EV_HUP);
	close(p[0]);
	ev_free(x.l);
}

static void on_write(struct ev_io *io, int fd, int events, void *arg)
{
	struct loop *x = arg;

	x->events |= events;
	ev_stop(x->l, 1);
}

static void on_tick(struct ev_timer *t, void *arg)
{
	struct loop *x = arg;

	if (++x->n == 3) {
		ev_timer_free(t);
		ev_stop(x->l, 7);
	}
}

static void test_write_interest_and_timer(void **state)
{
	struct loop x = { .l = ev_new() };
	int p[2];

	assert_int_equal(unix_pair(SOCK_STREAM, p), 0);
	x.io = ev_io_new(x.l, p[0], 0, on_write, &x);
	x.t = ev_timer_new(x.l, on_tick, &x);
	ev_timer_repeat(x.t, 1);
	/* Without interest the writable socket is not told. */
	assert_int_equal(ev_run(x.l), 7);
	assert_int_equal(x.events, 0);
	ev_io_set(x.io, EV_WRITE);
	assert_int_equal(ev_run(x.l), 1);
	assert_true(x.events & EV_WRITE);
	ev_io_free(x.io);
	assert_int_equal(ev_run(x.l), 0); /* nothing left */
	ev_free(x.l);
	close(p[0]);
	close(p[1]);
}

static void on_late(struct ev_timer *t, void *arg)
{
	fail_msg("a stopped timer fired");
}

static void on_signal(struct ev_signal *s, int signum, void *arg)
{
	struct loop *x = arg;

	x->n = signum;
	ev_stop(x->l, 0);
}

static void test_signal_and_stopped_timer(void **state)
{
	struct loop x = { .l = ev_new() };
	struct ev_timer *t = ev_timer_new(x.l, on_late, NULL);
	struct ev_signal *s = ev_signal_new(x.l, SIGUSR1, on_signal, &x);

	ev_timer_start(t, 1);
	ev_timer_stop(t);
	raise(SIGUSR1);
	assert_int_equal(ev_run(x.l), 0);
	assert_int_equal(x.n, SIGUSR1);
	ev_signal_free(s);
	ev_timer_free(t);
	/* Sources that are left are closed with the loop. */
	(void)ev_timer_new(x.l, on_late, NULL);
	ev_free(x.l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_io_source),
		cmocka_unit_test(test_write_interest_and_timer),
		cmocka_unit_test(test_signal_and_stopped_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
