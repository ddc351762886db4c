/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The walk. */
#include "agent/qfile/walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>

#include "base/str.h"
#include "proto/qfile.h"

/* Each level holds a descriptor; more levels than this are an error, not a crash. */
#define DEPTH_MAX 2000

struct state {
	const struct walk *w;
	struct err *e;
	char name[QFILE_PATH_MAX + 1];
	size_t len;
	unsigned depth;
};

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int fail(struct state *s, const char *what)
{
	char shown[300];
	int code = errno;

	return err_errno(s->e, code, "%s '%s'", what, str_escape(shown, sizeof shown, s->name, s->len));
}

static int skip(const struct state *s)
{
	if (s->w->skipped)
		s->w->skipped(s->name, s->w->arg);
	return 0;
}

static int visit(struct state *s, int dir, const char *base, unsigned char type);

/* fd is the directory of d. */
static int visit_content(struct state *s, int fd, DIR *d)
{
	size_t len = s->len;
	int r = 0;

	while (r == 0) {
		struct dirent *ent;
		size_t n;

		errno = 0;
		ent = readdir(d);
		if (!ent)
			return errno ? fail(s, "reading") : 0;
		if (streq(ent->d_name, ".") || streq(ent->d_name, ".."))
			continue;
		n = strlen(ent->d_name);
		if (len + 1 + n >= sizeof s->name) {
			errno = ENAMETOOLONG;
			return fail(s, "in");
		}
		s->name[len] = '/';
		memcpy(s->name + len + 1, ent->d_name, n + 1);
		s->len = len + 1 + n;
		r = visit(s, fd, s->name + len + 1, ent->d_type);
		s->len = len;
		s->name[len] = '\0';
	}
	return r;
}

/* Takes *fd over. */
static int visit_dir(struct state *s, int dir, const char *base, int *fd, const struct stat *st)
{
	_cleanup_(closedirp) DIR *d = NULL;
	int r, at = *fd;

	if (s->depth >= DEPTH_MAX) {
		errno = ELOOP;
		return fail(s, "too many nested folders in");
	}
	r = s->w->fn(WALK_DIR_BEFORE, dir, base, s->name, at, st, s->w->arg);
	if (r)
		return r;
	d = fdopendir(at);
	if (!d)
		return fail(s, "reading");
	*fd = -1;
	s->depth++;
	r = visit_content(s, at, d);
	s->depth--;
	return r ? r : s->w->fn(WALK_DIR_AFTER, dir, base, s->name, at, st, s->w->arg);
}

static int visit(struct state *s, int dir, const char *base, unsigned char type)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	/* A regular file that is read anyway needs no look before it is opened. */
	if (type != DT_REG || !s->w->open_files) {
		if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return fail(s, "looking at");
		if (S_ISLNK(st.st_mode))
			return s->w->fn(WALK_LINK, dir, base, s->name, -1, &st, s->w->arg);
		if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
			return skip(s);
		if (S_ISREG(st.st_mode) && !s->w->open_files)
			return s->w->fn(WALK_FILE, dir, base, s->name, -1, &st, s->w->arg);
	}
	/* O_NONBLOCK: should it have become a fifo meanwhile, opening does not wait. */
	fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(s, "opening");
	if (S_ISDIR(st.st_mode))
		return visit_dir(s, dir, base, &fd, &st);
	if (!S_ISREG(st.st_mode))
		return skip(s);
	return s->w->fn(WALK_FILE, dir, base, s->name, fd, &st, s->w->arg);
}

/* Splits into a directory and a last component that names an entry; "." and "dir/.." are resolved first. */
static int split(const char *path, char **ret_dir, char *base, size_t cap, struct err *e)
{
	_cleanup_free_ char *p = xstrdup(path);
	const char *last;
	size_t n = strlen(p);
	char *slash;

	while (n > 1 && p[n - 1] == '/')
		p[--n] = '\0';
	slash = strrchr(p, '/');
	last = slash ? slash + 1 : p;
	if (streq(last, ".") || streq(last, "..") || !*last) {
		char *real = realpath(path, NULL);

		if (!real)
			return err_errno(e, errno, "'%s'", path);
		free(p);
		p = real;
		slash = strrchr(p, '/');
		last = slash + 1;
	}
	if (!*last)
		return err_set(e, EINVAL, *path ? "the root directory cannot be copied" : "an empty file name");
	if (str_copy(base, cap, last) < 0)
		return err_set(e, ENAMETOOLONG, "'%s'", path);
	if (!slash)
		*ret_dir = xstrdup(".");
	else
		*ret_dir = slash == p ? xstrdup("/") : xstrndup(p, (size_t)(slash - p));
	return 0;
}

void walk_raise_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
}

int walk_path(const struct walk *w, const char *path, struct err *e)
{
	_cleanup_free_ struct state *s = xcalloc(1, sizeof *s);
	_cleanup_free_ char *dir = NULL;
	_cleanup_fd_ int fd = -1;
	char base[NAME_MAX + 1];
	int r = split(path, &dir, base, sizeof base, e);

	if (r < 0)
		return r;
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "opening '%s'", dir);
	if (w->group)
		w->group(dir, w->arg);
	s->w = w;
	s->e = e;
	s->len = strlen(base);
	memcpy(s->name, base, s->len + 1);
	return visit(s, fd, base, DT_UNKNOWN);
}
