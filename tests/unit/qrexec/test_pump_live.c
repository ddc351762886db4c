/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The data phase with a peer that lives (a thread) and a service that is a process: bulk data, ends in every order, and losses. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/str.h"
#include "proto/qrexec.h"
#include "qrexec/pump.h"

#define CHUNKS 6u
#define TOTAL (CHUNKS * QX_CHUNK)

struct peer {
	int fd;
	pthread_t thread;
	uint32_t type; /* what it sends, CHUNKS times, then an empty one */
	uint32_t chunk;
	bool exit;     /* ends with EXIT_CODE 7 */
	bool drop;     /* closes after the first chunk */
	size_t got[4]; /* bytes of STDIN, STDOUT, STDERR; [3]: the exit code + 1 */
	unsigned wrong;
};

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 7 + at / 251);
}

static void put(struct peer *p, uint32_t type, const void *body, size_t n)
{
	uint8_t hdr[QX_HDR_LEN];
	struct wr w = wr_mem(hdr, sizeof hdr);

	qx_put_hdr(&w, type, (uint32_t)n);
	if (write_full(p->fd, hdr, sizeof hdr) == 0 && n)
		(void)!write_full(p->fd, body, n);
}

static void *peer_send(void *arg)
{
	struct peer *p = arg;
	uint8_t *body = xmalloc(p->chunk + 1u);

	for (unsigned i = 0; i < CHUNKS && p->type; i++) {
		for (size_t k = 0; k < p->chunk; k++)
			body[k] = pattern(i * p->chunk + k);
		put(p, p->type, body, p->chunk);
		if (p->drop) {
			shutdown(p->fd, SHUT_RDWR);
			break;
		}
	}
	if (!p->drop && p->type)
		put(p, p->type, NULL, 0);
	if (p->exit)
		put(p, QX_DATA_EXIT_CODE, "\7\0\0", 4);
	free(body);
	return NULL;
}

static void *peer_run(void *arg)
{
	struct peer *p = arg;
	uint8_t *body = xmalloc(QX_CHUNK);
	pthread_t sender;

	assert_int_equal(pthread_create(&sender, NULL, peer_send, p), 0);
	for (;;) {
		uint8_t hdr[QX_HDR_LEN];
		struct rd r = rd_mem(hdr, sizeof hdr);
		uint32_t type, len;

		if (read_full(p->fd, hdr, sizeof hdr) != (ssize_t)sizeof hdr)
			break;
		type = rd_u32le(&r);
		len = rd_u32le(&r);
		if (len > QX_CHUNK || (len && read_full(p->fd, body, len) != (ssize_t)len))
			break;
		if (type == QX_DATA_EXIT_CODE) {
			p->got[3] = (size_t)body[0] + 1;
			break;
		}
		for (size_t i = 0; i < len && type != QX_DATA_STDERR; i++)
			p->wrong += body[i] != pattern(p->got[type - QX_DATA_STDIN] + i);
		p->got[type - QX_DATA_STDIN] += len;
	}
	pthread_join(sender, NULL);
	free(body);
	return NULL;
}

/* Gives the pump's end. */
static int peer_start(struct peer *p)
{
	int fds[2];

	assert_int_equal(unix_pair(SOCK_STREAM, fds), 0);
	(void)fcntl(fds[0], F_SETFL, 0);
	p->fd = fds[0];
	assert_int_equal(pthread_create(&p->thread, NULL, peer_run, p), 0);
	return fds[1];
}

static void peer_end(struct peer *p, int chan)
{
	shutdown(chan, SHUT_RDWR);
	pthread_join(p->thread, NULL);
	close(chan);
	close(p->fd);
	assert_int_equal(p->wrong, 0);
}

static void service(struct pump_cfg *c, struct proc *child, const char *script, bool socket_in)
{
	const char *argv[] = { "sh", "-c", script, NULL };
	struct proc_spec s = { .path = "/bin/sh", .argv = argv };
	int in[2], out[2], err[2];
	struct err e = { 0 };

	if (socket_in)
		assert_int_equal(unix_pair(SOCK_STREAM, in), 0);
	else
		assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	if (socket_in)
		(void)fcntl(in[0], F_SETFL, 0);
	s.fds[s.n_fds].fd = in[0];
	s.fds[s.n_fds++].as = 0;
	s.fds[s.n_fds].fd = out[1];
	s.fds[s.n_fds++].as = 1;
	s.fds[s.n_fds].fd = err[1];
	s.fds[s.n_fds++].as = 2;
	*child = PROC_INIT;
	if (proc_spawn(child, &s, &e) < 0)
		fail_msg("%s", e.msg);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	*c = (struct pump_cfg){ .role = PUMP_SERVICE, .flags = PUMP_OURS, .version = 4, .to = in[1], .from = out[0], .err = err[0], .child = child };
}

