/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Journal of a move. Records: u8 type, then for 'B' a path; for 'E' seven u64 and a name; for 'C' nothing. */
#include "agent/qfile/journal.h"

#include <fcntl.h>

#include "agent/qfile/place.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/rd.h"
#include "base/str.h"

#define JOURNAL_MAX (1u << 30)
#define FLUSH_AT (256u * 1024)

struct entry {
	uint64_t dev, ino, mode, nlink, size, mtime, ctime;
	char name[QFILE_PATH_MAX + 1];
};

static uint64_t nanoseconds(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec;
}

int journal_open(struct journal *j, const char *path, struct err *e)
{
	*j = (struct journal){ .fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600),
			       .w = wr_grow(FLUSH_AT + 128 * 1024) };
	return j->fd < 0 ? err_errno(e, errno, "creating the journal '%s'", path) : 0;
}

/* A failed write poisons the writer, and a poisoned journal is never committed. */
static void flush(struct journal *j, size_t above)
{
	if (j->w.len <= above || !wr_ok(&j->w))
		return;
	if (write_full(j->fd, j->w.buf, j->w.len) < 0)
		wr_fail(&j->w);
	else
		wr_reset(&j->w);
}

/* Absolute, so that the journal can be worked on later and from elsewhere. */
void journal_base(struct journal *j, const char *dir)
{
	_cleanup_free_ char *real = realpath(dir, NULL);

	if (!real) {
		wr_fail(&j->w);
		return;
	}
	wr_u8(&j->w, 'B');
	wr_lstr(&j->w, real);
}

void journal_entry(struct journal *j, const char *name, const struct stat *st)
{
	wr_u8(&j->w, 'E');
	wr_u64le(&j->w, st->st_dev);
	wr_u64le(&j->w, st->st_ino);
	wr_u64le(&j->w, st->st_mode);
	wr_u64le(&j->w, st->st_nlink);
	wr_u64le(&j->w, (uint64_t)st->st_size);
	wr_u64le(&j->w, nanoseconds(&st->st_mtim));
	wr_u64le(&j->w, nanoseconds(&st->st_ctim));
	wr_lstr(&j->w, name);
	flush(j, FLUSH_AT);
}

int journal_commit(struct journal *j, struct err *e)
{
	wr_u8(&j->w, 'C');
	flush(j, 0);
	if (!wr_ok(&j->w) || fsync(j->fd) < 0)
		return err_set(e, EIO, "the journal of the move cannot be written: nothing is deleted");
	return 0;
}

void journal_close(struct journal *j)
{
	fd_closep(&j->fd);
	wr_free(&j->w);
}

struct removal {
	void (*report)(const char *text, const char *path, void *arg);
	void *arg;
	bool again; /* an earlier run has deleted some already */
	int trash;
	unsigned n; /* number of the entry */
	int base; /* directory of the current group */
	char base_name[QFILE_PATH_MAX + 1];
	int kept;
	/* files of several names that lost one of them by us, which changes the time of the others */
	struct {
		uint64_t dev, ino;
	} *shared;
	size_t n_shared;
};

static void keep(struct removal *m, const char *text, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", m->base_name, name);

	m->kept++;
	m->report(text, path, m->arg);
}

static bool was_shared(const struct removal *m, const struct entry *x)
{
	for (size_t i = 0; i < m->n_shared; i++)
		if (m->shared[i].dev == x->dev && m->shared[i].ino == x->ino)
			return true;
	return false;
}

static bool unchanged(const struct removal *m, const struct entry *x, const struct stat *st)
{
	if (st->st_dev != x->dev || st->st_ino != x->ino || (st->st_mode & S_IFMT) != (x->mode & S_IFMT))
		return false;
	/* A directory changes as its content is removed; rmdir refuses one that is not empty. */
	if (S_ISDIR(st->st_mode))
		return true;
	if ((uint64_t)st->st_size != x->size || nanoseconds(&st->st_mtim) != x->mtime)
		return false;
	return nanoseconds(&st->st_ctim) == x->ctime || was_shared(m, x);
}

static int take_away(const struct removal *m, int dir, const char *base, bool is_dir)
{
	char number[16];

	if (m->trash < 0 || is_dir)
		return unlinkat(dir, base, is_dir ? AT_REMOVEDIR : 0);
	if (str_printf(number, sizeof number, "%u", m->n) < 0)
		abort(); /* a number fits */
	return renameat(dir, base, m->trash, number);
}

static const char *why_not(int code)
{
	if (code == EXDEV)
		return "it lies on another file system than your home, so its move could not be undone: it stays";
	return code == ENOTEMPTY || code == EEXIST ? "not empty, so it stays" : strerror(code);
}

