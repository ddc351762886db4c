/* SPDX-License-Identifier: GPL-3.0-or-later */
/* File helpers. */
#include "base/fsx.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/str.h"

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

int fs_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_fd_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *buf = NULL;
	struct stat st;
	size_t cap, n = 0;

	if (fd < 0)
		return err_errno(e, errno, "opening '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "'%s'", path);
	if (S_ISDIR(st.st_mode))
		return err_set(e, EISDIR, "'%s' is a directory", path);
	cap = st.st_size > 0 && (size_t)st.st_size < max ? (size_t)st.st_size + 1 : 4096;
	buf = xmalloc(cap + 1);
	for (;;) {
		ssize_t r = read(fd, buf + n, cap - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_errno(e, errno, "reading '%s'", path);
		if (r == 0)
			break;
		n += (size_t)r;
		if (n > max)
			return err_set(e, EFBIG, "'%s' is larger than %zu bytes", path, max);
		if (n == cap) {
			cap *= 2;
			buf = xreallocarray(buf, cap + 1, 1);
		}
	}
	buf[n] = '\0';
	*ret = STEAL_PTR(buf);
	if (ret_len)
		*ret_len = n;
	return 0;
}

int fs_sync_dir(int dirfd)
{
	_cleanup_fd_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int sync_parent(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? xstrndup(path, (size_t)(slash - path + 1)) : xstrdup(".");
	_cleanup_fd_ int fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int fs_write_atomic(int dirfd, const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	_cleanup_free_ char *tmp = xasprintf("%s~%d", path, (int)getpid());
	_cleanup_fd_ int fd =
		openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	int r;

	if (fd < 0)
		return err_errno(e, errno, "creating '%s'", tmp);
	r = write_full(fd, p, n);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, tmp, 0);
		return err_errno(e, -r, "writing '%s'", path);
	}
	r = sync_parent(dirfd, path);
	return r < 0 ? err_errno(e, -r, "writing '%s'", path) : 0;
}

int fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode, struct err *e)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);

	return fd < 0 ? err_errno(e, errno, "opening '%s'", path) : (int)fd;
}

int fs_mkdir_p(const char *path, mode_t mode, struct err *e)
{
	_cleanup_free_ char *p = xstrdup(path);

	for (char *s = p + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = '\0';
		if (mkdir(p, mode) < 0 && errno != EEXIST)
			return err_errno(e, errno, "creating directory '%s'", p);
		*s = '/';
	}
	if (mkdir(p, mode) < 0) {
		struct stat st;

		if (errno != EEXIST)
			return err_errno(e, errno, "creating directory '%s'", p);
		if (stat(p, &st) < 0 || !S_ISDIR(st.st_mode))
			return err_set(e, ENOTDIR, "'%s' exists and is not a directory", p);
	}
	return 0;
}

#define RM_DEPTH_MAX 64

static int rm_tree(int dirfd, const char *name, dev_t dev, int depth, struct err *e)
{
	_cleanup_(closedirp) DIR *d = NULL;
	struct dirent *ent;
	struct stat st;
	int fd;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_errno(e, errno, "removing '%s'", name);
	if (depth >= RM_DEPTH_MAX)
		return err_set(e, ELOOP, "removing '%s': nested too deeply", name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "removing '%s'", name);
	if (fstat(fd, &st) < 0 || (dev && st.st_dev != dev)) {
		close(fd);
		return err_set(e, EXDEV, "removing '%s': it is a mount point", name);
	}
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return err_set(e, ENOMEM, "removing '%s': out of memory", name);
	}
	while ((ent = readdir(d))) {
		int r;

		if (streq(ent->d_name, ".") || streq(ent->d_name, ".."))
			continue;
		r = rm_tree(fd, ent->d_name, st.st_dev, depth + 1, e);
		if (r < 0)
			return r;
	}
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_errno(e, errno, "removing '%s'", name);
	return 0;
}

int fs_rm_rf(int dirfd, const char *path, struct err *e)
{
	return rm_tree(dirfd, path, 0, 0, e);
}
