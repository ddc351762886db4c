/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of the file copy that are hard to reach from outside: damaged journals, placing of entries, users, stream buffers. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/qfile/journal.h"
#include "agent/qfile/move.h"
#include "agent/qfile/place.h"
#include "agent/qfile/progress.h"
#include "agent/qfile/stream.h"
#include "agent/qfile/user.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "proto/crc32.h"

static char dir[64], scratch[300];

static const char *in_dir(const char *name)
{
	assert_int_equal(str_printf(scratch, sizeof scratch, "%s/%s", dir, name), 0);
	return scratch;
}

static int make_dir(void **state)
{
	return str_copy(dir, sizeof dir, "/tmp/bh-copy-XXXXXX") < 0 || !mkdtemp(dir) ? -1 : 0;
}

static int remove_dir(void **state)
{
	return fs_rm_rf(AT_FDCWD, dir, NULL);
}

static void make_file(const char *name)
{
	assert_int_equal(fs_write_atomic(AT_FDCWD, in_dir(name), "x", 1, 0600, NULL), 0);
}

static bool exists(const char *name)
{
	return access(in_dir(name), F_OK) == 0;
}

static unsigned reports;

static void count_report(const char *text, const char *path, void *arg)
{
	assert_true(text[0] && path[0]);
	reports++;
}

/* A journal over the files names, committed or not. */
static void write_journal(const char *const *names, size_t n, bool commit)
{
	struct journal j;
	struct stat st;

	(void)unlink(in_dir("journal"));
	assert_int_equal(journal_open(&j, in_dir("journal"), NULL), 0);
	journal_base(&j, dir);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(lstat(in_dir(names[i]), &st), 0);
		journal_entry(&j, names[i], &st);
	}
	if (commit)
		assert_int_equal(journal_commit(&j, NULL), 0);
	else
		assert_int_equal(write_full(j.fd, j.w.buf, j.w.len), 0);
	journal_close(&j);
}

static int remove_by_journal(bool again)
{
	struct err e = { 0 };
	int r;

	reports = 0;
	r = journal_remove(in_dir("journal"), again, -1, count_report, NULL, &e);
	assert_true(r >= 0 || e.code);
	return r;
}

static void test_journal(void **state)
{
	static const char *const names[] = { "a", "d/b", "d" };

	assert_int_equal(fs_mkdir_p(in_dir("d"), 0700, NULL), 0);
	make_file("a");
	make_file("d/b");
	write_journal(names, 3, false);
	assert_false(journal_is_committed(in_dir("journal")));
	assert_int_equal(remove_by_journal(false), -EBADMSG);
	assert_true(exists("a") && exists("d/b"));
	write_journal(names, 3, true);
	assert_int_equal(remove_by_journal(false), 0);
	assert_false(exists("a") || exists("d"));
	/* A second time there is nothing to do, and everything is told. */
	assert_int_equal(remove_by_journal(false), 3);
	assert_int_equal(reports, 3);
	/* But when an earlier run is taken up, what is gone was deleted by it. */
	make_file("a");
	assert_int_equal(fs_mkdir_p(in_dir("d"), 0700, NULL), 0);
	write_journal(names, 1, true);
	assert_true(journal_is_committed(in_dir("journal")));
	assert_int_equal(unlink(in_dir("a")), 0);
	assert_int_equal(remove_by_journal(true), 0);
	assert_int_equal(reports, 0);
}

static void test_damaged_journal(void **state)
{
	static const char *const names[] = { "a", "b" };
	_cleanup_free_ char *text = NULL;
	size_t n;

	make_file("a");
	make_file("b");
	write_journal(names, 2, true);
	assert_int_equal(fs_read(AT_FDCWD, in_dir("journal"), 1 << 20, &text, &n, NULL), 0);
	for (size_t cut = 0; cut < n; cut++) {
		assert_int_equal(fs_write_atomic(AT_FDCWD, in_dir("journal"), text, cut, 0600, NULL), 0);
		assert_int_equal(remove_by_journal(false), -EBADMSG);
	}
	assert_int_equal(fs_write_atomic(AT_FDCWD, in_dir("journal"), text, n + 1, 0600, NULL), 0);
	assert_int_equal(remove_by_journal(false), -EBADMSG);
	assert_true(exists("a") && exists("b"));
	assert_int_equal(fs_write_atomic(AT_FDCWD, in_dir("journal"), text, n, 0600, NULL), 0);
	assert_int_equal(remove_by_journal(false), 0);
}

