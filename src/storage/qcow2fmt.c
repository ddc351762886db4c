/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Empty overlays and the merge of an overlay: see qcow2fmt.h. */
#include "storage/qcow2fmt.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/rd.h"
#include "base/wr.h"
#include "storage/vol.h"

#define MAGIC 0x514649fbu
#define CLUSTER_BITS 16
#define CLUSTER (1u << CLUSTER_BITS)
#define HEADER_LEN 104
#define L2_ENTRIES (CLUSTER / 8)
#define L1_SPAN ((uint64_t)CLUSTER * L2_ENTRIES) /* guest bytes of one L1 entry: 512 MiB */
#define L1_MAX (1u << 18)
#define REFCOUNT_ORDER 4 /* 16 bits a cluster */
#define OFFSET_MASK 0x00fffffffffffe00ull
#define L2_COMPRESSED (1ull << 62)
#define L2_ZERO 1ull
#define INCOMPAT_DIRTY 1ull
#define EXT_BACKING_FORMAT 0xe2792acau

struct header {
	uint64_t size, l1_offset;
	uint32_t l1_size;
};

static int write_at(int fd, off_t at, const struct wr *w, struct err *e)
{
	ssize_t r = pwrite(fd, w->buf, w->len, at);

	if (r < 0)
		return err_errno(e, errno, "writing an overlay");
	return (size_t)r == w->len ? 0 : err_set(e, ENOSPC, "writing an overlay: no space left");
}

static void put_header(struct wr *w, uint64_t size, uint32_t l1_size, const char *backing, const char *format)
{
	size_t ext = strlen(format), name = strlen(backing);

	wr_u32be(w, MAGIC);
	wr_u32be(w, 3);
	/* The name stands behind the two header extensions. */
	wr_u64be(w, name ? HEADER_LEN + 8 + (ext + 7) / 8 * 8 + 8 : 0);
	wr_u32be(w, (uint32_t)name);
	wr_u32be(w, CLUSTER_BITS);
	wr_u64be(w, size);
	wr_u32be(w, 0); /* no encryption */
	wr_u32be(w, l1_size);
	wr_u64be(w, 3ull * CLUSTER); /* L1 table */
	wr_u64be(w, 1ull * CLUSTER); /* refcount table */
	wr_u32be(w, 1);
	wr_u32be(w, 0); /* no snapshots */
	wr_u64be(w, 0);
	wr_u64be(w, 0); /* features: incompatible, compatible, autoclear */
	wr_u64be(w, 0);
	wr_u64be(w, 0);
	wr_u32be(w, REFCOUNT_ORDER);
	wr_u32be(w, HEADER_LEN);
	if (name) {
		wr_u32be(w, EXT_BACKING_FORMAT);
		wr_u32be(w, (uint32_t)ext);
		wr_fixed(w, format, (ext + 7) / 8 * 8);
	}
	wr_u64be(w, 0); /* end of extensions */
	wr_str(w, backing);
}

int qcow2_create(int fd, uint64_t size, const char *backing, bool backing_raw, struct err *e)
{
	uint32_t l1_size = (uint32_t)MIN((size + L1_SPAN - 1) / L1_SPAN, (uint64_t)L1_MAX + 1);
	uint32_t l1_clusters = (l1_size * 8 + CLUSTER - 1) / CLUSTER;
	uint8_t buf[1024];
	struct wr w = wr_mem(buf, sizeof buf);
	int r;

	if (l1_size == 0 || l1_size > L1_MAX)
		return err_set(e, EINVAL, "an overlay cannot have this size");
	put_header(&w, size, l1_size, backing, backing_raw ? "raw" : "qcow2");
	if (!wr_ok(&w))
		return err_set(e, ENAMETOOLONG, "the name of the backing file is too long");
	r = write_at(fd, 0, &w, e);
	if (r < 0)
		return r;
	w = wr_mem(buf, sizeof buf);
	wr_u64be(&w, 2ull * CLUSTER); /* the one refcount block */
	r = write_at(fd, CLUSTER, &w, e);
	if (r < 0)
		return r;
	w = wr_mem(buf, sizeof buf);
	for (uint32_t i = 0; i < 3 + l1_clusters; i++) {
		wr_u8(&w, 0);
		wr_u8(&w, 1);
	}
	r = write_at(fd, 2 * CLUSTER, &w, e);
	if (r < 0)
		return r;
	if (ftruncate(fd, (off_t)(3 + l1_clusters) * CLUSTER) < 0)
		return err_errno(e, errno, "writing an overlay");
	return 0;
}

static int read_at(int fd, uint64_t at, void *buf, size_t n, struct err *e)
{
	ssize_t r = pread(fd, buf, n, (off_t)at);

	if (r < 0)
		return err_errno(e, errno, "reading an overlay");
	/* Behind the end of the file everything is zero. */
	memset((uint8_t *)buf + r, 0, n - (size_t)r);
	return 0;
}

static int bad(struct err *e, const char *what)
{
	return err_set(e, EBADMSG, "the overlay is damaged or of a foreign kind: %s", what);
}

