/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A pool in a temporary directory, and disk content that tests write and compare: one pattern byte a 64 KiB block. */
#ifndef TESTS_UNIT_STORAGE_POOL_H
#define TESTS_UNIT_STORAGE_POOL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/str.h"
#include "storage/qcow2fmt.h"
#include "lvm_rig.h"
#include "storage/storage.h"

#define BLOCK 65536u
#define VID "appvms/mail/private"

struct pool {
	char dir[200];	/* the place of the pool */
	char base[240]; /* where its images are: the same, but for devices */
	const char *driver;
	struct lvm_rig lvm;
};

static inline bool pool_lvm(const struct pool *p)
{
	return streq(p->driver, "lvm_thin");
}

static inline void pool_make(struct pool *p, const char *driver, const char *where)
{
	p->driver = driver;
	if (pool_lvm(p)) {
		rig_make(&p->lvm);
		assert_int_equal(str_copy(p->dir, sizeof p->dir, p->lvm.place), 0);
		assert_int_equal(str_copy(p->base, sizeof p->base, p->lvm.base), 0);
		return;
	}
	assert_int_equal(str_printf(p->dir, sizeof p->dir, "%s/bhpool-XXXXXX", where), 0);
	assert_non_null(mkdtemp(p->dir));
	assert_int_equal(str_copy(p->base, sizeof p->base, p->dir), 0);
}

static inline void pool_remove(struct pool *p)
{
	if (pool_lvm(p))
		rig_remove(&p->lvm);
	else
		assert_int_equal(fs_rm_rf(AT_FDCWD, p->dir, NULL), 0);
}

static inline struct st_request request(const struct pool *p, uint8_t op, const char *vid)
{
	struct st_request q = { .op = op, .rw = true, .save_on_stop = true, .ok = op == ST_IMPORT_END, .revisions_to_keep = 1 };

	assert_int_equal(str_copy(q.driver, sizeof q.driver, op == ST_PROBE ? "" : p->driver), 0);
	assert_int_equal(str_copy(q.pool_dir, sizeof q.pool_dir, p->dir), 0);
	assert_int_equal(str_copy(q.vid, sizeof q.vid, vid), 0);
	return q;
}

static inline int run(const struct st_request *q, struct st_reply *ret)
{
	struct err e = { 0 };
	int r = storage_run(q, ret, &e);

	if (r < 0)
		print_message("         (op %u: %s)\n", q->op, err_text(&e, r));
	return r;
}

static inline struct st_reply op(const struct pool *p, uint8_t what, const char *vid, uint64_t size)
{
	struct st_request q = request(p, what, vid);
	struct st_reply reply;

	q.size = size;
	assert_int_equal(run(&q, &reply), 0);
	return reply;
}