static size_t copied;

static void copy(void *arg, const uint8_t *p, size_t n)
{
	copied += n;
}

static void run_service(struct peer *p, const char *script, bool socket_in, unsigned flags, bool err_copy, int want)
{
	struct pump_cfg c;
	struct proc child;
	int r;

	service(&c, &child, script, socket_in);
	c.flags |= flags;
	c.err_copy = err_copy ? copy : NULL;
	c.chan = peer_start(p);
	r = pump_run(&c, NULL);
	assert_int_equal(r, want);
	proc_fini(&child);
	peer_end(p, c.chan);
}

static void test_through_a_process(void **state)
{
	for (unsigned socket_in = 0; socket_in < 2; socket_in++) {
		struct peer p = { .type = QX_DATA_STDIN, .chunk = QX_CHUNK };

		run_service(&p, "cat; exit 3", socket_in, 0, false, 3);
		assert_int_equal(p.got[1], TOTAL);
		assert_int_equal(p.got[3], 4);
	}
}

static void test_small_pieces_and_errors(void **state)
{
	struct peer p = { .type = QX_DATA_STDIN, .chunk = 100 };

	copied = 0;
	run_service(&p, "cat; i=0; while [ $i -lt 3000 ]; do echo 0123456789 >&2; i=$((i+1)); done", true, 0, true, 0);
	assert_int_equal(p.got[1], CHUNKS * 100);
	assert_int_equal(p.got[2], 33000);
	assert_int_equal(copied, 33000);
	p = (struct peer){ .type = QX_DATA_STDIN, .chunk = 10 };
	run_service(&p, "cat; head -c 200000 /dev/zero >&2", true, 0, false, 0);
	assert_int_equal(p.got[2], 200000);
}

/* The service reads nothing: what comes is dropped once it has gone, and its code arrives. */
static void test_service_that_does_not_read(void **state)
{
	struct peer p = { .type = QX_DATA_STDIN, .chunk = QX_CHUNK };

	run_service(&p, "exec 0<&-; exit 9", true, 0, false, 9);
	assert_int_equal(p.got[3], 10);
	p = (struct peer){ .type = QX_DATA_STDIN, .chunk = QX_CHUNK };
	run_service(&p, "exec 0<&-; exit 9", false, 0, false, 9);
	p = (struct peer){ .type = 0 };
	run_service(&p, "kill -TERM $$", true, 0, false, 128 + SIGTERM);
}

static void test_lost_channel(void **state)
{
	struct peer p = { .type = QX_DATA_STDIN, .chunk = 20000, .drop = true };
	int r;
	struct pump_cfg c;
	struct proc child;

	service(&c, &child, "cat >/dev/null; exit 2", true);
	c.chan = peer_start(&p);
	r = pump_run(&c, NULL);
	assert_int_equal(r, -ECONNRESET);
	proc_fini(&child);
	peer_end(&p, c.chan);
}

/* A socket service: one socket for both directions, no process of ours. */
static void *echo(void *arg)
{
	int fd = *(int *)arg;
	uint8_t buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof buf)) > 0)
		(void)!write_full(fd, buf, (size_t)n);
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void socket_service(unsigned flags, bool silent)
{
	struct peer p = { .type = silent ? 0 : QX_DATA_STDIN, .chunk = 30000 };
	struct pump_cfg c = { .role = PUMP_SERVICE, .flags = PUMP_OURS | PUMP_SHARED | flags, .version = 3, .err = -1 };
	pthread_t t;
	int fds[2];

	assert_int_equal(unix_pair(SOCK_STREAM, fds), 0);
	(void)fcntl(fds[0], F_SETFL, 0);
	if (silent)
		shutdown(fds[0], SHUT_WR);
	else
		assert_int_equal(pthread_create(&t, NULL, echo, &fds[0]), 0);
	c.to = fds[1];
	c.from = fcntl(fds[1], F_DUPFD_CLOEXEC, 3);
	c.chan = peer_start(&p);
	assert_int_equal(pump_run(&c, NULL), 0);
	if (!silent)
		pthread_join(t, NULL);
	close(fds[0]);
	peer_end(&p, c.chan);
	assert_int_equal(p.got[3], 1);
	if (!silent && !flags)
		assert_int_equal(p.got[1], CHUNKS * 30000);
}