static int get_header(int fd, struct header *ret, struct err *e)
{
	uint8_t buf[HEADER_LEN] = { 0 };
	struct rd rd = rd_mem(buf, sizeof buf), *r = &rd;
	uint32_t crypt, snapshots, bits, order;
	uint64_t incompatible;
	int k = read_at(fd, 0, buf, sizeof buf, e);

	if (k < 0)
		return k;
	if (rd_u32be(r) != MAGIC || rd_u32be(r) != 3)
		return bad(e, "not a qcow2 file of version 3");
	rd_skip(r, 12);
	bits = rd_u32be(r);
	ret->size = rd_u64be(r);
	crypt = rd_u32be(r);
	ret->l1_size = rd_u32be(r);
	ret->l1_offset = rd_u64be(r);
	rd_skip(r, 12);
	snapshots = rd_u32be(r);
	rd_skip(r, 8);
	incompatible = rd_u64be(r);
	rd_skip(r, 16);
	order = rd_u32be(r);
	if (bits != CLUSTER_BITS || order != REFCOUNT_ORDER)
		return bad(e, "cluster size");
	if (crypt || snapshots || incompatible & ~INCOMPAT_DIRTY)
		return bad(e, "features");
	if (ret->size == 0 || ret->size % 512 || ret->l1_size > L1_MAX ||
	    ret->l1_size < (ret->size + L1_SPAN - 1) / L1_SPAN || ret->size > (uint64_t)L1_MAX * L1_SPAN)
		return bad(e, "size");
	if (ret->l1_offset == 0 || ret->l1_offset & ~OFFSET_MASK || ret->l1_offset % CLUSTER)
		return bad(e, "first table");
	return 0;
}

int qcow2_check(int fd, uint64_t *ret_size, struct err *e)
{
	struct header h = { 0 };
	int r = get_header(fd, &h, e);

	if (r >= 0)
		*ret_size = h.size;
	return r;
}

/* A stretch of the guest's disk that lies in one piece in the overlay; host 0 = zeros. */
struct run {
	uint64_t guest, host, len;
};

struct merge {
	int fd, to;
	uint64_t size, file_len;
	struct run run;
};

static int put_zeros(const struct merge *m, uint64_t at, uint64_t n, struct err *e)
{
	if (n && fallocate(m->to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)n) < 0)
		return err_errno(e, errno, "merging an overlay");
	return 0;
}

static int flush_run(struct merge *m, struct err *e)
{
	struct run *u = &m->run;
	uint64_t len, data = 0;
	int r = 0;

	if (u->len == 0)
		return 0;
	len = MIN(u->len, m->size - u->guest);
	if (u->host && u->host < m->file_len)
		data = MIN(len, m->file_len - u->host);
	if (data)
		r = vol_copy_range(m->fd, (off_t)u->host, m->to, (off_t)u->guest, data, e);
	if (r >= 0)
		r = put_zeros(m, u->guest + data, len - data, e);
	u->len = 0;
	return r;
}

static int add_cluster(struct merge *m, uint64_t guest, uint64_t host, struct err *e)
{
	struct run *u = &m->run;
	int r;

	if (u->len && u->guest + u->len == guest && (host ? u->host && u->host + u->len == host : !u->host)) {
		u->len += CLUSTER;
		return 0;
	}
	r = flush_run(m, e);
	*u = (struct run){ guest, host, CLUSTER };
	return r;
}

static int merge_l2(struct merge *m, uint64_t table, uint64_t guest, struct err *e)
{
	static uint8_t buf[CLUSTER];
	struct rd rd = rd_mem(buf, sizeof buf);
	int r = read_at(m->fd, table, buf, sizeof buf, e);

	for (uint32_t i = 0; r >= 0 && i < L2_ENTRIES && guest < m->size; i++, guest += CLUSTER) {
		uint64_t v = rd_u64be(&rd), host = v & OFFSET_MASK;

		if (v & L2_COMPRESSED || host % CLUSTER)
			return bad(e, "second table");
		if (v & L2_ZERO)
			host = 0;
		else if (!host)
			continue;
		r = add_cluster(m, guest, host, e);
	}
	return r;
}

int qcow2_merge(int fd, int to, struct err *e)
{
	struct merge m = { .fd = fd, .to = to };
	struct header h = { 0 };
	struct stat st, out;
	int r = get_header(fd, &h, e);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 || fstat(to, &out) < 0)
		return err_errno(e, errno, "merging an overlay");
	if ((uint64_t)out.st_size < h.size && ftruncate(to, (off_t)h.size) < 0)
		return err_errno(e, errno, "merging an overlay");
	m.size = h.size;
	m.file_len = (uint64_t)st.st_size;
	for (uint32_t i = 0; r >= 0 && i < h.l1_size; i++) {
		uint8_t entry[8];
		struct rd rd = rd_mem(entry, sizeof entry);
		uint64_t table;

		r = read_at(fd, h.l1_offset + 8ull * i, entry, sizeof entry, e);
		table = rd_u64be(&rd) & OFFSET_MASK;
		if (r < 0 || !table)
			continue;
		r = table % CLUSTER ? bad(e, "first table") : merge_l2(&m, table, i * L1_SPAN, e);
	}
	return r < 0 ? r : flush_run(&m, e);
}
