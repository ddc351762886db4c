/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clones that share, exports, runs without snapshots, the sweep of a pool, and disks that are full. */
#include "pool.h"

#include <sys/mount.h>

#define COPY "appvms/copy/private"
#define SHOWN "appvms/shown/private"

static struct st_request from_mail(const struct pool *p, uint8_t what, const char *vid)
{
	struct st_request q = request(p, what, vid);

	assert_int_equal(str_copy(q.source, sizeof q.source, VID), 0);
	return q;
}

/* A clone needs no room of its own, and neither volume notices what the other does: a run, a larger size, a revert, the end. */
static void clones_are_apart(void **state)
{
	EACH_DRIVER(p) {
		struct st_request q = from_mail(p, ST_CLONE, COPY);
		struct st_reply r;
		unsigned char b[4];

		(void)op(p, ST_CREATE, VID, 1 << 20);
		(void)cycle(p, VID, 2, 0, 'a');
		(void)cycle(p, VID, 2, 1, 'b');
		assert_int_equal(run(&q, &r), 0);
		(void)cycle(p, VID, 2, 0, 'A');
		(void)cycle(p, COPY, 2, 2, 'c');
		(void)op(p, ST_RESIZE, COPY, 2 << 20);
		committed(p, VID, b, 4);
		assert_memory_equal(b, "Ab\0\0", 4);
		committed(p, COPY, b, 4);
		assert_memory_equal(b, "abc\0", 4);
		assert_int_equal(op(p, ST_INFO, VID, 0).size, 1 << 20);
		/* Over one that is there: what it had is a revision. */
		assert_int_equal(run(&q, &r), 0);
		committed(p, COPY, b, 4);
		assert_memory_equal(b, "Ab\0\0", 4);
		(void)op(p, ST_REMOVE, VID, 0);
		committed(p, COPY, b, 4);
		assert_memory_equal(b, "Ab\0\0", 4);
		q = request(p, ST_REVERT, COPY);
		r = op(p, ST_LIST_REVISIONS, COPY, 0);
		r.text[strlen(r.text) - 1] = '\0';
		assert_int_equal(str_copy(q.revision, sizeof q.revision, strrchr(r.text, '\n') ? strrchr(r.text, '\n') + 1 : r.text), 0);
		assert_int_equal(run(&q, &r), 0);
		committed(p, COPY, b, 4);
		assert_memory_equal(b, "abc\0", 4);
	}
}

/* A clone and a revert of a file-qcow2 volume copy nothing, wherever the pool is. */
static void qcow2_shares(void **state)
{
	struct pool pool, *p = pool_begin(&pool, "file-qcow2");
	struct st_request q = from_mail(p, ST_CLONE, COPY);
	struct stat st;
	struct st_reply r;
	_cleanup_fd_ int fd = -1;

	(void)op(p, ST_CREATE, VID, 1 << 20);
	(void)cycle(p, VID, 1, 0, 'a');
	assert_int_equal(run(&q, &r), 0);
	fd = open_file(p, "appvms/copy/private.l2.qcow2", O_RDONLY);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(files_with(p, "appvms/copy", ".below"), 0);
	/* Both names are one image: counted once, together. */
	r = op(p, ST_USAGE, "", 0);
	assert_true(r.usage <= op(p, ST_INFO, VID, 0).usage + 8 * 4096);
	assert_true(r.size > 0 && r.text[0]);
	pool_remove(p);
}

static void no_state_while_it_runs(const struct pool *p)
{
	static const uint8_t asks[] = { ST_CLONE, ST_START, ST_EXPORT_BEGIN };

	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		struct st_request q = from_mail(p, asks[i], asks[i] == ST_EXPORT_BEGIN ? VID : SHOWN);
		struct st_reply r;

		q.snap_on_start = asks[i] == ST_START;
		q.save_on_stop = asks[i] != ST_START;
		if (asks[i] == ST_EXPORT_BEGIN) {
			q.source[0] = '\0';
			assert_int_equal(str_copy(q.revision, sizeof q.revision, "x"), 0);
		}
		assert_true(run(&q, &r) == -EBUSY);
	}
}

