/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What only a kernel with device-mapper can show of lvm_thin; tests/machine/run_lvm runs it inside a guest with $BULKHEAD_TEST_LVM=GROUP/POOL and
 * $BULKHEAD_TEST_WORKER, the program lvm-worker. Elsewhere it is skipped.
 */
#include "pool.h"

#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/msg.h"
#include "proto/ipc.h"

#define BLOCKS 4u
#define SIZE (BLOCKS * (uint64_t)BLOCK)
#define OTHER "appvms/copy/private"

static void begin(struct pool *p)
{
	if (!getenv("BULKHEAD_TEST_LVM")) {
		print_message("# SKIP: no LVM here ($BULKHEAD_TEST_LVM; tests/machine/run_lvm has one)\n");
		skip();
	}
	pool_make(p, "lvm_thin", "");
}

static int lvm(const char *const *argv)
{
	struct proc_spec s = { .path = lvm_host.program, .argv = argv, .envp = lvm_host.env };

	return proc_run(&s, NULL);
}

/* The descriptor that a machine gets is the volume and no other; nothing committed is ever writable. */
static void opened_devices(void **state)
{
	struct pool pool, *p = &pool;
	struct st_reply r;
	struct err e = { 0 };
	unsigned char b[1] = { 0 };

	begin(p);
	(void)op(p, ST_CREATE, VID, SIZE);
	r = op(p, ST_START, VID, 0);
	{
		_cleanup_fd_ int fd = storage_open_device(p->dir, r.layers[0].path, true, &e), back = -1;

		if (fd < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(pwrite(fd, "x", 1, 0), 1);
		back = storage_open_device(p->dir, r.layers[0].path, false, &e);
		assert_true(back >= 0);
		assert_int_equal(pread(back, b, 1, 0), 1);
		assert_int_equal(b[0], 'x');
		assert_true(pwrite(back, "y", 1, 0) < 0);
	}
	assert_int_equal(storage_open_device(p->dir, "vm-mail-private", true, &e), -EACCES);
	{
		_cleanup_fd_ int fd = storage_open_device(p->dir, "vm-mail-private", false, &e);

		assert_true(fd >= 0);
	}
	/* A node that somebody laid in the way of the name. */
	assert_int_equal(symlink("/dev/loop0", "/dev/mapper/tg-vm--trap--private--snap"), 0);
	assert_int_equal(storage_open_device(p->dir, "vm-trap-private-snap", true, &e), -EACCES);
	assert_int_equal(unlink("/dev/mapper/tg-vm--trap--private--snap"), 0);
	(void)op(p, ST_STOP, VID, 0);
	pool_remove(p);
}

/* A qube's disk goes on while another one commits, clones and removes what it was copied from. */
static void copies_are_their_own(void **state)
{
	struct pool pool, *p = &pool;
	struct st_request q;
	struct st_reply r;
	unsigned char b[2];
	struct err e = { 0 };

	begin(p);
	(void)op(p, ST_CREATE, VID, SIZE);
	(void)cycle(p, VID, 1, 0, 'a');
	q = request(p, ST_START, "appvms/d1/private");
	q.save_on_stop = false;
	q.snap_on_start = true;
	assert_int_equal(str_copy(q.source, sizeof q.source, VID), 0);
	assert_int_equal(run(&q, &r), 0);
	{
		_cleanup_fd_ int fd = storage_open_device(p->dir, r.layers[0].path, true, &e);

		assert_true(fd >= 0);
		(void)cycle(p, VID, 0, 0, 'b');
		(void)op(p, ST_REMOVE, VID, 0);
		assert_int_equal(pread(fd, b, 1, 0), 1);
		assert_int_equal(b[0], 'a');
		assert_int_equal(pwrite(fd, "w", 1, 0), 1);
		q.op = ST_STOP;
		assert_true(run(&q, &r) < 0); /* in use: it does not go under a qube */
	}
	assert_int_equal(run(&q, &r), 0);
	assert_int_equal(files_with(p, "appvms/d1", ""), 0);
	pool_remove(p);
}

/* After a restart of the host nothing is active; a start is all it takes. */
static void inactive_volumes(void **state)
{
	static const char *const names[] = { "tg/vm-mail-private", "tg/vm-mail-private-snap" };
	struct pool pool, *p = &pool;
	struct st_reply r;
	unsigned char b[2];

	begin(p);
	(void)op(p, ST_CREATE, VID, SIZE);
	r = op(p, ST_START, VID, 0);
	write_block(p, &r.layers[0], 1, 'c');
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *argv[] = { "lvm", "lvchange", "--activate", "n", names[i], NULL };

		assert_int_equal(lvm(argv), 0);
	}
	r = op(p, ST_START, VID, 0);
	write_block(p, &r.layers[0], 0, 'd');
	(void)op(p, ST_STOP, VID, 0);
	committed(p, VID, b, 2);
	assert_memory_equal(b, "dc", 2);
	r = op(p, ST_USAGE, "", 0);
	assert_true(r.size == 512u << 20 && r.usage > 0 && r.usage < 64u << 20 && r.meta_size > 0 && r.meta_usage > 0);
	pool_remove(p);
}

