/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records of earlier contents. */
#include "policyfile/undo.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/str.h"

struct records {
	char **v; /* sorted, oldest first */
	size_t n;
};

void pf_undo_make(char out[PATH_MAX], const char *policy_dir)
{
	if (str_printf(out, PATH_MAX, "%s.undo", policy_dir) < 0)
		abort();
	(void)!mkdir(out, 0700);
}

static int open_dir(const struct pf_store *s, bool make, struct err *e)
{
	_cleanup_free_ char *path = xasprintf("%s.undo", s->path);
	int fd;

	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "creating '%s'", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_errno(e, errno, "'%s'", path) : fd;
}

static bool is_record(const char *s)
{
	return strspn(s, "0123456789") == 8 && s[8] == '@' && s[9];
}

static int name_cmp(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static void records_fini(struct records *r)
{
	pf_names_free(r->v, r->n);
}

static int read_records(int dir, struct records *ret, struct err *e)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *ent;

	if (!d) {
		fd_closep(&fd);
		return err_errno(e, errno, "records of changes");
	}
	while ((ent = readdir(d))) {
		if (!is_record(ent->d_name))
			continue;
		ret->v = xreallocarray(ret->v, ret->n + 1, sizeof(*ret->v));
		ret->v[ret->n++] = xstrdup(ent->d_name);
	}
	closedir(d);
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), name_cmp);
	return 0;
}

/* '/' and '+' change places: names have no '+'. */
static void swap(char *s)
{
	for (; *s; s++)
		*s = *s == '/' ? '+' : *s == '+' ? '/' : *s;
}

int pf_undo_keep(const struct pf_store *s, const char *name, const char *text, size_t len, struct err *e)
{
	_cleanup_(records_fini) struct records all = { 0 };
	_cleanup_fd_ int dir = open_dir(s, true, e);
	_cleanup_free_ char *file = NULL, *flat = xstrdup(name);
	unsigned long next = 0;
	int r;

	if (dir < 0)
		return dir;
	r = read_records(dir, &all, e);
	if (r < 0)
		return r;
	if (all.n)
		next = strtoul(all.v[all.n - 1], NULL, 10) + 1;
	swap(flat);
	file = xasprintf("%08lu@%s%s", next, flat, text ? "" : "@new");
	r = fs_write_atomic(dir, file, text ? text : "", len, 0660, e);
	for (size_t i = 0; r == 0 && i + PF_UNDO_KEPT <= all.n; i++)
		(void)unlinkat(dir, all.v[i], 0);
	return r;
}

int pf_undo_last(const struct pf_store *s, const char *name, char **ret_record, char **ret_name, char **ret_text, size_t *ret_len,
		 struct err *e)
{
	_cleanup_(records_fini) struct records all = { 0 };
	_cleanup_fd_ int dir = open_dir(s, false, NULL);
	int r = dir < 0 ? 0 : read_records(dir, &all, e);

	if (r < 0)
		return r;
	for (size_t i = all.n; i-- > 0;) {
		_cleanup_free_ char *file = xstrdup(all.v[i] + 9);
		bool was_new = str_ends(file, "@new");

		if (was_new)
			file[strlen(file) - strlen("@new")] = '\0';
		swap(file);
		if ((name && !streq(file, name)) || pf_name_check(file, NULL) < 0)
			continue;
		*ret_text = NULL;
		*ret_len = 0;
		if (!was_new)
			r = fs_read(dir, all.v[i], POL_FILE_MAX, ret_text, ret_len, e);
		if (r < 0)
			return r;
		*ret_record = xstrdup(all.v[i]);
		*ret_name = STEAL_PTR(file);
		return 0;
	}
	return name ? err_set(e, ENOENT, "no change of '%s' is kept", name) : err_set(e, ENOENT, "no change is kept");
}

int pf_undo_drop(const struct pf_store *s, const char *record, struct err *e)
{
	_cleanup_fd_ int dir = open_dir(s, false, e);

	if (dir < 0)
		return dir;
	return unlinkat(dir, record, 0) < 0 ? err_errno(e, errno, "dropping a record of changes") : 0;
}
