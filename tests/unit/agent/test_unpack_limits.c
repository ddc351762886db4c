/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The receiver of files: limits of number, of bytes and of space, cuts at every byte of a stream, and outputs that cannot be written. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/qfile/unpack.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "proto/qfile.h"

static char top[] = "/tmp/bh-unpack-XXXXXX";
static int root = -1;
static unsigned named;

static void on_name(const char *name, void *arg)
{
	named++;
}

static void entry(struct wr *w, const char *name, uint32_t mode, const char *data)
{
	struct qfile_hdr h = { .namelen = (uint32_t)strlen(name) + 1, .mode = mode, .filelen = strlen(data) };

	qfile_put_hdr(w, &h);
	wr_bytes(w, name, strlen(name) + 1);
	wr_bytes(w, data, strlen(data));
}

static void stream(struct wr *w)
{
	entry(w, "dir", S_IFDIR | 0755, "");
	entry(w, "dir/file", S_IFREG | 0644, "content");
	entry(w, "dir/link", S_IFLNK | 0777, "file");
	entry(w, "dir", S_IFDIR | 0755, "");
	wr_zero(w, QFILE_HDR_LEN);
}

static int unpack(const struct wr *w, size_t n, struct qfile_unpack *u)
{
	int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC), code;

	assert_int_equal(fs_rm_rf(AT_FDCWD, top, NULL), 0);
	assert_int_equal(mkdir(top, 0700), 0);
	root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(in >= 0 && out >= 0 && root >= 0);
	assert_int_equal(write_full(in, w->buf, n), 0);
	lseek(in, 0, SEEK_SET);
	u->in = in;
	u->out = out;
	u->root = root;
	u->procfd = -1;
	u->progress = on_name;
	code = qfile_unpack(u);
	if (code == 0)
		close(in);
	close(out);
	close(root);
	return code;
}

static void test_limits(void **state)
{
	_cleanup_wr_ struct wr w = wr_grow(4096);
	struct qfile_unpack u;

	stream(&w);
	u = (struct qfile_unpack){ 0 };
	assert_int_equal(unpack(&w, w.len, &u), 0);
	assert_int_equal(named, 4);
	u = (struct qfile_unpack){ .max_files = 1 };
	assert_int_equal(unpack(&w, w.len, &u), EDQUOT);
	u = (struct qfile_unpack){ .max_bytes = 6 };
	assert_int_equal(unpack(&w, w.len, &u), EDQUOT);
	u = (struct qfile_unpack){ .max_bytes = 100, .max_files = 10, .wait_space = true };
	assert_int_equal(unpack(&w, w.len, &u), 0);
	/* a margin that no disk has room for is refused, not waited for without end */
	u = (struct qfile_unpack){ .wait_space = true, .margin = UINT64_MAX };
	assert_int_equal(unpack(&w, w.len, &u), EDQUOT);
	u = (struct qfile_unpack){ .only_regular = true };
	assert_int_equal(unpack(&w, w.len, &u), EINVAL);
}

static void test_cuts(void **state)
{
	_cleanup_wr_ struct wr w = wr_grow(4096);
	size_t whole;

	stream(&w);
	whole = w.len;
	for (size_t n = 0; n < whole; n++) {
		struct qfile_unpack u = { 0 };

		assert_int_not_equal(unpack(&w, n, &u), 0);
	}
}

/* A file in the place of a folder, names of the same file twice, and a header that says nonsense. */
static void test_collisions(void **state)
{
	static const struct {
		const char *first, *second;
		uint32_t mode, mode2;
	} cases[] = {
		{ "a", "a", S_IFREG | 0644, S_IFREG | 0644 }, { "a", "a/b", S_IFREG | 0644, S_IFREG | 0644 }, { "a", "a", S_IFREG | 0644, S_IFDIR | 0755 },
		{ "a", "a", S_IFLNK | 0777, S_IFLNK | 0777 }, { "a", "a/b", S_IFLNK | 0777, S_IFREG | 0644 }, { "a", "b", S_IFREG | 0644, S_IFIFO | 0600 },
		{ "a", "x/y", S_IFREG | 0644, S_IFDIR | 0755 }, { "a", "x/y", S_IFREG | 0644, S_IFLNK | 0777 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_wr_ struct wr w = wr_grow(4096);
		struct qfile_unpack u = { 0 };

		entry(&w, cases[i].first, cases[i].mode, "t");
		entry(&w, cases[i].second, cases[i].mode2, S_ISDIR(cases[i].mode2) ? "" : "t");
		wr_zero(&w, QFILE_HDR_LEN);
		assert_int_not_equal(unpack(&w, w.len, &u), 0);
	}
}

static int start(void **state)
{
	return mkdtemp(top) ? 0 : -1;
}

static int stop(void **state)
{
	return fs_rm_rf(AT_FDCWD, top, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_limits), cmocka_unit_test(test_cuts), cmocka_unit_test(test_collisions) };

	return cmocka_run_group_tests(tests, start, stop);
}