static void unfit_pools(void **state)
{
	static const struct {
		const char *place;
		int want;
	} rows[] = { { "/dev/tg/pool", 0 }, { "/dev/tg/leaky", -ENOTSUP }, { "/dev/tg/plain", -ENOTSUP }, { "/dev/tg/none", -EIO }, { "/dev/none/pool", -EIO } };
	const char *plain[] = { "lvm", "lvcreate", "--yes", "--size", "1m", "--name", "plain", "tg", NULL }, *gone[] = { "lvm", "lvremove", "--yes", "tg/plain", NULL };
	struct pool pool, *p = &pool;

	begin(p);
	assert_int_equal(lvm(plain), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct st_request q = request(p, ST_PROBE, "");
		struct st_reply r;

		assert_int_equal(str_copy(q.driver, sizeof q.driver, "lvm_thin"), 0);
		assert_int_equal(str_copy(q.pool_dir, sizeof q.pool_dir, rows[i].place), 0);
		assert_int_equal(run(&q, &r), rows[i].want);
	}
	assert_int_equal(lvm(gone), 0);
	pool_remove(p);
}

/* One request to the worker, as the spawner sends it. */
static int ask_worker(const struct st_request *q, struct st_reply *ret)
{
	_cleanup_msg_ struct msg m = { 0 };
	_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);
	_cleanup_proc_ struct proc child = PROC_INIT;
	_cleanup_fd_ int ours = -1, theirs = -1;
	const char *program = getenv("BULKHEAD_TEST_WORKER"), *argv[] = { "lvm-worker", NULL };
	struct proc_spec s = { .path = program, .argv = argv, .n_fds = 1, .keep_stderr = true };
	struct ipc_sp_storage head = { .op = q->op };
	struct rd r;
	int pair[2];

	assert_non_null(program);
	assert_int_equal(unix_pair(SOCK_SEQPACKET, pair), 0);
	ours = pair[0];
	theirs = pair[1];
	s.fds[0].fd = theirs;
	s.fds[0].as = 3;
	assert_int_equal(proc_spawn(&child, &s, NULL), 0);
	fd_closep(&theirs);
	ipc_put_sp_storage(&w, &head);
	st_request_put(&w, q);
	assert_int_equal(msg_send(ours, IPC_SP_STORAGE, 7, 0, &w, NULL, 0), 0);
	for (;;) {
		int k = msg_recv(ours, &m);

		if (k == -EAGAIN || k == -EINTR)
			continue;
		assert_true(k > 0);
		break;
	}
	assert_int_equal(m.serial, 7);
	if (m.flags & MSG_F_ERROR) {
		print_message("         (worker: %.*s)\n", (int)MIN(m.len, 200u), (const char *)m.data);
		return -1;
	}
	r = msg_rd(&m);
	return st_reply_get(&r, ret);
}

/* The same operations in the confined worker: its root, its namespaces and LVM get on with each other. */
static void in_the_worker(void **state)
{
	static const uint8_t ops[] = { ST_CREATE, ST_START, ST_STOP, ST_INFO, ST_RESIZE, ST_IMPORT_BEGIN, ST_IMPORT_END, ST_CLONE, ST_USAGE, ST_REMOVE };
	struct pool pool, *p = &pool;
	struct st_request q;
	struct st_reply r;

	begin(p);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		q = request(p, ops[i], ops[i] == ST_USAGE ? "" : ops[i] == ST_CLONE ? OTHER : VID);
		q.size = ops[i] == ST_RESIZE || ops[i] == ST_IMPORT_BEGIN ? 2 * SIZE : SIZE;
		if (ops[i] == ST_CLONE)
			assert_int_equal(str_copy(q.source, sizeof q.source, VID), 0);
		assert_int_equal(ask_worker(&q, &r), 0);
		if (ops[i] == ST_START) {
			write_block(p, &r.layers[0], 0, 'k');
			assert_true(r.own);
		}
		if (ops[i] == ST_INFO)
			assert_true(r.size == SIZE && !r.dirty && r.head[0]);
	}
	q = request(p, ST_INFO, OTHER);
	assert_int_equal(ask_worker(&q, &r), 0);
	assert_int_equal(r.size, 2 * SIZE);
	assert_int_equal(files_with(p, "appvms/mail", ""), 0);
	/* A driver of files is not its business. */
	assert_int_equal(str_copy(q.driver, sizeof q.driver, "file-qcow2"), 0);
	assert_int_equal(str_copy(q.pool_dir, sizeof q.pool_dir, "/tmp"), 0);
	assert_true(ask_worker(&q, &r) < 0);
	pool_remove(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opened_devices), cmocka_unit_test(copies_are_their_own), cmocka_unit_test(inactive_volumes),
		cmocka_unit_test(unfit_pools),	  cmocka_unit_test(in_the_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
