/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Policy directories on disk, and the overlay of edits. */
#include "policyfile/dirs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "base/str.h"

void pf_dirs_default(struct pf_dirs *d)
{
	d->dirs[0] = path_get(PATH_POLICY_RUN);
	d->dirs[1] = path_get(PATH_POLICY_ETC);
	d->n_dirs = 2;
	d->legacy = path_get(PATH_POLICY_LEGACY);
}

char *pf_clean(const char *path)
{
	char *out = xmalloc(strlen(path) + 2);
	size_t n = 0;

	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && path[0] == '.' && path[1] == '.') {
			while (n && out[--n] != '/')
				;
		} else if (len && !(len == 1 && path[0] == '.')) {
			out[n++] = '/';
			memcpy(out + n, path, len);
			n += len;
		}
		path += len + (path[len] == '/');
	}
	out[n] = '\0';
	return out;
}

static struct pf_edit *find(const struct pf_dirs *d, const char *path)
{
	_cleanup_free_ char *clean = d->n_edits ? pf_clean(path) : NULL;

	for (size_t i = 0; i < d->n_edits; i++)
		if (streq(d->edits[i].path, clean))
			return &d->edits[i];
	return NULL;
}

void pf_overlay(struct pf_dirs *d, const char *path, const char *text, size_t len)
{
	struct pf_edit *x = find(d, path);

	if (!x) {
		d->edits = xreallocarray(d->edits, d->n_edits + 1, sizeof(*d->edits));
		x = &d->edits[d->n_edits++];
		*x = (struct pf_edit){ .path = pf_clean(path) };
	}
	free(x->text);
	x->text = NULL;
	x->len = len;
	if (text) {
		x->text = xmalloc(len + 1);
		memcpy(x->text, text, len);
		x->text[len] = '\0';
	}
}

void pf_overlay_drop(struct pf_dirs *d, const char *path)
{
	struct pf_edit *x = find(d, path);

	if (!x)
		return;
	free(x->path);
	free(x->text);
	*x = d->edits[--d->n_edits];
	if (d->n_edits == 0)
		pf_dirs_fini(d);
}

void pf_dirs_fini(struct pf_dirs *d)
{
	for (size_t i = 0; i < d->n_edits; i++) {
		free(d->edits[i].path);
		free(d->edits[i].text);
	}
	free(d->edits);
	d->edits = NULL;
	d->n_edits = 0;
}

void pf_names_free(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

struct names {
	char **v;
	size_t n;
};

static void add_name(struct names *x, const char *name)
{
	x->v = xreallocarray(x->v, x->n + 1, sizeof(*x->v));
	x->v[x->n++] = xstrdup(name);
}

/* Names of the overlay that stand directly in the directory and are not on disk. */
static void add_edited(const struct pf_dirs *d, const char *path, struct names *x)
{
	_cleanup_free_ char *dir = d->n_edits ? pf_clean(path) : NULL;

	for (size_t i = 0; i < d->n_edits; i++) {
		const char *slash = strrchr(d->edits[i].path, '/');
		bool there = false;

		if (!d->edits[i].text || (size_t)(slash - d->edits[i].path) != strlen(dir) || !str_starts(d->edits[i].path, dir))
			continue;
		for (size_t k = 0; k < x->n; k++)
			there = there || streq(x->v[k], slash + 1);
		if (!there)
			add_name(x, slash + 1);
	}
}

static bool hidden(const struct pf_dirs *d, const char *dir, const char *name)
{
	_cleanup_free_ char *full = xasprintf("%s/%s", dir, name);
	const struct pf_edit *x = find(d, full);

	return x && !x->text;
}

static int read_names(const struct pf_dirs *d, const char *path, DIR *dir, struct names *x)
{
	struct dirent *ent;

	while ((errno = 0, ent = readdir(dir))) {
		struct stat st;

		if (fstatat(dirfd(dir), ent->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode) || hidden(d, path, ent->d_name))
			continue;
		if (d->bad_names_ok && pol_file_name_ok(ent->d_name) < 0)
			continue;
		add_name(x, ent->d_name);
	}
	return -errno;
}

int pf_list(const struct pf_dirs *d, const char *path, char ***ret, size_t *ret_n, struct err *e)
{
	struct names x = { 0 };
	DIR *dir = opendir(path);
	int r = 0;

	if (!dir && !(errno == ENOENT && d->missing_ok))
		return err_errno(e, errno, "policy directory '%s'", path);
	if (dir) {
		r = read_names(d, path, dir, &x);
		closedir(dir);
	}
	if (r < 0) {
		pf_names_free(x.v, x.n);
		return err_errno(e, -r, "reading policy directory '%s'", path);
	}
	add_edited(d, path, &x);
	*ret = x.v;
	*ret_n = x.n;
	return 0;
}

int pf_text(const struct pf_dirs *d, const char *path, char **ret, size_t *ret_len, struct err *e)
{
	const struct pf_edit *x = find(d, path);

	if (!x)
		return fs_read(AT_FDCWD, path, POL_FILE_MAX, ret, ret_len, e);
	if (!x->text)
		return err_set(e, ENOENT, "no such file");
	*ret = xmalloc(x->len + 1);
	memcpy(*ret, x->text, x->len + 1);
	*ret_len = x->len;
	return 0;
}

static const char *dir_name(void *arg, int dir)
{
	const struct pf_dirs *d = arg;

	return dir == POL_DIR_LEGACY ? d->legacy ? d->legacy : "" : d->dirs[dir];
}

static char *full_path(struct pf_dirs *d, int dir, const char *path)
{
	if (path[0] == '/')
		return xstrdup(path);
	if (streq(path, "."))
		return xstrdup(dir_name(d, dir));
	return xasprintf("%s/%s", dir_name(d, dir), path);
}

static int load_text(void *arg, int dir, const char *path, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *full = full_path(arg, dir, path);

	return pf_text(arg, full, ret, ret_len, e);
}

static int load_list(void *arg, int dir, const char *path, char ***ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ char *full = full_path(arg, dir, path);

	return pf_list(arg, full, ret, ret_n, e);
}

void pf_loader(struct pol_loader *ret, struct pf_dirs *d)
{
	*ret = (struct pol_loader){ .arg = d, .text = load_text, .list = load_list, .dir_name = dir_name };
}

int pf_load(struct policy **ret, struct pf_dirs *d, struct err *e)
{
	struct pol_loader l;

	pf_loader(&l, d);
	return policy_load(ret, &l, d->n_dirs, e);
}
