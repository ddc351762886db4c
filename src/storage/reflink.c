/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Driver file-reflink: raw images on a file system that shares extents (XFS, btrfs). Names (specs: file-reflink of the reference):
 * X.img committed, X-dirty.img in use, X-import.img being filled, X.img.<n>@<time>Z revisions, any of them with ~ not finished.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "base/fsx.h"
#include "base/str.h"
#include "storage/vol.h"

#define REVISIONS_MAX 128

struct names {
	char clean[96], dirty[96];
};

struct revision {
	uint64_t n;
	char id[40]; /* n@time */
};

struct revisions {
	const struct vol *v;
	struct revision r[REVISIONS_MAX];
	size_t n;
};

static void names_of(const struct vol *v, struct names *n)
{
	if (str_printf(n->clean, sizeof n->clean, "%s.img", v->name) < 0 ||
	    str_printf(n->dirty, sizeof n->dirty, "%s-dirty.img", v->name) < 0)
		abort(); /* name is at most 63 bytes */
}

static int probe(const char *pool_dir, struct err *e)
{
	_cleanup_fd_ int a = open(pool_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	_cleanup_fd_ int b = open(pool_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (a < 0 || b < 0) {
		if (errno == EOPNOTSUPP || errno == EISDIR)
			goto no;
		return err_errno(e, errno, "pool '%s'", pool_dir);
	}
	if (pwrite(a, "abc", 3, 0) != 3)
		return err_errno(e, errno, "writing to pool '%s'", pool_dir);
	if (ioctl(b, FICLONE, a) == 0)
		return 1;
no:
	(void)err_set(e, ENOTSUP, "the file system of %s cannot share blocks: use driver file-qcow2", pool_dir);
	return 0;
}

static bool owns(const char *name, const char *file)
{
	size_t n = strlen(name);

	if (strncmp(file, name, n) != 0)
		return false;
	file += n;
	return str_starts(file, ".img") || str_starts(file, "-dirty.img") || str_starts(file, "-import.img") ||
	       str_starts(file, "-export-");
}

/* Makes `to` a copy of file `from` of directory `dir`, with the same time, durable. */
static int copy_file(const struct vol *from_vol, const char *from, const struct vol *v, const char *to, bool stamp,
		     struct err *e)
{
	_cleanup_fd_ int src = fs_open_beneath(from_vol->dir, from, O_RDONLY, 0, e);
	_cleanup_fd_ int dst = -1;
	char temp[160];
	struct stat st;
	int r;

	if (src < 0)
		return src;
	if (fstat(src, &st) < 0)
		return err_errno(e, errno, "'%s'", from);
	dst = vol_temp(v, to, temp, e);
	if (dst < 0)
		return dst;
	r = vol_copy_sparse(src, dst, e);
	if (r >= 0)
		r = stamp ? vol_stamp(dst, NULL, e) : vol_keep_time(dst, &st.st_mtim, e);
	return r < 0 ? r : vol_publish(v, dst, temp, to, e);
}

static int remove_all(struct vol *v, struct err *e)
{
	return vol_remove(v, owns, e);
}

static int create(struct vol *v, uint64_t size, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct names n;
	struct stat st;
	char temp[160];

	names_of(v, &n);
	if (vol_stat(v, n.clean, &st)) {
		if ((uint64_t)st.st_size == size)
			return 0;
		return err_set(e, EEXIST, "exists with another size");
	}
	fd = vol_temp(v, n.clean, temp, e);
	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)size) < 0)
		return err_errno(e, errno, "creating an image of %llu bytes", (unsigned long long)size);
	return vol_publish(v, fd, temp, n.clean, e);
}

/* The committed state, which is away while the volume runs without snapshots. */
static int clean_stat(const struct vol *v, struct stat *ret, struct err *e)
{
	struct names n;
	struct stat st;

	names_of(v, &n);
	if (vol_stat(v, n.clean, ret))
		return 0;
	if (vol_stat(v, n.dirty, &st))
		return err_set(e, EBUSY, "runs without snapshots (revisions_to_keep is -1): its state can be had when it has stopped");
	return err_set(e, ENOENT, "has no image '%s'", n.clean);
}

static int layer(const struct vol *v, const char *file, struct st_reply *ret, struct err *e)
{
	ret->n_layers = 1;
	ret->layers[0].format = VM_FMT_RAW;
	if (str_printf(ret->layers[0].path, sizeof ret->layers[0].path, "%s/%s", v->rel, file) < 0)
		return err_set(e, ENAMETOOLONG, "path of the volume is too long");
	return 0;
}

static int fill(const struct vol *v, struct st_reply *ret, struct err *e)
{
	struct names n;
	struct stat st, dirty;
	int r;

	names_of(v, &n);
	ret->dirty = vol_stat(v, n.dirty, &dirty);
	r = clean_stat(v, &st, ret->dirty ? NULL : e);
	if (r < 0 && !ret->dirty)
		return r;
	if (r >= 0) {
		ret->size = (uint64_t)st.st_size;
		ret->usage = (uint64_t)st.st_blocks * 512;
	}
	if (ret->dirty) {
		ret->usage += (uint64_t)dirty.st_blocks * 512;
		ret->size = (uint64_t)dirty.st_size;
	}
	return r < 0 ? 0 : vol_identity(&st, ret->head, sizeof ret->head);
}

