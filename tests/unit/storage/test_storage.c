/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What storage.h promises, for every driver. (file-reflink also runs where extents cannot be shared: it copies then. lvm_thin runs over a model of
 * LVM; with $BULKHEAD_TEST_LVM=GROUP/POOL it alone, over the real one.)
 */
#include "pool.h"

#include "base/proc.h"
#include "base/wr.h"

static void create_and_remove(void **state)
{
	EACH_DRIVER(p) {
		struct st_reply r = op(p, ST_CREATE, VID, 2ull << 30);
		struct st_request q = request(p, ST_CREATE, VID);
		char head[64];

		(void)op(p, ST_CREATE, VID, 2ull << 30); /* again: success */
		q.size = 1 << 20;
		assert_int_equal(run(&q, &r), -EEXIST);
		r = op(p, ST_INFO, VID, 0);
		assert_int_equal(r.size, 2ull << 30);
		assert_true(r.usage < 1 << 20);
		assert_false(r.dirty);
		assert_int_equal(str_copy(head, sizeof head, r.head), 0);
		r = op(p, ST_INFO, VID, 0);
		assert_string_equal(head, r.head);
		(void)op(p, ST_CREATE, "appvms/mail/other", 1 << 20);
		(void)op(p, ST_REMOVE, VID, 0);
		(void)op(p, ST_REMOVE, VID, 0);
		assert_int_equal(files_with(p, "appvms/mail", "private"), 0);
		assert_int_equal(files_with(p, "appvms/mail", "other"), 1);
		(void)op(p, ST_REMOVE, "appvms/mail/other", 0);
		assert_int_equal(files_with(p, "appvms", "work"), 0); /* the directory went with its last volume */
		(void)op(p, ST_REMOVE, "appvms/never/private", 0);
	}
}

static void commit_and_identity(void **state)
{
	EACH_DRIVER(p) {
		struct st_reply r, before = { 0 };
		unsigned char b[3];

		(void)op(p, ST_CREATE, VID, 1 << 20);
		before = op(p, ST_INFO, VID, 0);
		r = op(p, ST_START, VID, 0);
		assert_true(r.dirty);
		assert_non_null(strstr(r.layers[r.n_layers - 1].path, pool_lvm(p) ? "-snap" : "-dirty."));
		assert_string_equal(r.head, before.head);
		write_block(p, &r.layers[r.n_layers - 1], 1, 'a');
		committed(p, VID, b, 3);
		assert_memory_equal(b, "\0\0\0", 3); /* what runs does not show */
		r = op(p, ST_INFO, VID, 0);
		assert_string_equal(r.head, before.head);
		r = op(p, ST_STOP, VID, 0);
		assert_false(r.dirty);
		assert_string_not_equal(r.head, before.head);
		before = op(p, ST_STOP, VID, 0); /* again: nothing new */
		assert_string_equal(r.head, before.head);
		committed(p, VID, b, 3);
		assert_memory_equal(b, "\0a\0", 3);
	}
}

static void crash_is_continued(void **state)
{
	EACH_DRIVER(p) {
		struct st_reply r;
		unsigned char b[3];

		(void)op(p, ST_CREATE, VID, 1 << 20);
		r = op(p, ST_START, VID, 0);
		write_block(p, &r.layers[r.n_layers - 1], 0, 'x');
		r = op(p, ST_START, VID, 0); /* nobody stopped it */
		write_block(p, &r.layers[r.n_layers - 1], 2, 'y');
		(void)op(p, ST_STOP, VID, 0);
		committed(p, VID, b, 3);
		assert_memory_equal(b, "x\0y", 3);
	}
}