static void test_socket_services(void **state)
{
	socket_service(0, false);
	socket_service(PUMP_END_CLIENT_EOF, false);
	socket_service(PUMP_END_SERVICE_EOF, true);
}

/* A caller with files, so that everything can be moved, and with outputs that nobody reads. */
static void test_caller_with_files(void **state)
{
	struct peer p = { .type = QX_DATA_STDOUT, .chunk = QX_CHUNK, .exit = true };
	struct pump_cfg c = { .role = PUMP_CALLER, .version = 4, .err = -1, .prefix = "", .prefix_len = 0 };
	int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
	uint8_t *all = xmalloc(TOTAL);

	for (size_t i = 0; i < TOTAL; i++)
		all[i] = pattern(i);
	assert_int_equal(write_full(in, all, TOTAL), 0);
	assert_int_equal(lseek(in, 0, SEEK_SET), 0);
	c.from = fcntl(in, F_DUPFD_CLOEXEC, 3);
	c.to = fcntl(out, F_DUPFD_CLOEXEC, 3);
	c.chan = peer_start(&p);
	assert_int_equal(pump_run(&c, NULL), 7);
	peer_end(&p, c.chan);
	memset(all, 0, TOTAL);
	assert_int_equal(pread(out, all, TOTAL, 0), TOTAL);
	for (size_t i = 0; i < TOTAL; i++)
		if (all[i] != pattern(i))
			fail_msg("byte %zu", i);
	free(all);
	close(in);
	close(out);
}

/* An output that pages cannot be moved to takes copies instead; the phases of the call are noted. */
static void test_caller_that_appends(void **state)
{
	struct peer p = { .type = QX_DATA_STDOUT, .chunk = QX_CHUNK, .exit = true };
	struct call_trace t = { 0 };
	struct pump_cfg c = { .role = PUMP_CALLER, .version = 4, .from = -1, .err = -1, .trace = &t };
	int out = memfd_create("out", MFD_CLOEXEC);
	char path[40];

	assert_int_equal(str_printf(path, sizeof path, "/proc/self/fd/%d", out), 0);
	c.to = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(c.to >= 0);
	c.chan = peer_start(&p);
	assert_int_equal(pump_run(&c, NULL), 7);
	peer_end(&p, c.chan);
	assert_int_equal(lseek(out, 0, SEEK_END), TOTAL);
	assert_true(t.first && t.exit >= t.first);
	close(out);
}

