/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Kept files: NAME is whole, NAME~ is being fetched by whoever holds its lock. NAME is a number made of the URL, which stands in the file too: two
 * URLs of one number only push each other out. Many processes work here at once and any of them may be killed at any moment: what is whole was
 * renamed after its bytes were on disk, and what is not is gone on with by the next one.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "updates/updates.h"

#define MAGIC "bulkhead-kept-1"
#define OLD_PART_S (24 * 3600)
#define ENTRIES_MAX 20000u

bool cache_wants(const struct http_request *q)
{
	const char *path = q->url.path;

	if (q->method != HTTP_GET || strchr(path, '?') || strstr(path, "/../") || strstr(path, "//"))
		return false;
	return strstr(path, "/pool/") || strstr(path, "/by-hash/SHA256/") || strstr(path, "/by-hash/SHA512/") || str_ends(path, ".deb") ||
	       str_ends(path, ".rpm");
}

static uint64_t fnv(uint64_t h, const char *s)
{
	do
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	while (*s++);
	return h;
}

static void name_of(const struct http_url *u, char out[40])
{
	char port[8];
	uint64_t a, b;

	if (str_printf(port, sizeof port, "%u", u->port) < 0)
		abort();
	a = fnv(fnv(fnv(0xcbf29ce484222325u, u->host), port), u->path);
	b = fnv(fnv(fnv(0x6c62272e07bb0142u, u->path), u->host), port);
	if (str_printf(out, 40, "%016llx%016llx", (unsigned long long)a, (unsigned long long)b) < 0)
		abort();
}

int cache_head_get(struct rd r, struct cache_head *ret)
{
	struct cache_head h;
	char magic[sizeof MAGIC];

	rd_lstr(&r, magic, sizeof magic);
	rd_lstr(&r, h.host, sizeof h.host);
	h.port = rd_u16le(&r);
	rd_lstr(&r, h.path, sizeof h.path);
	h.total = rd_u64le(&r);
	rd_lstr(&r, h.type, sizeof h.type);
	rd_lstr(&r, h.modified, sizeof h.modified);
	rd_lstr(&r, h.etag, sizeof h.etag);
	if (!rd_ok(&r) || !streq(magic, MAGIC) || h.total > INT64_MAX - CACHE_HEAD)
		return -EBADMSG;
	*ret = h;
	return 0;
}

int cache_head_put(uint8_t out[CACHE_HEAD], const struct cache_head *h)
{
	struct wr w = wr_mem(out, CACHE_HEAD);

	wr_lstr(&w, MAGIC);
	wr_lstr(&w, h->host);
	wr_u16le(&w, h->port);
	wr_lstr(&w, h->path);
	wr_u64le(&w, h->total);
	wr_lstr(&w, h->type);
	wr_lstr(&w, h->modified);
	wr_lstr(&w, h->etag);
	wr_zero(&w, CACHE_HEAD - w.len);
	return wr_ok(&w) ? 0 : -EMSGSIZE;
}

void cache_close(struct cache_file *f)
{
	fd_closep(&f->fd);
}

/* Reads head and length. false: nothing usable is in it. */
static bool read_state(struct cache_file *f, const struct http_url *u)
{
	uint8_t buf[CACHE_HEAD];
	struct stat st;

	f->has_head = false;
	f->have = 0;
	if (fstat(f->fd, &st) < 0 || st.st_size < CACHE_HEAD || pread(f->fd, buf, sizeof buf, 0) != CACHE_HEAD ||
	    cache_head_get(rd_mem(buf, sizeof buf), &f->head) < 0)
		return false;
	if (!streq(f->head.host, u->host) || f->head.port != u->port || !streq(f->head.path, u->path))
		return false;
	f->have = (uint64_t)st.st_size - CACHE_HEAD;
	f->has_head = f->have <= f->head.total;
	return f->has_head;
}