/* An update that did not come to its end. */
static void thrown_away(void **state)
{
	EACH_DRIVER(p) {
		struct st_request q = request(p, ST_STOP, VID);
		struct st_reply r, before;
		unsigned char b[3];

		(void)op(p, ST_CREATE, VID, 1 << 20);
		before = cycle(p, VID, 1, 1, 'k');
		r = op(p, ST_START, VID, 0);
		write_block(p, &r.layers[r.n_layers - 1], 0, 'x');
		q.ok = true;
		for (int i = 0; i < 2; i++) { /* again: nothing new */
			assert_int_equal(run(&q, &r), 0);
			assert_false(r.dirty);
			assert_string_equal(r.head, before.head);
			committed(p, VID, b, 3);
			assert_memory_equal(b, "\0k\0", 3);
		}
		r = op(p, ST_START, VID, 0);
		write_block(p, &r.layers[r.n_layers - 1], 2, 'y');
		(void)op(p, ST_STOP, VID, 0);
		committed(p, VID, b, 3);
		assert_memory_equal(b, "\0ky", 3);
		/* what runs without snapshots has nothing older to go back to */
		q = request(p, ST_START, VID);
		q.revisions_to_keep = -1;
		assert_int_equal(run(&q, &r), 0);
		write_block(p, &r.layers[r.n_layers - 1], 0, 'z');
		q.op = ST_STOP;
		q.ok = true;
		assert_int_equal(run(&q, &r), 0);
		committed(p, VID, b, 3);
		assert_memory_equal(b, "zky", 3);
	}
}

static void many_cycles(void **state)
{
	EACH_DRIVER(p) {
		unsigned char b[16], want[16] = { 0 };
		char seen[20][64];
		size_t n = 0;

		(void)op(p, ST_CREATE, VID, 1 << 20);
		for (unsigned i = 0; i < 20; i++) {
			int pattern = i % 5 == 4 ? -1 : 'A' + (int)i;
			struct st_reply r = cycle(p, VID, 1, i % 7, pattern);

			want[i % 7] = (unsigned char)MAX(pattern, 0);
			committed(p, VID, b, 16);
			assert_memory_equal(b, want, 16);
			for (size_t k = 0; k < n; k++)
				assert_string_not_equal(seen[k], r.head);
			assert_int_equal(str_copy(seen[n++], 64, r.head), 0);
			r = op(p, ST_START, VID, 0);
			assert_true(r.n_layers <= 6); /* raw, at most four overlays, and the dirty one */
			(void)op(p, ST_STOP, VID, 0);
		}
		assert_true(files_with(p, "appvms/mail", "private") <= 8);
		assert_int_equal(files_with(p, "appvms/mail", "~"), 0);
	}
}

/* The newest revision is the last line. */
static void take_newest(const struct st_reply *r, struct st_request *q)
{
	char text[sizeof r->text], *nl;

	memcpy(text, r->text, sizeof text);
	assert_true(str_ends(text, "\n"));
	text[strlen(text) - 1] = '\0';
	nl = strrchr(text, '\n');
	assert_int_equal(str_copy(q->revision, sizeof q->revision, nl ? nl + 1 : text), 0);
}

static void revisions(void **state)
{
	EACH_DRIVER(p) {
		struct st_request q = request(p, ST_REVERT, VID);
		struct st_reply r;
		unsigned char b[2];

		(void)op(p, ST_CREATE, VID, 1 << 20);
		(void)cycle(p, VID, 2, 0, '1');
		(void)cycle(p, VID, 2, 0, '2');
		(void)cycle(p, VID, 2, 0, '3');
		r = op(p, ST_LIST_REVISIONS, VID, 0);
		take_newest(&r, &q); /* the state before the last stop */
		q.revisions_to_keep = 2;
		(void)op(p, ST_START, VID, 0);
		assert_int_equal(run(&q, &r), -EBUSY);
		(void)op(p, ST_STOP, VID, 0);
		r = op(p, ST_LIST_REVISIONS, VID, 0);
		take_newest(&r, &q);
		(void)cycle(p, VID, 2, 0, '4');
		assert_int_equal(run(&q, &r), 0);
		committed(p, VID, b, 1);
		assert_int_equal(b[0], '3');
		r = op(p, ST_LIST_REVISIONS, VID, 0);
		assert_true(strlen(r.text) > 0); /* the state before the revert can be had back */
		q.revision[0] = 'z';
		assert_int_equal(run(&q, &r), -ENOENT);
	}
}

static void keeps_none(void **state)
{
	EACH_DRIVER(p) {
		struct st_reply r;

		(void)op(p, ST_CREATE, VID, 1 << 20);
		for (int i = 0; i < 7; i++)
			(void)cycle(p, VID, 0, 0, 'a' + i);
		r = op(p, ST_LIST_REVISIONS, VID, 0);
		if (streq(p->driver, "file-reflink"))
			assert_string_equal(r.text, "");
		else
			assert_true(files_with(p, "appvms/mail", "private") <= 5); /* the chain needs its lower files */
	}
}