static void remove_entry(struct removal *m, const struct entry *x)
{
	_cleanup_fd_ int dir = -1;
	const char *base;
	struct stat st;

	if (m->base < 0) {
		keep(m, "its folder is gone", x->name);
		return;
	}
	dir = place_parent_beneath(m->base, x->name, &base);
	if (m->again && (dir == -ENOENT || (dir >= 0 && faccessat(dir, base, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)))
		return;
	if (dir < 0 || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		keep(m, "not there any more", x->name);
		return;
	}
	if (!unchanged(m, x, &st)) {
		keep(m, "changed after it was sent, so it stays", x->name);
		return;
	}
	if (take_away(m, dir, base, S_ISDIR(st.st_mode)) < 0) {
		keep(m, why_not(errno), x->name);
		return;
	}
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1 && !was_shared(m, x)) {
		m->shared = xreallocarray(m->shared, m->n_shared + 1, sizeof *m->shared);
		m->shared[m->n_shared].dev = x->dev;
		m->shared[m->n_shared++].ino = x->ino;
	}
}

/* Reads one record: its type, or 0 at the end or when damaged. */
static int get_record(struct rd *r, struct entry *x)
{
	int type = rd_u8(r);

	if (!rd_ok(r) || type == 'C')
		return rd_ok(r) ? type : 0;
	if (type == 'E') {
		x->dev = rd_u64le(r);
		x->ino = rd_u64le(r);
		x->mode = rd_u64le(r);
		x->nlink = rd_u64le(r);
		x->size = rd_u64le(r);
		x->mtime = rd_u64le(r);
		x->ctime = rd_u64le(r);
	} else if (type != 'B') {
		rd_fail(r);
	}
	rd_lstr(r, x->name, sizeof x->name);
	return rd_ok(r) ? type : 0;
}

/* The whole journal is checked before the first deletion. */
static bool is_committed(struct rd r)
{
	_cleanup_free_ struct entry *x = xcalloc(1, sizeof *x);

	while (rd_left(&r)) {
		int type = get_record(&r, x);

		if (type == 'C')
			return rd_done(&r);
		if (type == 0)
			return false;
	}
	return false;
}

static void remove_all(struct removal *m, struct rd r)
{
	_cleanup_free_ struct entry *x = xcalloc(1, sizeof *x);

	for (;;) {
		int type = get_record(&r, x);

		if (type == 'E') {
			remove_entry(m, x);
			m->n++;
		} else if (type == 'B') {
			fd_closep(&m->base);
			m->base = open(x->name, O_PATH | O_DIRECTORY | O_CLOEXEC);
			memcpy(m->base_name, x->name, sizeof m->base_name);
		} else {
			return;
		}
	}
}

bool journal_is_committed(const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t n;

	return fs_read(AT_FDCWD, path, JOURNAL_MAX, &text, &n, NULL) == 0 && is_committed(rd_mem(text, n));
}

int journal_each(const char *path, int (*fn)(const struct journal_item *i, void *arg), void *arg, struct err *e)
{
	_cleanup_free_ struct entry *x = xcalloc(1, sizeof *x);
	_cleanup_free_ char *text = NULL, *base = NULL;
	struct journal_item i = { 0 };
	struct rd r;
	size_t n;
	int q = fs_read(AT_FDCWD, path, JOURNAL_MAX, &text, &n, e), type;

	if (q < 0)
		return q;
	r = rd_mem(text, n);
	if (!is_committed(r))
		return err_set(e, EBADMSG, "the journal of the move is not whole");
	while ((type = get_record(&r, x)) == 'B' || type == 'E') {
		if (type == 'B') {
			free(base);
			base = xstrdup(x->name);
			continue;
		}
		i = (struct journal_item){ .base = base ? base : "", .name = x->name, .mode = x->mode, .n = i.n };
		q = fn(&i, arg);
		if (q)
			return q;
		i.n++;
	}
	return 0;
}

int journal_remove(const char *path, bool again, int trash, void (*report)(const char *text, const char *path, void *arg), void *arg,
		   struct err *e)
{
	_cleanup_free_ struct removal *m = xcalloc(1, sizeof *m);
	_cleanup_free_ char *text = NULL;
	struct rd r;
	size_t n;
	int q = fs_read(AT_FDCWD, path, JOURNAL_MAX, &text, &n, e);

	if (q < 0)
		return q;
	r = rd_mem(text, n);
	if (!is_committed(r))
		return err_set(e, EBADMSG, "the receiver has not confirmed everything: nothing is deleted");
	m->report = report;
	m->arg = arg;
	m->again = again;
	m->trash = trash;
	m->base = -1;
	remove_all(m, r);
	fd_closep(&m->base);
	free(m->shared);
	return m->kept;
}
