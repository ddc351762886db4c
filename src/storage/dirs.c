/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the drivers that keep files do with a whole pool: remove what was never finished, and count bytes. A pool is a tree of at most DEPTH
 * directories; links are not followed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include "base/str.h"
#include "storage/vol.h"

#define DEPTH 4

struct walk {
	/* Called for each regular file of a directory. */
	int (*file)(struct walk *w, int dir, const char *name, const struct stat *st, struct err *e);
	uint64_t bytes;
};

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Takes fd over. */
static int walk(struct walk *w, int fd, unsigned depth, struct err *e)
{
	_cleanup_(closedirp) DIR *d = fdopendir(fd);
	struct dirent *ent;
	int r = 0;

	if (!d) {
		close(fd);
		return err_set(e, ENOMEM, "listing a pool");
	}
	while (r >= 0 && (ent = readdir(d))) {
		struct stat st;
		int sub;

		if (streq(ent->d_name, ".") || streq(ent->d_name, "..") || fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* what is not there any more was removed by its owner */
		if (S_ISREG(st.st_mode))
			r = w->file(w, dirfd(d), ent->d_name, &st, e);
		if (!S_ISDIR(st.st_mode) || depth + 1 == DEPTH)
			continue;
		sub = openat(dirfd(d), ent->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			r = walk(w, sub, depth + 1, e);
	}
	return r < 0 ? r : 0;
}

static int walk_pool(struct walk *w, const char *pool_dir, struct err *e)
{
	int fd = open(pool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_errno(e, errno, "opening pool '%s'", pool_dir) : walk(w, fd, 0, e);
}

/* Names that no finished file has: see vol_temp, vol_import_name, vol_export_name and the spawner's files without a name. */
static bool unfinished(const char *name)
{
	return str_ends(name, "~") || str_ends(name, "-import.img") || (strstr(name, "-export-") && str_ends(name, ".img")) ||
	       str_starts(name, ".unnamed-");
}

static int drop_unfinished(struct walk *w, int dir, const char *name, const struct stat *st, struct err *e)
{
	if (unfinished(name) && unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return err_errno(e, errno, "removing '%s'", name);
	return 0;
}

int vol_dirs_sweep(const char *pool_dir, struct err *e)
{
	struct walk w = { .file = drop_unfinished };

	return walk_pool(&w, pool_dir, e);
}

static int count(struct walk *w, int dir, const char *name, const struct stat *st, struct err *e)
{
	/* An image that clones share counts once: each of its names with its part. */
	w->bytes += (uint64_t)st->st_blocks * 512 / MAX((uint64_t)st->st_nlink, (uint64_t)1);
	return 0;
}

int vol_dirs_usage(const char *pool_dir, struct st_reply *ret, struct err *e)
{
	struct walk w = { .file = count };
	struct statvfs st;
	int r = walk_pool(&w, pool_dir, e);

	if (r < 0)
		return r;
	if (statvfs(pool_dir, &st) < 0)
		return err_errno(e, errno, "pool '%s'", pool_dir);
	ret->size = (uint64_t)st.f_blocks * st.f_frsize;
	ret->usage = w.bytes;
	return str_printf(ret->text, sizeof ret->text, "%llu", (unsigned long long)st.f_bavail * st.f_frsize);
}