static void clone_and_snapshot(void **state)
{
	EACH_DRIVER(p) {
		struct st_request q = request(p, ST_CLONE, "appvms/copy/private");
		struct st_reply r, info;
		unsigned char b[2];

		(void)op(p, ST_CREATE, VID, 1 << 20);
		(void)cycle(p, VID, 1, 0, 'q');
		r = op(p, ST_START, VID, 0);
		write_block(p, &r.layers[r.n_layers - 1], 0, 'r');
		assert_int_equal(str_copy(q.source, sizeof q.source, VID), 0);
		assert_int_equal(run(&q, &r), 0);
		committed(p, "appvms/copy/private", b, 1);
		assert_int_equal(b[0], 'q');
		assert_int_equal(run(&q, &r), 0); /* again: what was there is a revision now */
		assert_true(strlen(op(p, ST_LIST_REVISIONS, "appvms/copy/private", 0).text) > 0);
		q.op = ST_START;
		q.snap_on_start = true;
		q.save_on_stop = false;
		assert_int_equal(str_copy(q.vid, sizeof q.vid, "appvms/nothing/root"), 0);
		assert_int_equal(run(&q, &r), 0);
		info = op(p, ST_INFO, VID, 0);
		assert_string_equal(r.head, info.head);
		assert_null(strstr(r.layers[r.n_layers - 1].path, "dirty"));
		assert_false(r.dirty);
		q.op = ST_STOP;
		assert_int_equal(run(&q, &r), 0);
		q.op = ST_CLONE;
		assert_int_equal(str_copy(q.source, sizeof q.source, "appvms/missing/private"), 0);
		assert_int_equal(run(&q, &r), -ENOENT);
	}
}

static void resize(void **state)
{
	EACH_DRIVER(p) {
		struct st_request q = request(p, ST_RESIZE, VID);
		struct st_reply r, before;
		unsigned char b[3];

		(void)op(p, ST_CREATE, VID, 1 << 20);
		(void)op(p, ST_RESIZE, VID, 2 << 20);
		assert_int_equal(op(p, ST_INFO, VID, 0).size, 2 << 20);
		(void)cycle(p, VID, 1, 1, 'k');
		before = op(p, ST_INFO, VID, 0);
		r = op(p, ST_RESIZE, VID, 4 << 20);
		r = op(p, ST_RESIZE, VID, 4 << 20); /* again */
		r = op(p, ST_INFO, VID, 0);
		assert_int_equal(r.size, 4 << 20);
		assert_string_equal(r.head, before.head); /* no commit */
		q.size = 1 << 20;
		assert_int_equal(run(&q, &r), -EINVAL);
		(void)cycle(p, VID, 1, 40, 'l'); /* behind the old end */
		committed(p, VID, b, 2);
		assert_memory_equal(b, "\0k", 2);
		(void)op(p, ST_START, VID, 0);
		q.size = 8 << 20;
		assert_int_equal(run(&q, &r), -EBUSY);
	}
}

static void import(void **state)
{
	EACH_DRIVER(p) {
		struct st_request q = request(p, ST_IMPORT_END, VID);
		struct st_reply r, before;
		unsigned char b[2];
		int fd;

		(void)op(p, ST_CREATE, VID, 1 << 20);
		(void)cycle(p, VID, 1, 0, 'o');
		before = op(p, ST_INFO, VID, 0);
		for (int ok = 0; ok < 2; ok++) {
			r = op(p, ST_IMPORT_BEGIN, VID, 2 << 20);
			assert_true(str_starts(r.text, pool_lvm(p) ? "/dev/" : p->base));
			fd = open(r.text, O_RDWR | O_CLOEXEC);
			assert_true(fd >= 0);
			assert_int_equal(lseek(fd, 0, SEEK_END), 2 << 20);
			assert_int_equal(pwrite(fd, "i", 1, 0), 1);
			for (off_t i = 1; i < BLOCK; i++)
				assert_int_equal(pwrite(fd, "i", 1, i), 1);
			close(fd);
			q.ok = ok;
			assert_int_equal(run(&q, &r), 0);
			committed(p, VID, b, 1);
			assert_int_equal(b[0], ok ? 'i' : 'o');
		}
		r = op(p, ST_INFO, VID, 0);
		assert_int_equal(r.size, 2 << 20);
		assert_string_not_equal(r.head, before.head);
		r = op(p, ST_LIST_REVISIONS, VID, 0);
		assert_true(strlen(r.text) > 0);
		assert_int_equal(files_with(p, "appvms/mail", "import"), 0);
	}
}

