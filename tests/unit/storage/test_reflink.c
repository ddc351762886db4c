/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * file-reflink where extents are really shared: test_storage_reflink DIR (tests/host/run_reflink gives a directory on XFS and btrfs). Without an
 * argument, on a file system that cannot share, it says so and skips.
 */
#include "pool.h"

#include <sys/statvfs.h>

#define BLOCKS 640u /* 40 MiB */

static const char *where = "/tmp";

static bool can_share(const struct pool *p)
{
	struct st_request q = request(p, ST_PROBE, VID);
	struct st_reply r;

	assert_int_equal(run(&q, &r), 0);
	if (streq(r.driver, "file-reflink"))
		return true;
	print_message("# SKIP reflink: %s cannot share extents (tests/host/run_reflink uses XFS and btrfs)\n", where);
	return false;
}

static uint64_t used(const struct pool *p)
{
	int fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statvfs s;

	assert_true(fd >= 0);
	assert_int_equal(syncfs(fd), 0);
	assert_int_equal(fstatvfs(fd, &s), 0);
	close(fd);
	return (uint64_t)(s.f_blocks - s.f_bfree) * s.f_frsize;
}

static void expect_small(uint64_t before, uint64_t after, const char *what)
{
	if (after > before && after - before > 4u << 20)
		fail_msg("%s took %llu KiB", what, (unsigned long long)((after - before) >> 10));
}

static void shares(void **state)
{
	struct pool pool, *p = &pool;
	struct st_request q;
	struct st_reply r;
	unsigned char b[4];
	uint64_t n;

	pool_make(p, "file-reflink", where);
	if (!can_share(p)) {
		pool_remove(p);
		skip();
	}
	(void)op(p, ST_CREATE, VID, (uint64_t)BLOCKS * BLOCK);
	r = op(p, ST_START, VID, 0);
	for (unsigned i = 0; i < BLOCKS; i++)
		write_block(p, &r.layers[0], i, 'a' + (int)i % 26);
	(void)op(p, ST_STOP, VID, 0);
	n = used(p);
	assert_true(n > 40u << 20);
	r = op(p, ST_START, VID, 0);
	expect_small(n, used(p), "start");
	write_block(p, &r.layers[0], 1, 'Z');
	(void)op(p, ST_STOP, VID, 0);
	expect_small(n, used(p), "commit with a revision");
	q = request(p, ST_CLONE, "appvms/copy/private");
	assert_int_equal(str_copy(q.source, sizeof q.source, VID), 0);
	assert_int_equal(run(&q, &r), 0);
	expect_small(n, used(p), "clone");
	(void)cycle(p, "appvms/copy/private", 1, 2, 'Y');
	committed(p, VID, b, 4);
	assert_memory_equal(b, "aZcd", 4); /* the clone's write is its own */
	committed(p, "appvms/copy/private", b, 4);
	assert_memory_equal(b, "aZYd", 4);
	r = op(p, ST_LIST_REVISIONS, VID, 0);
	q = request(p, ST_REVERT, VID);
	r.text[strlen(r.text) - 1] = '\0';
	assert_int_equal(str_copy(q.revision, sizeof q.revision, strrchr(r.text, '\n') ? strrchr(r.text, '\n') + 1 : r.text), 0);
	assert_int_equal(run(&q, &r), 0);
	committed(p, VID, b, 4);
	assert_memory_equal(b, "abcd", 4);
	expect_small(n, used(p), "revert");
	pool_remove(p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(shares) };

	if (argc > 1)
		where = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