/* The committed state of a source counts, whether it runs or not. */
static int snapshot(const struct vol *src, const char *clean, struct st_reply *ret, struct err *e)
{
	struct stat st;
	int r = clean_stat(src, &st, e);

	if (r < 0)
		return err_add(e, r, "source");
	ret->size = (uint64_t)st.st_size;
	ret->usage = (uint64_t)st.st_blocks * 512;
	if (vol_identity(&st, ret->head, sizeof ret->head) < 0)
		return err_set(e, EINVAL, "the time of '%s' is not valid", clean);
	return layer(src, clean, ret, e);
}

static int start(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	_cleanup_(vol_fini) struct vol src = VOL_INIT;
	struct names n;
	int r;

	if (q->snap_on_start) {
		r = vol_open(&src, q->pool_dir, q->source, false, e);
		names_of(&src, &n);
		return r < 0 ? r : snapshot(&src, n.clean, ret, e);
	}
	names_of(v, &n);
	r = fill(v, ret, e);
	if (r < 0)
		return r;
	if (!q->rw || !q->save_on_stop)
		return layer(v, ret->head[0] ? n.clean : n.dirty, ret, e);
	/* What a crash left in use is continued, not thrown away. */
	if (!ret->dirty && q->revisions_to_keep < 0)
		r = vol_rename(v, n.clean, n.dirty, e);
	else if (!ret->dirty)
		r = copy_file(v, n.clean, v, n.dirty, false, e);
	ret->dirty = true;
	return r < 0 ? r : layer(v, n.dirty, ret, e);
}

static int add_revision(const char *file, void *arg)
{
	struct revisions *l = arg;
	size_t n = strlen(l->v->name);
	struct revision rev;
	const char *at;
	char num[24];

	if (strncmp(file, l->v->name, n) != 0 || !str_starts(file + n, ".img."))
		return 0;
	file += n + 5;
	at = strchr(file, '@');
	if (!at || strchr(file, '~') || str_copy(rev.id, sizeof rev.id, file) < 0 ||
	    str_printf(num, sizeof num, "%.*s", (int)(at - file), file) < 0 || str_u64(num, UINT32_MAX, &rev.n) < 0)
		return 0;
	if (l->n < REVISIONS_MAX)
		l->r[l->n++] = rev;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct revision *x = a, *y = b;

	return (x->n > y->n) - (x->n < y->n);
}

static int list(const struct vol *v, struct revisions *l, struct err *e)
{
	int r;

	*l = (struct revisions){ .v = v };
	r = vol_list(v, add_revision, l, e);
	qsort(l->r, l->n, sizeof l->r[0], by_number);
	return r;
}

static void revision_file(const struct vol *v, const char *id, char out[160])
{
	if (str_printf(out, 160, "%s.img.%s", v->name, id) < 0)
		abort(); /* 63 + 5 + 39 bytes */
}

static int prune(const struct vol *v, int32_t keep, struct err *e)
{
	struct revisions l;
	int r = list(v, &l, e);
	size_t max = keep > 0 ? (size_t)keep : 0;

	for (size_t i = 0; r >= 0 && l.n > max && i < l.n - max; i++) {
		char file[160];

		revision_file(v, l.r[i].id, file);
		r = vol_unlink(v, file, e);
	}
	return r;
}

/* The committed state as a new revision, unless the newest one already is that state (a repeated request). */
static int keep_current(const struct vol *v, int32_t keep, struct err *e)
{
	struct revisions l;
	struct names n;
	struct stat st, old;
	struct tm tm;
	char file[160], id[40], when[24];
	int r = list(v, &l, e);

	names_of(v, &n);
	if (r < 0 || keep <= 0)
		return r;
	if (!vol_stat(v, n.clean, &st))
		return err_set(e, ENOENT, "has no image '%s'", n.clean);
	if (l.n) {
		revision_file(v, l.r[l.n - 1].id, file);
		if (vol_stat(v, file, &old) && old.st_mtim.tv_sec == st.st_mtim.tv_sec &&
		    old.st_mtim.tv_nsec == st.st_mtim.tv_nsec)
			return 0;
	}
	if (!gmtime_r(&st.st_mtim.tv_sec, &tm) || !strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm) ||
	    str_printf(id, sizeof id, "%llu@%sZ", (unsigned long long)(l.n ? l.r[l.n - 1].n + 1 : 1), when) < 0)
		return err_set(e, EINVAL, "the time of '%s' is not valid", n.clean);
	revision_file(v, id, file);
	return copy_file(v, n.clean, v, file, false, e);
}