/* Overlays that QEMU's own tools wrote are merged as they read them; overlays that we made please their check. */
static void agrees_with_qemu(void **state)
{
	struct pool pool = { .driver = NULL }, *p = &pool;
	struct st_reply r;
	unsigned char b[16], want[16] = { 0 };

	if (access("/usr/bin/qemu-io", X_OK) < 0) {
		print_message("# SKIP agrees_with_qemu: /usr/bin/qemu-io is not installed\n");
		skip();
	}
	pool_make(p, "file-qcow2", "/tmp");
	(void)op(p, ST_CREATE, VID, 1 << 20);
	for (int i = 0; i < 3; i++) {
		char path[400], write[64], zero[64];
		const char *argv[] = { "qemu-io", "-f", "qcow2", "-c", write, "-c", zero, path, NULL };
		const char *check[] = { "qemu-img", "check", "-q", "-f", "qcow2", path, NULL };
		struct proc_spec s = { .path = "/usr/bin/qemu-io", .argv = argv }, c = { .path = "/usr/bin/qemu-img", .argv = check };
		struct err e = { 0 };

		r = op(p, ST_START, VID, 0);
		assert_int_equal(str_printf(path, sizeof path, "%s/%s", p->dir, r.layers[r.n_layers - 1].path), 0);
		assert_int_equal(str_printf(write, sizeof write, "write -P %d %dk 128k", 'a' + i, i * 128), 0);
		assert_int_equal(str_printf(zero, sizeof zero, "write -z %dk 64k", i * 128), 0);
		if (proc_run(&c, &e) < 0 || proc_run(&s, &e) < 0 || proc_run(&c, &e) < 0)
			fail_msg("%s", e.msg);
		(void)op(p, ST_STOP, VID, 0);
		want[2 * i + 1] = (unsigned char)('a' + i);
	}
	committed(p, VID, b, 16);
	assert_memory_equal(b, want, 16);
	pool_remove(p);
}

/* An overlay that a QEMU under foreign control wrote is refused, and stays for a person to look at. */
static void hostile_overlay(void **state)
{
	static const struct {
		off_t at;
		uint64_t v;
	} spoils[] = {
		{ 0, 0x514649fb00000002ull },  /* version 2 */
		{ 72, 4 },		       /* external data file */
		{ 72, 2 },		       /* corrupt */
		{ 24, 1ull << 62 },	       /* size */
		{ 40, 0x1001 },		       /* table not aligned */
		{ 32, 1ull << 32 },	       /* encrypted */
		{ 32, 0 },		       /* no table */
		{ 60, 1ull << 32 },	       /* internal snapshots */
	};

	for (size_t i = 0; i < ARRAY_SIZE(spoils); i++) {
		struct pool pool = { .driver = NULL }, *p = &pool;
		struct st_request q;
		struct st_reply r;
		int fd;

		pool_make(p, "file-qcow2", "/tmp");
		q = request(p, ST_STOP, VID);
		(void)op(p, ST_CREATE, VID, 1 << 20);
		r = op(p, ST_START, VID, 0);
		fd = open_file(p, r.layers[r.n_layers - 1].path, O_RDWR);
		put_be_at(fd, spoils[i].at, spoils[i].v);
		close(fd);
		assert_int_equal(run(&q, &r), -EBADMSG);
		assert_int_equal(files_with(p, "appvms/mail", "dirty"), 1);
		pool_remove(p);
	}
}