/* revisions_to_keep -1: the state itself is used; a crash is continued; switching back works at once. */
static void without_snapshots(void **state)
{
	EACH_DRIVER(p) {
		struct st_request q = request(p, ST_START, VID);
		struct st_reply r;
		unsigned char b[4];

		(void)op(p, ST_CREATE, VID, 1 << 20);
		(void)cycle(p, VID, 3, 0, 'a');
		(void)cycle(p, VID, 3, 1, 'b');
		q.revisions_to_keep = -1;
		assert_int_equal(run(&q, &r), 0);
		assert_true(r.dirty && r.size == 1 << 20);
		write_block(p, &r.layers[r.n_layers - 1], 2, 'c');
		no_state_while_it_runs(p);
		assert_true(op(p, ST_INFO, VID, 0).dirty);
		assert_int_equal(run(&q, &r), 0); /* nobody stopped it */
		write_block(p, &r.layers[r.n_layers - 1], 3, 'd');
		q.op = ST_STOP;
		assert_int_equal(run(&q, &r), 0);
		committed(p, VID, b, 4);
		assert_memory_equal(b, "abcd", 4);
		assert_string_equal(op(p, ST_LIST_REVISIONS, VID, 0).text, "");
		(void)cycle(p, VID, 1, 0, 'e');
		committed(p, VID, b, 1);
		assert_int_equal(b[0], 'e');
		assert_true(strlen(op(p, ST_LIST_REVISIONS, VID, 0).text) > 0);
	}
}

/* What is exported stays as it was, whatever happens to the volume meanwhile; several at a time. */
static void exports(void **state)
{
	EACH_DRIVER(p) {
		struct st_request one = request(p, ST_EXPORT_BEGIN, VID), two = one;
		struct st_reply r, first, second;
		unsigned char b[BLOCK];

		assert_int_equal(str_copy(one.revision, sizeof one.revision, "one"), 0);
		assert_int_equal(str_copy(two.revision, sizeof two.revision, "two"), 0);
		(void)op(p, ST_CREATE, VID, 1 << 20);
		(void)cycle(p, VID, 0, 0, 'a');
		r = op(p, ST_START, VID, 0);
		write_block(p, &r.layers[r.n_layers - 1], 0, 'z');
		assert_int_equal(run(&one, &first), 0);
		assert_int_equal(first.size, 1 << 20);
		(void)op(p, ST_STOP, VID, 0);
		assert_int_equal(run(&two, &second), 0);
		for (int i = 0; i < 7; i++)
			(void)cycle(p, VID, 0, 0, 'k');
		for (int i = 0; i < 2; i++) {
			_cleanup_fd_ int fd = open(i ? second.text : first.text, O_RDONLY | O_CLOEXEC);

			assert_true(fd >= 0);
			assert_int_equal(pread(fd, b, sizeof b, 0), sizeof b);
			assert_int_equal(b[0], i ? 'z' : 'a');
		}
		one.op = two.op = ST_EXPORT_END;
		assert_int_equal(run(&one, &r), 0);
		assert_int_equal(run(&one, &r), 0); /* again: success */
		assert_int_equal(run(&two, &r), 0);
		assert_true(access(first.text, F_OK) < 0 && access(second.text, F_OK) < 0);
		one.op = ST_EXPORT_BEGIN;
		assert_int_equal(str_copy(one.revision, sizeof one.revision, "a-b"), 0);
		assert_true(run(&one, &r) < 0);
	}
}

static void sweeps(void **state)
{
	for (size_t d = 0; d < 2; d++) {
		struct pool pool, *p = pool_begin(&pool, drivers[d]);
		static const char *const left[] = { "appvms/mail/private.img~", "appvms/mail/private-import.img", "appvms/mail/private-export-x1.img",
						    "appvms/mail/private-dirty.img~", ".unnamed-abc" };
		struct st_request q = request(p, ST_SWEEP, "");
		struct st_reply r;
		unsigned char b[2];

		(void)op(p, ST_CREATE, VID, 1 << 20);
		(void)cycle(p, VID, 1, 0, 's');
		r = op(p, ST_START, VID, 0);
		write_block(p, &r.layers[r.n_layers - 1], 1, 't');
		for (size_t i = 0; i < ARRAY_SIZE(left); i++)
			close(open_file(p, left[i], O_RDWR | O_CREAT));
		assert_int_equal(run(&q, &r), 0);
		assert_int_equal(run(&q, &r), 0);
		assert_int_equal(files_with(p, "appvms/mail", "~") + files_with(p, "appvms/mail", "-import") + files_with(p, "appvms/mail", "-export"), 0);
		(void)op(p, ST_STOP, VID, 0); /* what a crash left in use is no rest */
		committed(p, VID, b, 2);
		assert_memory_equal(b, "st", 2);
		pool_remove(p);
	}
}