/* Commits `file` of the directory: revision, data, stamp, rename. */
static int commit(const struct vol *v, const char *file, int32_t keep, struct err *e)
{
	_cleanup_fd_ int fd = fs_open_beneath(v->dir, file, O_RDWR, 0, e);
	struct names n;
	struct stat st;
	int r;

	names_of(v, &n);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "'%s'", file);
	r = vol_stat(v, n.clean, &st) ? keep_current(v, keep, e) : 0;
	if (r >= 0)
		r = vol_stamp(fd, &st.st_mtim, e);
	if (r >= 0)
		r = vol_publish(v, fd, file, n.clean, e);
	return r < 0 ? r : prune(v, keep, e);
}

static int stop(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	struct names n;
	struct stat st;
	int r = 0;

	names_of(v, &n);
	if (q->ok && vol_stat(v, n.clean, &st))
		r = vol_unlink(v, n.dirty, e);
	else if (vol_stat(v, n.dirty, &st))
		r = commit(v, n.dirty, q->revisions_to_keep, e);
	else
		r = prune(v, q->revisions_to_keep, e);
	return r < 0 ? r : fill(v, ret, e);
}

static int not_in_use(const struct vol *v, struct err *e)
{
	struct names n;
	struct stat st;

	names_of(v, &n);
	if (vol_stat(v, n.dirty, &st))
		return err_set(e, EBUSY, "is in use, or was not stopped cleanly: start and stop its qube first");
	return 0;
}

static int clone(struct vol *v, const struct st_request *q, struct err *e)
{
	_cleanup_(vol_fini) struct vol src = VOL_INIT;
	struct names from, to;
	struct stat st;
	char file[96];
	int r = vol_open(&src, q->pool_dir, q->source, false, e);

	if (r >= 0)
		r = not_in_use(v, e);
	if (r >= 0)
		r = clean_stat(&src, &st, e);
	if (r < 0)
		return r;
	names_of(&src, &from);
	names_of(v, &to);
	if (!vol_stat(v, to.clean, &st))
		return copy_file(&src, from.clean, v, to.clean, true, e);
	r = copy_file(&src, from.clean, v, vol_import_name(v, file), false, e);
	return r < 0 ? r : commit(v, file, q->revisions_to_keep, e);
}

static int resize(struct vol *v, uint64_t size, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct names n;
	struct stat st;
	int r;

	names_of(v, &n);
	r = not_in_use(v, e);
	if (r < 0)
		return r;
	fd = fs_open_beneath(v->dir, n.clean, O_RDWR, 0, e);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "'%s'", n.clean);
	if ((uint64_t)st.st_size > size)
		return err_set(e, EINVAL, "cannot be made smaller than %llu bytes", (unsigned long long)st.st_size);
	if (ftruncate(fd, (off_t)size) < 0)
		return err_errno(e, errno, "resizing '%s'", n.clean);
	r = vol_keep_time(fd, &st.st_mtim, e);
	if (r >= 0 && fsync(fd) < 0)
		r = err_errno(e, errno, "resizing '%s'", n.clean);
	return r;
}

static int import(struct vol *v, const struct st_request *q, struct err *e)
{
	char file[96];
	int r = not_in_use(v, e);

	return r < 0 ? r : commit(v, vol_import_name(v, file), q->revisions_to_keep, e);
}

static int info(struct vol *v, struct st_reply *ret, struct err *e)
{
	return fill(v, ret, e);
}

static int revisions(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	struct wr w = wr_mem(ret->text, sizeof ret->text);
	struct revisions l;
	int r = list(v, &l, e);

	for (size_t i = 0; r >= 0 && i < l.n; i++)
		wr_printf(&w, "%s\n", l.r[i].id);
	wr_u8(&w, 0);
	if (r >= 0 && !wr_ok(&w))
		r = err_set(e, EMSGSIZE, "has too many revisions");
	return r < 0 ? r : fill(v, ret, e);
}

static int revert(struct vol *v, const struct st_request *q, struct err *e)
{
	struct stat st;
	char file[160];
	int r = not_in_use(v, e);

	if (r < 0)
		return r;
	revision_file(v, q->revision, file);
	if (!q->revision[0] || !vol_stat(v, file, &st))
		return err_set(e, ENOENT, "has no revision '%s'", q->revision);
	/* The current state becomes a revision even when none are kept usually: a revert can be taken back. */
	return commit(v, file, MAX(q->revisions_to_keep, 1), e);
}

static int export_begin(struct vol *v, const char *file, struct st_reply *ret, struct err *e)
{
	struct names n;
	struct stat st;
	int r = clean_stat(v, &st, e);

	names_of(v, &n);
	ret->size = r < 0 ? 0 : (uint64_t)st.st_size;
	return r < 0 ? r : copy_file(v, n.clean, v, file, false, e);
}

const struct pool_ops pool_reflink = {
	.probe = probe,
	.owns = owns,
	.create = create,
	.remove = remove_all,
	.start = start,
	.stop = stop,
	.clone = clone,
	.resize = resize,
	.import_begin = vol_import_begin,
	.import = import,
	.import_drop = vol_import_drop,
	.info = info,
	.revisions = revisions,
	.revert = revert,
	.export_begin = export_begin,
	.sweep = vol_dirs_sweep,
	.usage = vol_dirs_usage,
};