static void codec(void **state)
{
	struct st_request q = { .op = ST_CLONE, .rw = true, .save_on_stop = true, .revisions_to_keep = -1, .size = 512,
				.driver = "file-qcow2", .pool_dir = "/p", .vid = "a/b", .source = "c/d" }, out;
	struct st_reply p = { .size = 5, .usage = 6, .dirty = true, .head = "h", .driver = "d", .n_layers = 1,
			      .layers = { { "a/b.img", VM_FMT_RAW } }, .text = "t" }, back;
	uint8_t buf[16384];
	struct wr w = wr_mem(buf, sizeof buf);
	struct rd r;

	st_request_put(&w, &q);
	for (size_t n = 0; n <= w.len; n++) {
		r = rd_mem(buf, n);
		assert_int_equal(st_request_get(&r, &out), n == w.len ? 0 : -EBADMSG);
	}
	assert_memory_equal(&q, &out, sizeof q);
	w = wr_mem(buf, sizeof buf);
	st_reply_put(&w, &p);
	for (size_t n = 0; n <= w.len; n++) {
		r = rd_mem(buf, n);
		assert_int_equal(st_reply_get(&r, &back), n == w.len ? 0 : -EBADMSG);
	}
	assert_memory_equal(&p, &back, sizeof p);
}

static void bad_requests(void **state)
{
	static const struct {
		const char *driver, *pool, *vid, *source, *revision;
		uint64_t size;
	} rows[] = {
		{ "lvm", "/p", "a/b", "", "", 0 },	{ "file-qcow2", "p", "a/b", "", "", 0 },
		{ "file-qcow2", "/p", "a", "", "", 0 },	{ "file-qcow2", "/p", "../b", "", "", 0 },
		{ "file-qcow2", "/p", "a/..", "", "", 0 }, { "file-qcow2", "/p", "/a/b", "", "", 0 },
		{ "file-qcow2", "/p", "a/b", "..", "", 0 }, { "file-qcow2", "/p", "a/b", "", "../x", 0 },
		{ "file-qcow2", "/p", "a/b", "", "", 513 }, { "file-qcow2", "/p", "a/b", "", "", 65ull << 40 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct st_request q = { .op = ST_INFO, .size = rows[i].size }, out;
		struct st_reply reply;
		uint8_t buf[4096];
		struct wr w = wr_mem(buf, sizeof buf);
		struct rd r;

		if (str_copy(q.driver, sizeof q.driver, rows[i].driver) < 0 || str_copy(q.pool_dir, sizeof q.pool_dir, rows[i].pool) < 0 ||
		    str_copy(q.vid, sizeof q.vid, rows[i].vid) < 0 || str_copy(q.source, sizeof q.source, rows[i].source) < 0 ||
		    str_copy(q.revision, sizeof q.revision, rows[i].revision) < 0)
			fail();
		st_request_put(&w, &q);
		r = rd_mem(buf, w.len);
		assert_int_equal(st_request_get(&r, &out), -EINVAL);
		assert_int_equal(storage_run(&q, &reply, NULL), -EINVAL);
	}
}

/* A link inside the pool leads nowhere. */
static void links_are_not_followed(void **state)
{
	EACH_DRIVER(p) {
		if (pool_lvm(p))
			continue; /* no links: the kernel tells what a device is */
		struct st_request q = request(p, ST_CREATE, "link/private");
		struct st_reply r;
		char path[200];

		assert_int_equal(str_printf(path, sizeof path, "%s/link", p->dir), 0);
		assert_int_equal(symlink("/tmp", path), 0);
		q.size = 1 << 20;
		assert_true(run(&q, &r) < 0);
		assert_int_equal(str_copy(q.vid, sizeof q.vid, "link/deep/private"), 0);
		assert_true(run(&q, &r) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_and_remove), cmocka_unit_test(commit_and_identity), cmocka_unit_test(crash_is_continued),
		cmocka_unit_test(thrown_away),
		cmocka_unit_test(many_cycles),	     cmocka_unit_test(revisions),	    cmocka_unit_test(keeps_none),
		cmocka_unit_test(clone_and_snapshot), cmocka_unit_test(resize),		    cmocka_unit_test(import),
		cmocka_unit_test(agrees_with_qemu),  cmocka_unit_test(hostile_overlay),	    cmocka_unit_test(codec),
		cmocka_unit_test(bad_requests),	     cmocka_unit_test(links_are_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