/* The name may have been given to another file while we waited for the lock of this one. */
static bool still_named(const struct cache *c, const char *name, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(c->dir, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static void part_name(const struct cache_file *f, char out[44])
{
	if (str_printf(out, 44, "%s~", f->name) < 0)
		abort();
}

/* 1 = found or begun; 0 = look again. */
static int open_part(const struct cache *c, const struct http_url *u, struct cache_file *f, struct err *e)
{
	char part[44];

	part_name(f, part);
	f->fd = openat(c->dir, part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (f->fd < 0)
		return err_errno(e, errno, "the cache of packages");
	if (flock(f->fd, LOCK_EX | LOCK_NB) < 0) {
		f->state = CACHE_THEIRS;
		(void)read_state(f, u);
		return 1;
	}
	f->state = CACHE_OURS;
	if (!still_named(c, part, f->fd)) {
		cache_close(f);
		return 0;
	}
	/* Whole, but whoever fetched it ended before its new name. */
	if (read_state(f, u) && f->have == f->head.total) {
		int r = cache_finish(c, f, e);

		return r < 0 ? r : 1;
	}
	if (!f->has_head && ftruncate(f->fd, 0) < 0)
		return err_errno(e, errno, "the cache of packages");
	return 1;
}

int cache_open(const struct cache *c, const struct http_request *q, bool again, struct cache_file *ret, struct err *e)
{
	int r = 0;

	*ret = (struct cache_file){ .fd = -1 };
	if (c->dir < 0)
		return -ENOENT;
	name_of(&q->url, ret->name);
	if (again)
		(void)unlinkat(c->dir, ret->name, 0);
	for (unsigned tries = 0; r == 0 && tries < 100; tries++) {
		ret->fd = openat(c->dir, ret->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (ret->fd >= 0) {
			ret->state = CACHE_WHOLE;
			if (read_state(ret, &q->url) && ret->have == ret->head.total) {
				/* what is used stays longest */
				(void)futimens(ret->fd, NULL);
				return 0;
			}
			cache_close(ret);
			(void)unlinkat(c->dir, ret->name, 0);
		}
		r = open_part(c, &q->url, ret, e);
	}
	if (r < 0)
		cache_close(ret);
	return r > 0 ? 0 : r < 0 ? r : -ENOENT;
}

struct entry {
	char name[44];
	struct timespec used;
	uint64_t size;
	bool part;
};

static int older(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	return (x->used.tv_nsec > y->used.tv_nsec) - (x->used.tv_nsec < y->used.tv_nsec);
}

static size_t list(const struct cache *c, struct entry **ret, uint64_t *ret_total)
{
	int fd = openat(c->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct entry *v = NULL;
	struct dirent *ent;
	struct stat st;
	size_t n = 0;

	while (d && n < ENTRIES_MAX && (ent = readdir(d))) {
		if (ent->d_name[0] == '.' || streq(ent->d_name, "lock") || strlen(ent->d_name) >= sizeof v->name ||
		    fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		v = xreallocarray(v, n + 1, sizeof *v);
		v[n] = (struct entry){ .used = st.st_mtim, .part = str_ends(ent->d_name, "~") };
		/* room that is reserved counts */
		v[n].size = MAX((uint64_t)st.st_blocks * 512, (uint64_t)st.st_size);
		if (str_copy(v[n].name, sizeof v[n].name, ent->d_name) < 0)
			continue;
		*ret_total += v[n++].size;
	}
	if (d)
		closedir(d);
	qsort(v, n, sizeof *v, older);
	*ret = v;
	return n;
}

/* What nobody fetches any more may go; a lock that is taken says that somebody does. */
static bool part_is_left(const struct cache *c, const struct entry *x)
{
	_cleanup_fd_ int fd = openat(c->dir, x->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static int make_room(const struct cache *c, uint64_t need, struct err *e)
{
	_cleanup_free_ struct entry *v = NULL;
	uint64_t total = 0;
	size_t n = list(c, &v, &total);
	time_t now = time(NULL);

	for (size_t i = 0; i < n; i++) {
		bool old = v[i].part && v[i].used.tv_sec + OLD_PART_S < now;

		if (!old && total + need <= c->max)
			continue;
		if (v[i].part && !part_is_left(c, &v[i]))
			continue;
		if (unlinkat(c->dir, v[i].name, 0) == 0)
			total -= MIN(total, v[i].size);
	}
	return total + need <= c->max ? 0 : err_set(e, ENOSPC, "the cache of packages is full");
}

int cache_begin(const struct cache *c, struct cache_file *f, const struct cache_head *h, struct err *e)
{
	_cleanup_fd_ int lock = -1;
	uint8_t head[CACHE_HEAD];
	int r = cache_head_put(head, h);

	if (r < 0 || h->total > c->max / 2)
		return err_set(e, EFBIG, "too large to be kept");
	lock = openat(c->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return err_errno(e, errno, "the cache of packages");
	r = make_room(c, h->total + CACHE_HEAD, e);
	if (r < 0)
		return r;
	/* Reserved at once, so that a full disk shows now and not in the middle; where the file system cannot, it is met later. */
	if (fallocate(f->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)(h->total + CACHE_HEAD)) < 0 && errno == ENOSPC)
		return err_errno(e, ENOSPC, "the cache of packages");
	if (ftruncate(f->fd, 0) < 0 || pwrite(f->fd, head, sizeof head, 0) != (ssize_t)sizeof head)
		return err_errno(e, errno, "the cache of packages");
	f->head = *h;
	f->has_head = true;
	f->have = 0;
	return 0;
}

int cache_append(struct cache_file *f, const void *p, size_t n, struct err *e)
{
	const uint8_t *s = p;

	if (n > f->head.total - f->have)
		return err_set(e, EBADMSG, "the server sends more than it announced");
	while (n) {
		ssize_t k = pwrite(f->fd, s, n, (off_t)(CACHE_HEAD + f->have));

		if (k <= 0)
			return err_errno(e, k < 0 ? errno : EIO, "the cache of packages");
		s += k;
		n -= (size_t)k;
		f->have += (uint64_t)k;
	}
	return 0;
}

int cache_finish(const struct cache *c, struct cache_file *f, struct err *e)
{
	char part[44];

	part_name(f, part);
	if (fsync(f->fd) < 0 || renameat(c->dir, part, c->dir, f->name) < 0 || fs_sync_dir(c->dir) < 0)
		return err_errno(e, errno, "the cache of packages");
	(void)flock(f->fd, LOCK_UN);
	f->state = CACHE_WHOLE;
	return 0;
}

void cache_drop(const struct cache *c, struct cache_file *f)
{
	char part[44];

	part_name(f, part);
	if (f->state == CACHE_OURS)
		(void)unlinkat(c->dir, part, 0);
	cache_close(f);
}

int cache_look(struct cache_file *f, struct err *e)
{
	struct http_url u = { 0 };
	struct stat st;

	if (!f->has_head) {
		/* the head is written in one piece; until then there is nothing to see */
		uint8_t buf[CACHE_HEAD];

		if (pread(f->fd, buf, sizeof buf, 0) == CACHE_HEAD && cache_head_get(rd_mem(buf, sizeof buf), &f->head) == 0) {
			memcpy(u.host, f->head.host, sizeof u.host);
			memcpy(u.path, f->head.path, sizeof u.path);
			u.port = f->head.port;
			(void)read_state(f, &u);
		}
	} else if (fstat(f->fd, &st) == 0 && st.st_size >= CACHE_HEAD) {
		f->have = MIN((uint64_t)st.st_size - CACHE_HEAD, f->head.total);
	}
	if (f->has_head && f->have == f->head.total)
		return 0;
	if (flock(f->fd, LOCK_EX | LOCK_NB) < 0)
		return 0;
	(void)flock(f->fd, LOCK_UN);
	return 1;
}