/* The service ends while the caller's input is still open: the call is over, and the other side is told. */
static void test_exit_before_the_input_ends(void **state)
{
	struct peer p = { .type = QX_DATA_STDOUT, .chunk = 1, .exit = true };
	struct pump_cfg c = { .role = PUMP_CALLER, .flags = PUMP_OURS, .version = 2, .to = -1, .err = -1 };
	int in[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	c.from = in[0];
	c.chan = peer_start(&p);
	assert_int_equal(pump_run(&c, NULL), 7);
	close(in[1]);
	peer_end(&p, c.chan);
}

static void test_caller_that_nobody_reads(void **state)
{
	for (unsigned filter = 0; filter < 2; filter++) {
		struct peer p = { .type = QX_DATA_STDOUT, .chunk = QX_CHUNK, .exit = true };
		struct pump_cfg c = { .role = PUMP_CALLER, .flags = PUMP_OURS | (filter ? PUMP_FILTER_OUT | PUMP_FILTER_ERR : 0), .version = 4, .from = -1, .err = -1 };
		int out[2];

		assert_int_equal(pipe2(out, O_CLOEXEC), 0);
		close(out[0]);
		c.to = out[1];
		c.chan = peer_start(&p);
		assert_int_equal(pump_run(&c, NULL), 7);
		peer_end(&p, c.chan);
	}
}

/* A reader that comes late: the pump waits for it and for nothing else. */
static void *late_reader(void *arg)
{
	int fd = *(int *)arg;
	uint8_t buf[1024];
	size_t n = 0;
	ssize_t k;

	while ((k = read(fd, buf, sizeof buf)) > 0)
		for (ssize_t i = 0; i < k; i++, n++)
			if (buf[i] != pattern(n))
				fail_msg("byte %zu", n);
	assert_int_equal(n, TOTAL);
	return NULL;
}

static void test_caller_blocked(void **state)
{
	for (unsigned kind = 0; kind < 2; kind++) {
		struct peer p = { .type = QX_DATA_STDOUT, .chunk = QX_CHUNK, .exit = true };
		struct pump_cfg c = { .role = PUMP_CALLER, .flags = PUMP_OURS, .version = 4, .from = -1, .err = -1, .prefix = "early", .prefix_len = 5 };
		pthread_t t;
		int out[2];

		if (kind)
			assert_int_equal(unix_pair(SOCK_STREAM, out), 0);
		else
			assert_int_equal(pipe2(out, O_CLOEXEC), 0);
		(void)fcntl(out[0], F_SETFL, 0);
		c.to = out[1];
		c.prefix_len = 0;
		c.chan = peer_start(&p);
		assert_int_equal(pthread_create(&t, NULL, late_reader, &out[0]), 0);
		assert_int_equal(pump_run(&c, NULL), 7);
		pthread_join(t, NULL);
		close(out[0]);
		peer_end(&p, c.chan);
	}
}

static void test_signal_merges_the_output(void **state)
{
	struct peer p = { .type = 0 };
	struct pump_cfg c;
	struct proc child;
	sigset_t usr1, old;
	int block;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, NULL, &old);
	block = pump_block_signal();
	assert_true(block >= 0);
	/* writes to its stdin socket once the pump was told */
	service(&c, &child, "kill -USR1 $PPID; read x; printf '\\000' >&0; exit 4", true);
	c.flags |= PUMP_SIGUSR1;
	p.type = QX_DATA_STDIN;
	p.chunk = 1;
	c.chan = peer_start(&p);
	assert_int_equal(pump_run(&c, NULL), 4);
	proc_fini(&child);
	peer_end(&p, c.chan);
	close(block);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void test_hello_errors(void **state)
{
	uint8_t buf[64];
	uint32_t got = 0;
	int fds[2], small = 1;
	struct err e = { 0 };

	/* nobody speaks */
	assert_int_equal(unix_pair(SOCK_STREAM, fds), 0);
	assert_int_equal(pump_hello(fds[1], false, 20, &got, &e), -ETIMEDOUT);
	/* something else than HELLO */
	assert_int_equal(write_full(fds[0], "\x90\1\0\0\4\0\0\0\4\0\0\0", 12), 0);
	assert_int_equal(pump_hello(fds[1], false, 20, &got, &e), -EPROTO);
	/* the other side is gone before, and after, ours */
	close(fds[0]);
	assert_true(pump_hello(fds[1], true, 20, &got, &e) < 0);
	close(fds[1]);
	/* a full channel */
	assert_int_equal(unix_pair(SOCK_STREAM, fds), 0);
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	while (send(fds[1], buf, sizeof buf, MSG_DONTWAIT) > 0)
		;
	assert_int_equal(pump_hello(fds[1], true, 20, &got, &e), -ETIMEDOUT);
	close(fds[0]);
	close(fds[1]);
	/* the code of a service that could not be started */
	for (unsigned streams = 0; streams < 2; streams++) {
		assert_int_equal(unix_pair(SOCK_STREAM, fds), 0);
		assert_int_equal(pump_send_exit(fds[1], streams, 127), 0);
		assert_int_equal(recv(fds[0], buf, sizeof buf, 0), streams ? 28 : 12);
		assert_int_equal(buf[streams ? 24 : 8], 127);
		close(fds[0]);
		assert_true(pump_send_exit(fds[1], streams, 127) < 0);
		close(fds[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_through_a_process),	 cmocka_unit_test(test_small_pieces_and_errors),
		cmocka_unit_test(test_service_that_does_not_read), cmocka_unit_test(test_lost_channel),
		cmocka_unit_test(test_socket_services),		 cmocka_unit_test(test_caller_with_files),
		cmocka_unit_test(test_caller_that_appends),	 cmocka_unit_test(test_exit_before_the_input_ends),
		cmocka_unit_test(test_caller_that_nobody_reads), cmocka_unit_test(test_caller_blocked),
		cmocka_unit_test(test_signal_merges_the_output), cmocka_unit_test(test_hello_errors),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
