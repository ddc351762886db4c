/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A look at what is going to be sent, with the eyes of the receiver. */
#include <fcntl.h>

#include "agent/qfile/pack.h"
#include "agent/qfile/walk.h"
#include "base/str.h"
#include "proto/qfile.h"

struct surveyor {
	struct qfile_survey *s;
	struct err *e;
	char target[QFILE_PATH_MAX + 1];
};

static int refuse(const struct surveyor *v, int code, const char *name, const char *what, const char *advice)
{
	char shown[200];

	return err_set(v->e, code, "'%s' %s: %s", str_escape(shown, sizeof shown, name, strlen(name)), what, advice);
}

static int bad_name(const struct surveyor *v, const char *name, const char *what)
{
	return refuse(v, EILSEQ, name, what, "rename it, or use --allow-all-names if the other qube may get such names");
}

static int look_at_link(struct surveyor *v, int dir, const char *base, const char *name)
{
	ssize_t n = readlinkat(dir, base, v->target, sizeof v->target);

	if (n < 0 || (size_t)n == sizeof v->target)
		return refuse(v, n < 0 ? errno : ENAMETOOLONG, name, "is a symbolic link that cannot be read", strerror(n < 0 ? errno : ENAMETOOLONG));
	switch (qfile_link_check(name, v->target, (size_t)n, v->s->name_flags)) {
	case 0:
		return 0;
	case EILSEQ:
		return bad_name(v, name, "is a symbolic link whose target could mislead a reader on the other side");
	default:
		break;
	}
	if (!strchr(name, '/'))
		return refuse(v, ENOLINK, name, "is a symbolic link by itself, and those are only taken inside a folder",
			      "name what it leads to instead");
	return refuse(v, ENOLINK, name, "is a symbolic link that leads out of what is copied",
		      "copy what it leads to, or leave links out with --ignore-symlinks");
}

static int look_at(enum walk_step step, int dir, const char *base, const char *name, int fd, const struct stat *st, void *arg)
{
	struct surveyor *v = arg;

	if (step == WALK_DIR_AFTER || (step == WALK_LINK && v->s->ignore_links))
		return 0;
	v->s->entries++;
	switch (qfile_name_check(name, strlen(name), v->s->name_flags)) {
	case 0:
		break;
	case EILSEQ:
		return bad_name(v, name, "has characters in its name that could mislead a reader on the other side");
	default:
		return refuse(v, ENAMETOOLONG, name, "has too long a name", "rename it or its folders");
	}
	if (step == WALK_LINK)
		return look_at_link(v, dir, base, name);
	if (step != WALK_FILE)
		return 0;
	v->s->bytes += (uint64_t)st->st_size;
	if (faccessat(dir, base, R_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) < 0 && errno == EACCES)
		return refuse(v, EACCES, name, "cannot be read", "change its permissions, or leave it out");
	return 0;
}

int qfile_survey(struct qfile_survey *s, char *const *paths, size_t n, struct err *e)
{
	_cleanup_free_ struct surveyor *v = xcalloc(1, sizeof *v);
	struct err own = { 0 };
	struct walk w = { .fn = look_at, .arg = v };
	int r = 0;

	s->bytes = s->entries = 0;
	v->s = s;
	v->e = e ? e : &own;
	for (size_t i = 0; i < n && r == 0; i++)
		r = walk_path(&w, paths[i], v->e);
	return r;
}
