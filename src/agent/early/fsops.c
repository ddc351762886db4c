/* SPDX-License-Identifier: GPL-3.0-or-later */
/* File operations of the early boot: copies, small files, name lookup, running a helper program. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "agent/early/early.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/rd.h"
#include "base/str.h"

#define COPY_DEPTH_MAX 32

int run_program(const char *const *argv, struct err *e)
{
	const struct proc_spec s = { .path = argv[0], .argv = argv, .keep_stderr = true };

	return proc_run(&s, e);
}

int text_write(const char *path, const char *text, mode_t mode, struct err *e)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	int r;

	if (fd < 0)
		return err_errno(e, errno, "opening %s", path);
	r = write_full(fd, text, strlen(text));
	return r < 0 ? err_errno(e, -r, "writing %s", path) : 0;
}

int text_put(const char *path, const char *text, mode_t mode, struct err *e)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
	size_t n = strlen(text);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "opening %s", path);
	r = write_full(fd, text, n);
	if (r < 0)
		return err_errno(e, -r, "writing %s", path);
	return st.st_size > (off_t)n && ftruncate(fd, (off_t)n) < 0 ? err_errno(e, errno, "cutting %s", path) : 0;
}

int touch(const char *path, struct err *e)
{
	return text_write(path, "", 0644, e);
}

struct copy {
	uid_t uid;
	gid_t gid;
	struct err *e;
};

static int set_meta(const struct copy *c, int fd, const struct stat *st)
{
	uid_t uid = c->uid == (uid_t)-1 ? st->st_uid : c->uid;
	gid_t gid = c->uid == (uid_t)-1 ? st->st_gid : c->gid;
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	/* Owner first: chown clears set-id bits. */
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0 || futimens(fd, times) < 0)
		return err_errno(c->e, errno, "setting the owner of a copy");
	return 0;
}