static void test_journal_stays_below(void **state)
{
	struct journal j;
	struct stat st;

	assert_int_equal(fs_mkdir_p(in_dir("sub"), 0700, NULL), 0);
	make_file("outside");
	assert_int_equal(symlink("..", in_dir("sub/up")), 0);
	(void)unlink(in_dir("journal"));
	assert_int_equal(journal_open(&j, in_dir("journal"), NULL), 0);
	journal_base(&j, in_dir("sub"));
	assert_int_equal(stat(in_dir("outside"), &st), 0);
	journal_entry(&j, "../outside", &st);
	journal_entry(&j, "up/outside", &st);
	assert_int_equal(journal_commit(&j, NULL), 0);
	journal_close(&j);
	assert_int_equal(remove_by_journal(false), 2);
	assert_true(exists("outside"));
	/* The journal's own file must be new. */
	assert_int_equal(journal_open(&j, in_dir("journal"), NULL), -EEXIST);
	journal_close(&j);
}

static void place_one(struct place *p, const char *name, size_t size, size_t piece)
{
	static const struct timespec times[2] = { { 1, 2 }, { 3, 4 } };
	_cleanup_free_ uint8_t *data = xcalloc(1, size);
	struct place_file f;

	/* Data, a hole over many blocks, data; written in pieces that never fall on a block's edge. */
	memset(data, 1, MIN(size, (size_t)5000));
	if (size > 50000)
		memset(data + 40001, 2, 77);
	assert_int_equal(place_open(p, name, size, &f), 0);
	for (size_t at = 0; at < size; at += piece)
		assert_int_equal(place_write(&f, data + at, MIN(piece, size - at)), 0);
	assert_int_equal(place_finish(p, &f, 0640, times), 0);

	_cleanup_free_ char *back = NULL;
	size_t n;

	assert_int_equal(fs_read(p->root, name, size + 1, &back, &n, NULL), 0);
	assert_int_equal(n, size);
	assert_memory_equal(back, data, size);
}

static void test_place(void **state)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 8192, 65536, 65537, 100000, 200000 };
	static const size_t pieces[] = { 1000, 4096, 65536, 33333 };
	int root, procfd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct place p;
	struct stat st;

	assert_int_equal(fs_mkdir_p(in_dir("place"), 0700, NULL), 0);
	root = open(in_dir("place"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int k = 0; k < 2; k++) {
		/* With and without unnamed files. */
		place_init(&p, root, k ? -1 : procfd);
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			for (size_t j = 0; j < ARRAY_SIZE(pieces); j++) {
				char name[32];

				assert_int_equal(str_printf(name, sizeof name, "%d-%zu-%zu", k, i, j), 0);
				place_one(&p, name, sizes[i], pieces[j]);
				assert_int_equal(fstatat(root, name, &st, 0), 0);
				assert_int_equal(st.st_mode & 07777, 0640);
				assert_int_equal(st.st_mtim.tv_sec, 3);
			}
		place_fini(&p);
	}
	place_init(&p, root, procfd);
	struct place_file f;
	assert_int_equal(place_open(&p, "0-0-0", 100000, &f), -EEXIST);
	assert_int_equal(place_open(&p, "0-0-0", 1, &f), -EEXIST);
	assert_int_equal(place_open(&p, "no/where", 1, &f), -ENOENT);
	assert_int_equal(place_open(&p, "given-up", 1, &f), 0);
	place_abort(&f);
	assert_int_equal(faccessat(root, "given-up", F_OK, 0), -1);
	place_fini(&p);
	close(root);
	close(procfd);
}

