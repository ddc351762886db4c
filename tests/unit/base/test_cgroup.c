/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Control groups on a directory of plain files: what is written where. Real groups: tests/host/run_system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/cgroup.h"
#include "base/fsx.h"
#include "base/ids.h"
#include "base/str.h"

static char top[] = "/tmp/bh-cgroup-XXXXXX";
static int tree = -1;

static int setup(void **state)
{
	if (!mkdtemp(top))
		return -1;
	tree = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return tree < 0;
}

static int teardown(void **state)
{
	close(tree);
	return fs_rm_rf(AT_FDCWD, top, NULL);
}

static void touch(const char *path)
{
	int fd = openat(tree, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void holds(const char *path, const char *want)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(fs_read(tree, path, 100, &text, NULL, NULL), 0);
	assert_string_equal(text, want);
}

static void limits(void **state)
{
	const struct cgroup_limits l = { .memory_max = 912ull << 20, .pids_max = 256, .cpu_weight = 100 };
	unsigned set = 0;

	assert_int_equal(mkdirat(tree, "qube-7", 0700), 0);
	touch("qube-7/memory.max");
	touch("qube-7/pids.max");
	touch("qube-7/cpu.weight");
	touch("qube-7/cgroup.procs");
	touch("qube-7/memory.oom.group");
	assert_int_equal(cgroup_make(tree, "qube-7", &l, &set, NULL), 0);
	assert_int_equal(set, 7);
	holds("qube-7/memory.max", "956301312");
	holds("qube-7/pids.max", "256");
	holds("qube-7/cpu.weight", "100");
	holds("qube-7/memory.oom.group", "1");
	assert_int_equal(cgroup_enter(tree, "qube-7", 4711, NULL), 0);
	holds("qube-7/cgroup.procs", "4711");
}

/* After the controllers were taken back and given again the groups have no limits: they are set as before. */
static void restore(void **state)
{
	const struct cgroup_limits l = { .memory_max = 77, .pids_max = 88, .cpu_weight = 99 };
	unsigned set = 0;

	if (fsetxattr(tree, "user.bulkhead.test", "1", 1, 0) < 0)
		skip(); /* a file system without attributes */
	assert_int_equal(mkdirat(tree, "qube-10", 0700), 0);
	touch("qube-10/memory.max");
	touch("qube-10/pids.max");
	touch("qube-10/cpu.weight");
	assert_int_equal(cgroup_make(tree, "qube-10", &l, &set, NULL), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(unlinkat(tree, i ? "qube-10/pids.max" : "qube-10/memory.max", 0), 0);
		touch(i ? "qube-10/pids.max" : "qube-10/memory.max");
	}
	cgroup_restore(tree);
	holds("qube-10/memory.max", "77");
	holds("qube-10/pids.max", "88");
	holds("qube-10/cpu.weight", "99");
}

/* A controller that is not there is told, not a failure; a group that is not there is one. */
static void missing(void **state)
{
	const struct cgroup_limits l = { .memory_max = 1, .pids_max = 2, .cpu_weight = 3 };
	struct err e = { 0 };
	unsigned set = 9;

	assert_int_equal(mkdirat(tree, "qube-8", 0700), 0);
	touch("qube-8/pids.max");
	assert_int_equal(cgroup_make(tree, "qube-8", &l, &set, NULL), 0);
	assert_int_equal(set, 2);
	assert_int_equal(cgroup_make(tree, "no/such", &l, &set, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "no/such"));
	assert_true(cgroup_enter(tree, "qube-8", 1, &e) < 0);
	/* Limits are never written through a link. */
	assert_int_equal(symlinkat("pids.max", tree, "qube-8/memory.max"), 0);
	assert_int_equal(cgroup_make(tree, "qube-8", &l, &set, &e), -ELOOP);
}

static void sweep(void **state)
{
	struct stat st;

	assert_int_equal(mkdirat(tree, "qube-9", 0700), 0);
	assert_int_equal(mkdirat(tree, "daemon", 0700), 0);
	assert_int_equal(mkdirat(tree, "other", 0700), 0);
	cgroup_sweep(tree, -1);
	assert_true(fstatat(tree, "qube-9", &st, 0) < 0);
	assert_int_equal(fstatat(tree, "daemon", &st, 0), 0);
	assert_int_equal(fstatat(tree, "other", &st, 0), 0);
}

/* No two of them may be the same, nor lie where a qube's could. */
static void ids(void **state)
{
	static const uid_t all[] = {
#define ID(symbol, number, program) number,
#include "base/ids.def"
#undef ID
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		assert_true(all[i] > ID_QUBE + 0xfffff && all[i] <= ID_LAST);
		for (size_t k = 0; k < i; k++)
			assert_true(all[i] != all[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits), cmocka_unit_test(missing), cmocka_unit_test(restore),
		cmocka_unit_test(sweep), cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
