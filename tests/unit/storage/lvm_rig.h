/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A thin pool for tests of lvm_thin: that of the program fake_lvm (tests/unit/storage/fake_lvm.c), whose volumes are files, or the real one that
 * $BULKHEAD_TEST_LVM names as GROUP/POOL (tests/machine/run_lvm sets it inside a guest).
 */
#ifndef TESTS_UNIT_STORAGE_LVM_RIG_H
#define TESTS_UNIT_STORAGE_LVM_RIG_H

#include "base/fsx.h"
#include "base/proc.h"
#include "base/str.h"
#include "storage/lvm.h"

#define FAKE_GROUP "tg"

struct lvm_rig {
	char dir[120]; /* of the model; "" = the real LVM */
	char place[200], base[240]; /* of the pool; where its volumes are seen */
	char group[80];
	char env[2][160];
	char dev[160];
	char program[PATH_MAX];
	const char *envp[6];
};

static inline void rig_real(struct lvm_rig *g, const char *real)
{
	const char *slash = strchr(real, '/');

	assert_non_null(slash);
	assert_int_equal(str_printf(g->group, sizeof g->group, "%.*s", (int)(slash - real), real), 0);
	assert_int_equal(str_printf(g->place, sizeof g->place, "/dev/%s", real), 0);
	assert_int_equal(str_printf(g->base, sizeof g->base, "/dev/%s", g->group), 0);
}

static inline void rig_fake(struct lvm_rig *g)
{
	ssize_t n = readlink("/proc/self/exe", g->program, sizeof g->program - 16);
	char path[300];

	assert_true(n > 0);
	g->program[n] = '\0';
	assert_int_equal(str_copy(strrchr(g->program, '/') + 1, 16, "fake_lvm"), 0);
	assert_int_equal(str_copy(g->dir, sizeof g->dir, "/dev/shm/bhlvm-XXXXXX"), 0);
	assert_non_null(mkdtemp(g->dir));
	assert_int_equal(str_copy(g->group, sizeof g->group, FAKE_GROUP), 0);
	assert_int_equal(str_printf(g->dev, sizeof g->dev, "%s/dev", g->dir), 0);
	assert_int_equal(str_printf(g->base, sizeof g->base, "%s/" FAKE_GROUP, g->dev), 0);
	assert_int_equal(str_copy(g->place, sizeof g->place, "/dev/" FAKE_GROUP "/pool"), 0);
	assert_int_equal(str_printf(g->env[0], sizeof g->env[0], "FAKE_LVM=%s", g->dir), 0);
	assert_int_equal(fs_mkdir_p(g->base, 0700, NULL), 0);
	assert_int_equal(str_printf(path, sizeof path, "%s/meta", g->dir), 0);
	assert_int_equal(fs_mkdir_p(path, 0700, NULL), 0);
	g->envp[0] = g->env[0];
	g->envp[1] = getenv("ASAN_OPTIONS") ? "ASAN_OPTIONS=detect_leaks=0" : NULL;
	lvm_host = (struct lvm_host){ .program = g->program, .dev = g->dev, .env = g->envp };
}

/* An empty pool. */
static inline void rig_make(struct lvm_rig *g)
{
	const char *real = getenv("BULKHEAD_TEST_LVM");

	memset(g, 0, sizeof *g);
	if (real)
		rig_real(g, real);
	else
		rig_fake(g);
}

static inline void rig_remove(struct lvm_rig *g)
{
	const char *argv[] = { "lvm", "lvremove", "--yes", "--select", "lv_tags={" LVM_TAG "}", g->group, NULL };
	struct proc_spec s = { .path = lvm_host.program, .argv = argv, .envp = lvm_host.env };
	struct err e = { 0 };

	if (g->dir[0])
		assert_int_equal(fs_rm_rf(AT_FDCWD, g->dir, NULL), 0);
	else if (proc_run(&s, &e) < 0)
		fail_msg("%s", e.msg);
}

#endif