static void test_users(void **state)
{
	static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
				     "broken line\n"
				     "short:x:1000\n"
				     "sign:x:-1:0::/x:/bin/sh\n"
				     "user:x:1000:1001:a b:/home/user:/bin/bash\n"
				     "second:x:1000:7::/other:/bin/bash";
	struct user u = { .gid = 99 };

	assert_int_equal(fs_write_atomic(AT_FDCWD, in_dir("passwd"), passwd, sizeof passwd - 1, 0600, NULL), 0);
	assert_int_equal(user_find(in_dir("passwd"), 5, &u, NULL), -ENOENT);
	/* Nothing of another row is left behind. */
	assert_int_equal(u.gid, 99);
	assert_int_equal(user_find(in_dir("passwd"), 1000, &u, NULL), 0);
	assert_int_equal(u.gid, 1001);
	assert_string_equal(u.home, "/home/user");
	assert_int_equal(user_find(in_dir("none"), 0, &u, NULL), -ENOENT);
}

static void test_streams(void **state)
{
	static uint8_t data[300000], got[300000];
	int fds[2], file = open(in_dir("stream"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	const uint8_t *p;
	struct qout out;
	struct qin in;
	size_t at = 0, n;
	uint32_t crc;

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	qout_init(&out, file);
	for (size_t i = 0; i < 100000; i += 997)
		assert_int_equal(qout_put(&out, data + i, MIN((size_t)997, 100000 - i)), 0);
	assert_int_equal(qout_zeros(&out, 100000), 0);
	assert_int_equal(qout_put(&out, data + 200000, 100000), 0);
	assert_int_equal(qout_flush(&out), 0);
	memset(data + 100000, 0, 100000);
	crc = crc32_update(0, data, sizeof data);
	assert_int_equal(out.crc, crc);
	assert_int_equal(out.sent, sizeof data);
	qout_fini(&out);

	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	qin_init(&in, file);
	while (at < sizeof data) {
		/* Fixed and open-ended reads by turns. */
		size_t want = MIN((size_t)(at % 5000 + 1), sizeof data - at);

		if (at % 2) {
			assert_int_equal(qin_take(&in, want, &p), 1);
			n = want;
		} else {
			assert_int_equal(qin_some(&in, want, &p, &n), 1);
			assert_true(n >= 1 && n <= want);
		}
		memcpy(got + at, p, n);
		at += n;
	}
	assert_memory_equal(got, data, sizeof data);
	assert_int_equal(qin_crc(&in), crc);
	assert_int_equal(qin_take(&in, 1, &p), 0);
	assert_int_equal(qin_some(&in, 1, &p, &n), 0);
	assert_int_equal(qin_crc(&in), crc);
	qin_fini(&in);
	close(file);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	close(fds[1]);
	qin_init(&in, fds[0]);
	assert_int_equal(qin_take(&in, 4, &p), 0); /* three of four bytes are a cut stream */
	qin_fini(&in);
	close(fds[0]);
}

static void test_progress(void **state)
{
	struct progress p = { .kind = PROGRESS_CONSOLE, .width = 80, .total = 4ull << 30, .start_us = 1000000 };
	enum progress_kind kind;
	char line[201];

	progress_line(line, sizeof line, &p, 3000000, 1ull << 30, "a/b\x1b[0m");
	assert_string_equal(line, " 25%  1.0 GiB of 4.0 GiB  512 MiB/s  0:06 left  a/b\\x1b[0m");
	/* Counted with its headers a stream is longer than its files. */
	progress_line(line, sizeof line, &p, 3000000, 5ull << 30, NULL);
	assert_string_equal(line, "100%  4.0 GiB of 4.0 GiB  2.5 GiB/s  0:00 left");
	p.total = 0;
	progress_line(line, sizeof line, &p, 3000000, 998, "x");
	assert_string_equal(line, "998 B  499 B/s  x");
	p.total = 1ull << 60;
	for (p.width = 20; p.width <= 200; p.width++)
		for (uint64_t n = 1; n < 1ull << 60; n *= 7) {
			progress_line(line, sizeof line, &p, 1000001, n, "a name that is quite long and never ends before the line does");
			assert_true(strlen(line) < p.width);
		}
	assert_int_equal(progress_kind("gui", &kind), 0);
	assert_int_equal(kind, PROGRESS_GUI);
	assert_int_equal(progress_kind("window", &kind), -EINVAL);
}

static void test_phase(void **state)
{
	static uint8_t data[900000], got[900000];
	int file = open(in_dir("phase"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	const uint8_t *p;
	struct qout out;
	struct qin in;
	size_t n;

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 13 + i / 257);
	qout_init(&out, file);
	assert_int_equal(qout_put(&out, data, 37), 0);
	assert_int_equal(qout_align(&out), 0);
	assert_int_equal(qout_put(&out, data + 37, sizeof data - 37), 0);
	assert_int_equal(qout_flush(&out), 0);
	assert_int_equal(out.crc, crc32_update(0, data, sizeof data));
	qout_fini(&out);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	qin_init(&in, file);
	assert_int_equal(qin_take(&in, 37, &p), 1);
	/* Every refill starts where the data's offset has its place in a page; long takes still fit behind it. */
	for (size_t at = 37; at < sizeof data; at += n) {
		bool empty = in.pos == in.len;

		qin_phase(&in, at - 37);
		if (at > 600000 && sizeof data - at >= 20000) {
			n = 20000;
			assert_int_equal(qin_take(&in, n, &p), 1);
		} else {
			assert_int_equal(qin_some(&in, sizeof data, &p, &n), 1);
			assert_true(!empty || (uintptr_t)p % 4096 == (at - 37) % 4096);
		}
		memcpy(got + at, p, n);
	}
	assert_memory_equal(got + 37, data + 37, sizeof data - 37);
	assert_int_equal(qin_crc(&in), crc32_update(0, data, sizeof data));
	qin_fini(&in);
	close(file);
}

static unsigned kept_reports;

static void count_kept(const char *text, const char *path, void *arg)
{
	kept_reports++;
}

/* A move whose tool died: before the answer, and between answer and deletion. */
static void test_left_moves(void **state)
{
	struct move m, second;
	struct move_rest rest;
	struct journal j;
	struct stat st;

	assert_int_equal(setenv("XDG_STATE_HOME", in_dir("state"), 1), 0);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", dir, 1), 0);
	make_file("m1");
	make_file("m2");
	for (int commit = 0; commit < 2; commit++) {
		assert_int_equal(move_begin(&m, NULL), 0);
		assert_int_equal(journal_open(&j, m.journal, NULL), 0);
		journal_base(&j, dir);
		assert_int_equal(lstat(in_dir("m1"), &st), 0);
		journal_entry(&j, "m1", &st);
		assert_int_equal(lstat(in_dir("m2"), &st), 0);
		journal_entry(&j, "m2", &st);
		if (commit)
			assert_int_equal(journal_commit(&j, NULL), 0);
		journal_close(&j);
		/* A running move is nobody else's. */
		rest = move_pending();
		assert_int_equal(rest.confirmed + rest.open, 0);
		close(m.lock);
		rest = move_pending();
		assert_int_equal(rest.confirmed, commit);
		assert_int_equal(rest.open, !commit);
	}
	assert_true(exists("m1") && exists("m2"));
	/* m2 is changed before the move is taken up. */
	assert_int_equal(fs_write_atomic(AT_FDCWD, in_dir("m2"), "other", 5, 0600, NULL), 0);
	assert_int_equal(move_begin(&second, NULL), 0);
	assert_int_equal(move_resume(false, count_kept, NULL, &rest, NULL), 0);
	assert_int_equal(rest.confirmed, 1);
	assert_int_equal(rest.kept, 1);
	assert_int_equal(kept_reports, 1);
	assert_false(exists("m1"));
	assert_true(exists("m2"));
	assert_int_equal(access(second.dir, F_OK), 0);
	move_drop(&second);
	move_drop(&second);
	rest = move_pending();
	assert_int_equal(rest.confirmed + rest.open, 0);
}

static void begin_move(struct move *m, const char *const *names, size_t n)
{
	struct journal j;
	struct stat st;

	assert_int_equal(move_begin(m, NULL), 0);
	assert_int_equal(journal_open(&j, m->journal, NULL), 0);
	journal_base(&j, dir);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(lstat(in_dir(names[i]), &st), 0);
		journal_entry(&j, names[i], &st);
	}
	assert_int_equal(journal_commit(&j, NULL), 0);
	journal_close(&j);
}

/* Originals put aside come back to where they were, with their folders; once; not over anything else; not for ever. */
static void test_undo(void **state)
{
	static const char *const names[] = { "u/v/b", "u/v", "u/l", "u", "a1" }, *const one[] = { "a2" };
	struct move m;
	struct move_undone u;
	struct move_rest rest;
	struct err e = { 0 };
	struct stat st;

	setenv("XDG_STATE_HOME", in_dir("state"), 1);
	assert_int_equal(fs_mkdir_p(in_dir("u/v"), 0750, NULL), 0);
	assert_int_equal(chmod(in_dir("u/v"), 0750), 0);
	make_file("u/v/b");
	make_file("a1");
	make_file("a2");
	assert_int_equal(symlink("v/b", in_dir("u/l")), 0);
	assert_int_equal(move_undo(count_kept, NULL, &u, &e), -ENOENT);
	begin_move(&m, names, 5);
	assert_int_equal(move_finish_undoable(&m, 1, count_kept, NULL, &e), 0);
	assert_false(exists("u") || exists("a1"));
	begin_move(&m, one, 1);
	assert_int_equal(move_finish_undoable(&m, 1, count_kept, NULL, &e), 0);
	rest = move_pending();
	assert_int_equal(rest.confirmed + rest.open, 0); /* they are no moves that broke off */
	/* the last one first */
	assert_int_equal(move_undo(count_kept, NULL, &u, &e), 0);
	assert_int_equal(u.restored, 1);
	assert_true(exists("a2") && !exists("a1"));
	/* a name that is taken */
	make_file("a1");
	kept_reports = 0;
	assert_int_equal(move_undo(count_kept, NULL, &u, &e), 0);
	assert_int_equal(u.restored, 2);
	assert_int_equal(u.kept, 1);
	assert_int_equal(kept_reports, 1);
	assert_int_equal(lstat(in_dir("u/v"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(lstat(in_dir("u/l"), &st), 0);
	assert_true(S_ISLNK(st.st_mode) && exists("u/v/b"));
	assert_int_equal(unlink(in_dir("a1")), 0);
	assert_int_equal(move_undo(count_kept, NULL, &u, &e), 0);
	assert_int_equal(u.restored, 1);
	assert_true(exists("a1"));
	assert_int_equal(move_undo(count_kept, NULL, &u, &e), -ENOENT);
	/* a time that is over; one that broke off is kept by --forget */
	begin_move(&m, one, 1);
	assert_int_equal(move_finish_undoable(&m, 0, count_kept, NULL, &e), 0);
	assert_int_equal(move_undo(count_kept, NULL, &u, &e), -ENOENT);
	assert_false(exists("a2"));
	begin_move(&m, &names[4], 1);
	assert_int_equal(journal_remove(m.journal, false, m.lock, count_kept, NULL, &e), 0);
	close(m.lock);
	assert_false(exists("a1"));
	assert_int_equal(move_resume(true, count_kept, NULL, &rest, &e), 0);
	assert_true(exists("a1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_journal), cmocka_unit_test(test_damaged_journal), cmocka_unit_test(test_journal_stays_below),
		cmocka_unit_test(test_place),	cmocka_unit_test(test_users),		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_progress), cmocka_unit_test(test_phase),		cmocka_unit_test(test_left_moves),
		cmocka_unit_test(test_undo),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