static inline int open_file(const struct pool *p, const char *rel, int flags)
{
	char path[400];
	int fd;

	assert_int_equal(str_printf(path, sizeof path, "%s/%s", p->base, rel), 0);
	fd = open(path, flags | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static inline uint64_t be_at(int fd, off_t at)
{
	uint64_t v = 0;

	assert_true(pread(fd, &v, sizeof v, at) >= 0);
	return be64toh(v);
}

static inline void put_be_at(int fd, off_t at, uint64_t v)
{
	v = htobe64(v);
	assert_int_equal(pwrite(fd, &v, sizeof v, at), sizeof v);
}

static inline off_t end_of(int fd)
{
	off_t n = (lseek(fd, 0, SEEK_END) + BLOCK - 1) / BLOCK * BLOCK;

	assert_int_equal(ftruncate(fd, n), 0);
	return n;
}

/* What QEMU would do to an overlay: new clusters at the end of the file. pattern -1 marks the block as zeros. */
static inline void write_overlay(int fd, unsigned block, int pattern)
{
	static unsigned char buf[BLOCK];
	off_t l1 = (off_t)be_at(fd, 40) + (off_t)(block / 8192) * 8, l2, data;

	if (!be_at(fd, l1)) {
		l2 = end_of(fd);
		assert_int_equal(ftruncate(fd, l2 + BLOCK), 0);
		put_be_at(fd, l1, (uint64_t)l2 | 1ull << 63);
	}
	l2 = (off_t)(be_at(fd, l1) & 0x00fffffffffffe00ull) + (off_t)(block % 8192) * 8;
	if (pattern < 0) {
		put_be_at(fd, l2, 1);
		return;
	}
	data = end_of(fd);
	memset(buf, pattern, sizeof buf);
	assert_int_equal(pwrite(fd, buf, sizeof buf, data), sizeof buf);
	put_be_at(fd, l2, (uint64_t)data | 1ull << 63);
}

static inline void write_block(const struct pool *p, const struct vm_layer *top, unsigned block, int pattern)
{
	static unsigned char buf[BLOCK];
	_cleanup_fd_ int fd = open_file(p, top->path, O_RDWR);

	if (top->format == VM_FMT_QCOW2) {
		write_overlay(fd, block, pattern);
		return;
	}
	memset(buf, MAX(pattern, 0), sizeof buf);
	assert_int_equal(pwrite(fd, buf, sizeof buf, (off_t)block * BLOCK), sizeof buf);
}

/* One run of a qube: start, write, stop. */
static inline struct st_reply cycle(const struct pool *p, const char *vid, int32_t keep, unsigned block, int pattern)
{
	struct st_request q = request(p, ST_STOP, vid);
	struct st_reply reply = op(p, ST_START, vid, 0);

	write_block(p, &reply.layers[reply.n_layers - 1], block, pattern);
	q.revisions_to_keep = keep;
	assert_int_equal(run(&q, &reply), 0);
	return reply;
}

/* Pattern bytes of the first n blocks of the committed state, seen through an export. */
static inline void committed(const struct pool *p, const char *vid, unsigned char *out, unsigned n)
{
	struct st_request q = request(p, ST_EXPORT_BEGIN, vid);
	struct st_reply reply;
	_cleanup_fd_ int fd = -1;

	assert_int_equal(str_copy(q.revision, sizeof q.revision, "look"), 0);
	assert_int_equal(run(&q, &reply), 0);
	fd = open(reply.text, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (unsigned i = 0; i < n; i++) {
		static unsigned char buf[BLOCK];
		ssize_t k = pread(fd, buf, sizeof buf, (off_t)i * BLOCK);

		assert_true(k == sizeof buf || k == 0);
		out[i] = k ? buf[0] : 0;
		for (ssize_t j = 1; j < k; j++)
			assert_int_equal(buf[j], buf[0]);
	}
	fd_closep(&fd); /* a device that is open cannot go */
	q.op = ST_EXPORT_END;
	assert_int_equal(run(&q, &reply), 0);
}

/* Number of files in the qube's directory (volumes of the qube) whose name holds text. */
static inline unsigned files_with(const struct pool *p, const char *rel, const char *text)
{
	char path[400], lead[120];
	struct dirent *ent;
	unsigned n = 0;
	DIR *d;

	assert_int_equal(str_printf(path, sizeof path, "%s/%s", p->base, pool_lvm(p) ? "" : rel), 0);
	assert_int_equal(str_printf(lead, sizeof lead, "vm-%s-", strrchr(rel, '/') ? strrchr(rel, '/') + 1 : rel), 0);
	d = opendir(path);
	while (d && (ent = readdir(d)))
		n += ent->d_name[0] != '.' && strstr(ent->d_name, text) != NULL && (!pool_lvm(p) || str_starts(ent->d_name, lead));
	if (d)
		closedir(d);
	return n;
}

/* Every driver: a new one joins by its name here. */
static const char *const drivers[] __attribute__((unused)) = { "file-reflink", "file-qcow2", "lvm_thin" };

static inline struct pool *pool_begin(struct pool *p, const char *driver)
{
	pool_make(p, driver, "/tmp");
	return p;
}

static inline bool pool_wanted(const char *driver)
{
	return !getenv("BULKHEAD_TEST_LVM") || streq(driver, "lvm_thin");
}

#define EACH_DRIVER(p)                                                                             \
	for (size_t d_ = 0; d_ < ARRAY_SIZE(drivers); d_++)                                        \
		for (struct pool p##_, *p = pool_wanted(drivers[d_]) ? pool_begin(&p##_, drivers[d_]) : NULL; p; pool_remove(p), p = NULL)

#endif
