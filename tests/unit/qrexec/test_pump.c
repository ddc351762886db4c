/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The data phase with everything that the peer says already in the channel: no second process, no clock. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/io.h"
#include "proto/qrexec.h"
#include "qrexec/pump.h"

struct fixture {
	int peer, chan;
	int out[2], err[2]; /* pipes that take a caller's outputs */
	struct pump_cfg cfg;
};

static void setup(struct fixture *f, enum pump_role role)
{
	int fds[2], size = 1 << 20;

	assert_int_equal(unix_pair(SOCK_STREAM, fds), 0);
	*f = (struct fixture){ .peer = fds[0], .chan = fds[1] };
	setsockopt(f->peer, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	assert_int_equal(pipe2(f->out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(f->err, O_CLOEXEC), 0);
	f->cfg = (struct pump_cfg){ .role = role, .flags = PUMP_OURS, .chan = f->chan, .version = 4, .to = f->out[1], .from = -1, .err = -1 };
	if (role == PUMP_CALLER)
		f->cfg.err = f->err[1];
	else
		close(f->err[1]);
}

static void say(struct fixture *f, uint32_t type, const void *p, size_t n)
{
	uint8_t buf[QX_HDR_LEN + 4096];
	struct wr w = wr_mem(buf, sizeof buf);

	qx_put_hdr(&w, type, (uint32_t)n);
	wr_bytes(&w, p, n);
	assert_true(wr_ok(&w));
	assert_int_equal(write_full(f->peer, buf, w.len), 0);
}

static void say_exit(struct fixture *f, uint32_t code)
{
	uint8_t b[4] = { (uint8_t)code, (uint8_t)(code >> 8), (uint8_t)(code >> 16), (uint8_t)(code >> 24) };

	say(f, QX_DATA_EXIT_CODE, b, 4);
}

static void hear(struct fixture *f, uint32_t type, const char *text)
{
	uint8_t buf[256];
	size_t n = strlen(text);
	struct qx_frame m;

	assert_int_equal(read_full(f->peer, buf, QX_HDR_LEN + n), (ssize_t)(QX_HDR_LEN + n));
	assert_int_equal(qx_frame(&m, buf, QX_HDR_LEN + n, sizeof buf), 1);
	assert_int_equal(m.type, type);
	assert_true(rd_eq(&m.body, text));
}

static void wrote(int fd, const char *want)
{
	char buf[256];
	ssize_t n = read_full(fd, buf, sizeof buf);

	assert_int_equal(n, (ssize_t)strlen(want));
	assert_memory_equal(buf, want, strlen(want));
}

static void teardown(struct fixture *f)
{
	close(f->peer);
	close(f->chan);
	close(f->out[0]);
	close(f->err[0]);
}

static void test_caller(void **state)
{
	struct fixture f;

	setup(&f, PUMP_CALLER);
	f.cfg.prefix = "first";
	f.cfg.prefix_len = 5;
	say(&f, QX_DATA_STDOUT, "out", 3);
	say(&f, QX_DATA_STDERR, "err", 3);
	say(&f, QX_DATA_STDOUT, "more", 4);
	say(&f, QX_DATA_STDOUT, "", 0);
	say(&f, QX_DATA_STDOUT, "after the end", 13);
	say_exit(&f, 300);
	say(&f, QX_DATA_STDERR, "unread", 6);
	assert_int_equal(pump_run(&f.cfg, NULL), 300 & 255);
	wrote(f.out[0], "outmore");
	wrote(f.err[0], "err");
	hear(&f, QX_DATA_STDIN, "first");
	hear(&f, QX_DATA_STDIN, "");
	teardown(&f);
}

static void test_caller_codes(void **state)
{
	struct fixture f;

	setup(&f, PUMP_CALLER);
	say(&f, QX_DATA_EXIT_CODE, "\1\0", 2);
	assert_int_equal(pump_run(&f.cfg, NULL), 255);
	teardown(&f);
	setup(&f, PUMP_CALLER);
	say(&f, QX_DATA_STDOUT, "tail", 4);
	shutdown(f.peer, SHUT_WR);
	assert_int_equal(pump_run(&f.cfg, NULL), -ECONNRESET);
	wrote(f.out[0], "tail");
	teardown(&f);
}

static void test_caller_filter(void **state)
{
	struct fixture f;

	setup(&f, PUMP_CALLER);
	f.cfg.flags |= PUMP_FILTER_OUT;
	say(&f, QX_DATA_STDOUT, "\x1b[1m\n", 5);
	say(&f, QX_DATA_STDERR, "\x1b", 1);
	say_exit(&f, 0);
	assert_int_equal(pump_run(&f.cfg, NULL), 0);
	wrote(f.out[0], "_[1m\n");
	wrote(f.err[0], "\x1b");
	teardown(&f);
}

/* Whoever breaks the protocol is cut off, with what came before delivered. */
static void check_bad(enum pump_role role, uint32_t type, uint32_t len, uint32_t version)
{
	struct fixture f;
	uint8_t hdr[QX_HDR_LEN];
	struct wr w = wr_mem(hdr, sizeof hdr);

	setup(&f, role);
	f.cfg.version = version;
	say(&f, role == PUMP_CALLER ? QX_DATA_STDOUT : QX_DATA_STDIN, "good", 4);
	qx_put_hdr(&w, type, len);
	assert_int_equal(write_full(f.peer, hdr, sizeof hdr), 0);
	assert_int_equal(pump_run(&f.cfg, NULL), -EBADMSG);
	wrote(f.out[0], "good");
	teardown(&f);
}

static void test_bad(void **state)
{
	check_bad(PUMP_CALLER, 0x194, 0, 4);
	check_bad(PUMP_CALLER, QX_HELLO, 4, 4);
	check_bad(PUMP_CALLER, QX_DATA_STDOUT, QX_CHUNK + 1, 4);
	check_bad(PUMP_CALLER, QX_DATA_STDOUT, UINT32_MAX, 4);
	check_bad(PUMP_CALLER, QX_DATA_STDOUT, QX_CHUNK_V2 + 1, 2);
	check_bad(PUMP_SERVICE, QX_DATA_STDERR, 0, 4);
	check_bad(PUMP_SERVICE, QX_DATA_EXIT_CODE, 4, 4);
	check_bad(PUMP_SERVICE, QX_DATA_STDIN, QX_CHUNK + 1, 3);
}

static void test_socket_service(void **state)
{
	struct fixture f;
	uint8_t code[12];
	int in[2];

	setup(&f, PUMP_SERVICE);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(write_full(in[1], "answer", 6), 0);
	close(in[1]);
	f.cfg.from = in[0];
	f.cfg.exit_code = 5;
	say(&f, QX_DATA_STDIN, "question", 8);
	say(&f, QX_DATA_STDIN, "", 0);
	assert_int_equal(pump_run(&f.cfg, NULL), 5);
	wrote(f.out[0], "question");
	hear(&f, QX_DATA_STDERR, "");
	hear(&f, QX_DATA_STDOUT, "answer");
	hear(&f, QX_DATA_STDOUT, "");
	assert_int_equal(read_full(f.peer, code, sizeof code), (ssize_t)sizeof code);
	assert_memory_equal(code, "\x93\1\0\0\4\0\0\0\5\0\0\0", sizeof code);
	teardown(&f);
}

/* Reads and drops what the pump writes. */
static void *drain(void *arg)
{
	char buf[65536];

	while (read(*(int *)arg, buf, sizeof buf) > 0)
		;
	return NULL;
}

/* A stream gets wider pipes at both of its ends, a short message does not. */
static void test_wide_pipes(void **state)
{
	static uint8_t block[4096];
	struct fixture f;
	int in[2], before;
	pthread_t t;

	for (size_t i = 0; i < 2; i++) {
		size_t n = i ? 12 : 1;

		setup(&f, PUMP_CALLER);
		assert_int_equal(pipe2(in, O_CLOEXEC), 0);
		before = fcntl(in[1], F_GETPIPE_SZ);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(write_full(in[1], block, sizeof block), 0);
		f.cfg.from = in[0];
		in[0] = fcntl(in[1], F_DUPFD_CLOEXEC, 3);
		close(in[1]);
		assert_int_equal(pthread_create(&t, NULL, drain, &f.out[0]), 0);
		/* more than is read at once, so that the rest is moved */
		for (size_t k = 0; k < 4; k++) {
			uint8_t head[QX_HDR_LEN];
			struct wr w = wr_mem(head, sizeof head);

			qx_put_hdr(&w, QX_DATA_STDOUT, (uint32_t)(n * sizeof block));
			assert_int_equal(write_full(f.peer, head, sizeof head), 0);
			for (size_t b = 0; b < n; b++)
				assert_int_equal(write_full(f.peer, block, sizeof block), 0);
		}
		say_exit(&f, 0);
		assert_int_equal(pump_run(&f.cfg, NULL), 0);
		pthread_join(t, NULL);
		if (i == 0)
			assert_int_equal(fcntl(in[0], F_GETPIPE_SZ), before);
		else
			assert_true(fcntl(in[0], F_GETPIPE_SZ) > before);
		assert_int_equal(fcntl(f.out[0], F_GETPIPE_SZ) > before, i);
		close(in[0]);
		teardown(&f);
	}
}

static void test_hello(void **state)
{
	static const struct {
		uint32_t theirs, common;
		int r;
	} cases[] = { { 1, 0, -EPROTO }, { 2, 2, 0 }, { 4, 4, 0 }, { 99, 4, 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t buf[16];
		struct wr w = wr_mem(buf, sizeof buf);
		uint32_t got = 0;
		int fds[2];

		assert_int_equal(unix_pair(SOCK_STREAM, fds), 0);
		qx_put_hello(&w, cases[i].theirs);
		assert_int_equal(write_full(fds[0], buf, w.len), 0);
		assert_int_equal(pump_hello(fds[1], i & 1, 1000, &got, NULL), cases[i].r);
		assert_int_equal(got, cases[i].common);
		close(fds[0]);
		assert_true(pump_hello(fds[1], false, 1000, &got, NULL) < 0);
		close(fds[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_caller), cmocka_unit_test(test_caller_codes),   cmocka_unit_test(test_caller_filter),
		cmocka_unit_test(test_bad),    cmocka_unit_test(test_socket_service), cmocka_unit_test(test_hello),
		cmocka_unit_test(test_wide_pipes),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