static int copy_file(const struct copy *c, int from_dir, const char *from, int to_dir, const char *to, const struct stat *st)
{
	_cleanup_fd_ int in = openat(from_dir, from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_fd_ int out = openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (out < 0 && errno == EEXIST)
		return 0;
	if (in < 0 || out < 0)
		return err_errno(c->e, errno, "copying %s", from);
	for (;;) {
		ssize_t n = sendfile(out, in, NULL, 1 << 20);

		if (n < 0)
			return err_errno(c->e, errno, "copying %s", from);
		if (n == 0)
			break;
	}
	return set_meta(c, out, st);
}

static int copy_link(const struct copy *c, int from_dir, const char *from, int to_dir, const char *to, const struct stat *st)
{
	char target[4096];
	ssize_t n = readlinkat(from_dir, from, target, sizeof target - 1);
	uid_t uid = c->uid == (uid_t)-1 ? st->st_uid : c->uid;
	gid_t gid = c->uid == (uid_t)-1 ? st->st_gid : c->gid;

	if (n < 0)
		return err_errno(c->e, errno, "reading link %s", from);
	target[n] = '\0';
	if (symlinkat(target, to_dir, to) < 0)
		return errno == EEXIST ? 0 : err_errno(c->e, errno, "making link %s", to);
	if (fchownat(to_dir, to, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(c->e, errno, "setting the owner of %s", to);
	return 0;
}

static int copy_entry(const struct copy *c, int from_dir, const char *from, int to_dir, const char *to, int depth);

static int copy_dir(const struct copy *c, int from_dir, const char *from, int to_dir, const char *to, const struct stat *st, int depth)
{
	int in = openat(from_dir, from, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_fd_ int out = -1;
	struct dirent *ent;
	DIR *dir;
	int r = 0;

	if (depth >= COPY_DEPTH_MAX) {
		fd_closep(&in);
		return err_set(c->e, ELOOP, "%s is too deep", from);
	}
	dir = in >= 0 ? fdopendir(in) : NULL;
	if (!dir) {
		fd_closep(&in);
		return err_errno(c->e, errno, "opening %s", from);
	}
	if (mkdirat(to_dir, to, 0700) < 0 && errno != EEXIST)
		r = err_errno(c->e, errno, "making %s", to);
	out = openat(to_dir, to, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (r == 0 && out < 0)
		r = err_errno(c->e, errno, "opening %s", to);
	while (r == 0 && (ent = readdir(dir)))
		if (!streq(ent->d_name, ".") && !streq(ent->d_name, ".."))
			r = copy_entry(c, in, ent->d_name, out, ent->d_name, depth + 1);
	if (r == 0)
		r = set_meta(c, out, st);
	closedir(dir);
	return r;
}

static int copy_entry(const struct copy *c, int from_dir, const char *from, int to_dir, const char *to, int depth)
{
	struct stat st;

	if (fstatat(from_dir, from, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(c->e, errno, "%s", from);
	if (S_ISDIR(st.st_mode))
		return copy_dir(c, from_dir, from, to_dir, to, &st, depth);
	if (S_ISLNK(st.st_mode))
		return copy_link(c, from_dir, from, to_dir, to, &st);
	if (S_ISREG(st.st_mode))
		return copy_file(c, from_dir, from, to_dir, to, &st);
	return 0;	/* sockets, pipes and devices are made by their programs */
}

int copy_tree(const char *src, const char *dst, uid_t uid, gid_t gid, struct err *e)
{
	const struct copy c = { .uid = uid, .gid = gid, .e = e };

	return copy_entry(&c, AT_FDCWD, src, AT_FDCWD, dst, 0);
}

int copy_any(const char *src, const char *dst, struct err *e)
{
	return copy_tree(src, dst, (uid_t)-1, (gid_t)-1, e);
}

int copy_data(int from, int to, uint64_t size, struct err *e)
{
	off_t at = 0, end;

	for (;;) {
		at = lseek(from, at, SEEK_DATA);
		if (at < 0)
			return errno == ENXIO ? 0 : err_errno(e, errno, "looking for the blocks of a file");
		end = lseek(from, at, SEEK_HOLE);
		if (end < 0 || (uint64_t)end > size)
			return err_set(e, ENOSPC, "the copy has no room for the file");
		if (lseek(to, at, SEEK_SET) < 0)
			return err_errno(e, errno, "seeking in a copy");
		while (at < end)
			if (sendfile(to, from, &at, (size_t)(end - at)) <= 0)
				return err_errno(e, errno, "copying the blocks of a file");
	}
}

bool mem_zero(const uint8_t *p, size_t n)
{
	uint64_t sum = 0, word;

	for (; n >= sizeof word; p += sizeof word, n -= sizeof word) {
		memcpy(&word, p, sizeof word);
		sum |= word;
	}
	while (n--)
		sum |= *p++;
	return sum == 0;
}

/* parse_id_line splits name:x:ID[:GID...]. */
static bool parse_id_line(struct rd line, const char *name, unsigned *ret_id, unsigned *ret_gid)
{
	char text[2][16] = { "", "" };
	struct rd field = rd_until(&line, ':');
	uint64_t v[2] = { 0, 0 };

	if (!rd_ok(&field) || !rd_eq(&field, name))
		return false;
	rd_until(&line, ':');
	for (size_t i = 0; i < 2; i++) {
		field = rd_until(&line, ':');
		rd_text(&field, text[i], sizeof text[i]);
		if (!rd_ok(&field) || str_u64(text[i], UINT32_MAX, &v[i]) < 0) {
			if (i == 0)
				return false;
			break;	/* a group line has members here */
		}
	}
	*ret_id = (unsigned)v[0];
	if (ret_gid)
		*ret_gid = (unsigned)v[1];
	return true;
}

int id_lookup(const char *file, const char *name, unsigned *ret_id, unsigned *ret_gid)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	struct rd r, line;
	int err = fs_read(AT_FDCWD, file, 1 << 20, &text, &len, NULL);

	if (err < 0)
		return err;
	r = rd_mem(text, len);
	while (rd_line(&r, &line))
		if (parse_id_line(line, name, ret_id, ret_gid))
			return 0;
	return -ENOENT;
}

static bool protected_in(const char *dir_path, const char *path)
{
	DIR *dir = opendir(dir_path);
	bool found = false;
	struct dirent *ent;

	if (!dir)
		return false;
	while (!found && (ent = readdir(dir))) {
		_cleanup_free_ char *text = NULL;
		struct rd r, line;
		size_t len;

		if (!str_ends(ent->d_name, ".conf") || fs_read(dirfd(dir), ent->d_name, 1 << 16, &text, &len, NULL) < 0)
			continue;
		r = rd_mem(text, len);
		while (rd_line(&r, &line))
			found |= rd_eq(&line, path);
	}
	closedir(dir);
	return found;
}

bool early_protected(const char *path)
{
	return protected_in("/etc/qubes/protected-files.d", path) || protected_in("/rw/config/protected-files.d", path);
}
