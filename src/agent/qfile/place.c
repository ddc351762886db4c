/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Placing entries below a directory. */
#include "agent/qfile/place.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"

#define BLOCK 4096u
/* Up to this size a file is made under its name at once, with mode 0 until it is complete: half the time for many small files. */
#define SMALL 65536u
/* The kernel takes paths below 4096 bytes; longer ones are walked in pieces. */
#define PIECE 2048u

void place_init(struct place *p, int root, int procfd)
{
	*p = (struct place){ .root = root, .procfd = procfd, .dir = -1 };
}

void place_fini(struct place *p)
{
	fd_closep(&p->dir);
}

/* Opens the directory of n bytes at path below root; one system call unless the path is very long. */
static int open_dir(int root, const char *path, size_t n)
{
	int at = root;

	for (;;) {
		char piece[PIECE + 256 + 1];
		size_t k = n;
		int fd;

		if (n > PIECE) {
			const char *slash = memrchr(path, '/', PIECE + 1);

			/* No component is longer than 255 bytes on any file system. */
			k = slash ? (size_t)(slash - path) : n;
		}
		if (k >= sizeof piece)
			return -ENAMETOOLONG;
		memcpy(piece, path, k);
		piece[k] = '\0';
		fd = fs_open_beneath(at, piece, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
		if (at != root)
			close(at);
		if (fd < 0 || k == n)
			return fd;
		at = fd;
		path += k + 1;
		n -= k + 1;
	}
}

int place_parent_beneath(int root, const char *path, const char **ret_base)
{
	const char *slash = strrchr(path, '/');

	*ret_base = slash ? slash + 1 : path;
	return slash ? open_dir(root, path, (size_t)(slash - path)) : open_dir(root, ".", 1);
}

/* The parent of name as a descriptor that stays with p. */
static int parent(struct place *p, const char *name, const char **ret_base)
{
	const char *slash = strrchr(name, '/');
	size_t n = slash ? (size_t)(slash - name) : 0;
	int fd;

	*ret_base = slash ? slash + 1 : name;
	if (!slash)
		return p->root;
	if (p->dir >= 0 && strlen(p->dir_name) == n && memcmp(p->dir_name, name, n) == 0)
		return p->dir;
	fd = open_dir(p->root, name, n);
	if (fd < 0)
		return fd;
	fd_closep(&p->dir);
	p->dir = fd;
	memcpy(p->dir_name, name, n);
	p->dir_name[n] = '\0';
	return fd;
}

int place_open(struct place *p, const char *name, uint64_t size, struct place_file *ret)
{
	struct place_file f = { .fd = -1 };
	struct stat st;

	f.dir = parent(p, name, &f.base);
	if (f.dir < 0)
		return f.dir;
	if (p->procfd >= 0 && size > SMALL) {
		/* Found now rather than after a long transfer; linkat decides in any case. */
		if (fstatat(f.dir, f.base, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return -EEXIST;
		f.fd = openat(f.dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	}
	if (f.fd < 0) {
		f.named = true;
		f.fd = openat(f.dir, f.base, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0);
	}
	if (f.fd < 0)
		return -errno;
	*ret = f;
	return 0;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static int write_at(struct place_file *f, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t r = pwrite(f->fd, p, n, (off_t)f->off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		p += r;
		n -= (size_t)r;
		f->off += (uint64_t)r;
	}
	return 0;
}

int place_write(struct place_file *f, const uint8_t *p, size_t n)
{
	while (n) {
		size_t lead = MIN(n, (size_t)(BLOCK - f->off % BLOCK)), run = lead;
		int r;

		if (lead == BLOCK && all_zero(p, BLOCK)) {
			f->off += BLOCK;
			f->hole_end = f->off;
			p += BLOCK;
			n -= BLOCK;
			continue;
		}
		while (n - run >= BLOCK && !all_zero(p + run, BLOCK))
			run += BLOCK;
		/* A last piece of a block goes along: it is no candidate for a hole. */
		if (n - run < BLOCK)
			run = n;
		r = write_at(f, p, run);
		if (r < 0)
			return r;
		p += run;
		n -= run;
	}
	return 0;
}

void place_abort(struct place_file *f)
{
	if (f->fd >= 0 && f->named)
		unlinkat(f->dir, f->base, 0);
	fd_closep(&f->fd);
}

static int name_file(struct place *p, struct place_file *f)
{
	char number[16];

	if (f->named)
		return 0;
	if (str_printf(number, sizeof number, "%d", f->fd) < 0)
		return -EBADF;
	return linkat(p->procfd, number, f->dir, f->base, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

int place_finish(struct place *p, struct place_file *f, mode_t mode, const struct timespec times[2])
{
	int r = 0;

	if (f->hole_end == f->off && f->off && ftruncate(f->fd, (off_t)f->off) < 0)
		r = -errno;
	if (r == 0 && futimens(f->fd, times) < 0)
		r = -errno;
	if (r == 0 && fchmod(f->fd, mode & 07777) < 0)
		r = -errno;
	if (r == 0)
		r = name_file(p, f);
	if (r < 0)
		place_abort(f);
	fd_closep(&f->fd);
	return r;
}

int place_dir(struct place *p, const char *name, mode_t mode, const struct timespec times[2])
{
	_cleanup_fd_ int fd = -1;
	const char *base;
	int dir = parent(p, name, &base);

	if (dir < 0)
		return dir;
	if (mkdirat(dir, base, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	fd = fs_open_beneath(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
	if (fd < 0)
		return fd == -ENOTDIR || fd == -ELOOP ? -EEXIST : fd;
	if (fchmod(fd, mode & 07777) < 0 || futimens(fd, times) < 0)
		return -errno;
	return 0;
}

int place_link(struct place *p, const char *name, const char *target)
{
	const char *base;
	int dir = parent(p, name, &base);

	if (dir < 0)
		return dir;
	return symlinkat(target, dir, base) < 0 ? -errno : 0;
}
