/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-policy lint: directories that are missing or open to others, files that are not read. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tool/qvm-policy-lint.h"

#define DEPTH_MAX 4

static void mode(struct lint *l, const char *path, const struct stat *st)
{
	if (st->st_mode & S_IWOTH)
		lint_add(l, SEV_ERROR, "writable", path, 0, "every user may change this %s and so the policy: run chmod o-w on it",
			 S_ISDIR(st->st_mode) ? "directory" : "file");
	if (st->st_uid != 0 && st->st_uid != geteuid())
		lint_add(l, SEV_WARNING, "owner", path, 0, "belongs to user %u, who can change the policy: run chown on it", (unsigned)st->st_uid);
}

static bool is_read(const struct lint *l, const char *path)
{
	_cleanup_free_ char *want = pf_clean(path);

	for (size_t i = 0; l->p->policy && i < l->p->policy->n_files; i++) {
		_cleanup_free_ char *have = pf_clean(l->p->policy->files[i]);

		if (streq(want, have))
			return true;
	}
	return false;
}

static bool is_readme(const char *name)
{
	return str_starts(name, "README") || str_ends(name, ".md");
}

/* A file of the same name in a directory of higher precedence. */
static const char *shadow(const struct lint *l, int dir, const char *name)
{
	for (int i = 0; i < dir; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", l->p->dirs.dirs[i], name);

		if (access(path, F_OK) == 0)
			return l->p->dirs.dirs[i];
	}
	return NULL;
}

static void top_file(struct lint *l, int dir, const char *path, const char *name)
{
	int ok = pol_file_name_ok(name);
	const char *other;

	if (ok < 0) {
		lint_add(l, SEV_ERROR, "file-name", path, 0, "a policy file's name may only have a-z 0-9 _ . -: every call is refused until it is renamed");
	} else if (ok == 0 && !is_readme(name) && !is_read(l, path) && name[0] != '.') {
		lint_add(l, SEV_WARNING, "not-read", path, 0,
			 "is not read because its name does not end in .policy: rename it, include it, or move it away");
	} else if (ok > 0 && (other = shadow(l, dir, name))) {
		lint_add(l, SEV_WARNING, "not-read", path, 0, "is not read because %s has a file of the same name: rename one of them", other);
	}
}

static void walk(struct lint *l, int dir, const char *path, unsigned depth)
{
	struct dirent *ent;
	DIR *d = opendir(path);

	if (!d)
		return;
	while ((ent = readdir(d))) {
		_cleanup_free_ char *full = xasprintf("%s/%s", path, ent->d_name);
		struct stat st;

		if (streq(ent->d_name, ".") || streq(ent->d_name, "..") || stat(full, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			if (ent->d_name[0] == '.' || depth == DEPTH_MAX)
				continue;
			mode(l, full, &st);
			walk(l, dir, full, depth + 1);
			continue;
		}
		if (!S_ISREG(st.st_mode))
			continue;
		mode(l, full, &st);
		if (depth == 0)
			top_file(l, dir, full, ent->d_name);
		else if (!is_readme(ent->d_name) && ent->d_name[0] != '.' && !is_read(l, full))
			lint_add(l, SEV_NOTE, "not-read", full, 0, "no policy file includes it: add !include, or remove it");
	}
	closedir(d);
}

void lint_files(struct lint *l)
{
	for (int i = 0; i < l->p->dirs.n_dirs; i++) {
		const char *path = l->p->dirs.dirs[i];
		struct stat st;

		if (stat(path, &st) < 0) {
			lint_add(l, SEV_ERROR, "directory", path, 0, "%s: every call is refused until the directory exists", strerror(errno));
			continue;
		}
		mode(l, path, &st);
		walk(l, i, path, 0);
	}
}