/* Takes all the room but `left` bytes. */
static void fill_up(const struct pool *p, off_t left)
{
	static unsigned char buf[BLOCK];
	_cleanup_fd_ int fd = open_file(p, "ballast", O_RDWR | O_CREAT | O_TRUNC);
	off_t n = 0;

	memset(buf, 1, sizeof buf);
	while (write(fd, buf, sizeof buf) == (ssize_t)sizeof buf)
		n += (off_t)sizeof buf;
	assert_int_equal(ftruncate(fd, n > left ? n - left : 0), 0);
}

struct full_case {
	const char *name;
	uint8_t op;
	uint64_t size;
};

/* On a file system without room every operation works, or fails and leaves the state before; with room again it works. */
static void one_full(const struct pool *p, const struct full_case *c)
{
	struct st_request q = c->op == ST_CLONE ? from_mail(p, c->op, COPY) : request(p, c->op, VID);
	struct st_reply r;
	unsigned char b[3];
	int k;

	q.size = c->size;
	if (c->op == ST_REVERT) {
		r = op(p, ST_LIST_REVISIONS, VID, 0);
		r.text[strlen(r.text) - 1] = '\0';
		assert_int_equal(str_copy(q.revision, sizeof q.revision, strrchr(r.text, '\n') ? strrchr(r.text, '\n') + 1 : r.text), 0);
	}
	fill_up(p, 0);
	k = storage_run(&q, &r, NULL);
	close(open_file(p, "ballast", O_WRONLY | O_TRUNC));
	if (k < 0 && c->op != ST_CLONE) {
		committed(p, VID, b, 3);
		assert_memory_equal(b, c->op == ST_STOP ? "ab\0" : "ab\0", 3);
	}
	if (k < 0)
		k = storage_run(&q, &r, NULL);
	if (k < 0)
		fail_msg("%s %s: fails with room too: %d", p->driver, c->name, k);
	committed(p, c->op == ST_CLONE ? COPY : VID, b, 3);
	assert_memory_equal(b, c->op == ST_STOP ? "abc" : c->op == ST_REVERT ? "a\0\0" : "ab\0", 3);
}

static void full_disk(void **state)
{
	static const struct full_case cases[] = {
		{ "start", ST_START, 0 }, { "stop", ST_STOP, 0 }, { "clone", ST_CLONE, 0 }, { "resize", ST_RESIZE, 2 << 20 }, { "revert", ST_REVERT, 0 },
	};

	for (size_t d = 0; d < 2; d++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			struct pool pool, *p = pool_begin(&pool, drivers[d]);
			struct st_reply r;

			if (mount("bh-test", p->dir, "tmpfs", 0, "size=8m") < 0) {
				pool_remove(p);
				print_message("# SKIP full_disk: no right to mount a small file system\n");
				skip();
			}
			(void)op(p, ST_CREATE, VID, 1 << 20);
			(void)cycle(p, VID, 1, 0, 'a');
			(void)cycle(p, VID, 1, 1, 'b');
			if (cases[i].op == ST_STOP) {
				r = op(p, ST_START, VID, 0);
				write_block(p, &r.layers[r.n_layers - 1], 2, 'c');
			}
			one_full(p, &cases[i]);
			assert_int_equal(umount(p->dir), 0);
			pool_remove(p);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clones_are_apart), cmocka_unit_test(qcow2_shares), cmocka_unit_test(without_snapshots),
		cmocka_unit_test(exports),	    cmocka_unit_test(sweeps),	    cmocka_unit_test(full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
