/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files of a volume: see vol.h. */
#include "storage/vol.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "base/fsx.h"
#include "base/str.h"

#define IMAGE_MODE 0600

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* One step down: makes and opens directory `name` of *at, which it replaces. A link is refused. */
static int step_down(int *at, const char *name, struct err *e)
{
	int fd;

	if (mkdirat(*at, name, 0700) == 0) {
		if (fsync(*at) < 0)
			return err_errno(e, errno, "creating '%s'", name);
	} else if (errno != EEXIST) {
		return err_errno(e, errno, "creating '%s'", name);
	}
	fd = openat(*at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "opening '%s'", name);
	close(*at);
	*at = fd;
	return 0;
}

static int make_dirs(struct vol *v, struct err *e)
{
	_cleanup_fd_ int at = openat(v->pool, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char rel[sizeof v->rel];

	if (at < 0)
		return err_errno(e, errno, "opening pool '%s'", v->pool_dir);
	memcpy(rel, v->rel, sizeof rel);
	for (char *s = rel, *end; s; s = end ? end + 1 : NULL) {
		int r;

		end = strchr(s, '/');
		if (end)
			*end = '\0';
		r = step_down(&at, s, e);
		if (r < 0)
			return r;
	}
	return STEAL_FD(at);
}

int vol_parse(struct vol *v, const char *pool_dir, const char *vid, struct err *e)
{
	const char *slash = strrchr(vid, '/');

	if (!slash || str_copy(v->pool_dir, sizeof v->pool_dir, pool_dir) < 0 ||
	    str_printf(v->rel, sizeof v->rel, "%.*s", (int)(slash - vid), vid) < 0 ||
	    str_copy(v->name, sizeof v->name, slash + 1) < 0)
		return err_set(e, EINVAL, "'%s' is not a volume id", vid);
	return 0;
}

int vol_open(struct vol *v, const char *pool_dir, const char *vid, bool make, struct err *e)
{
	int r = vol_parse(v, pool_dir, vid, e);

	if (r < 0)
		return r;
	v->pool = open(pool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->pool < 0)
		return err_errno(e, errno, "opening pool '%s'", pool_dir);
	r = fs_open_beneath(v->pool, v->rel, O_RDONLY | O_DIRECTORY, 0, e);
	if (r == -ENOENT && make)
		r = make_dirs(v, e);
	if (r < 0)
		return r;
	v->dir = r;
	return 0;
}

void vol_fini(struct vol *v)
{
	fd_closep(&v->pool);
	fd_closep(&v->dir);
}

int vol_list(const struct vol *v, int (*fn)(const char *file, void *arg), void *arg, struct err *e)
{
	_cleanup_(closedirp) DIR *d = NULL;
	struct dirent *ent;
	int fd = openat(v->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return err_errno(e, errno, "listing '%s'", v->rel);
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return err_set(e, ENOMEM, "listing '%s'", v->rel);
	}
	while (r >= 0 && (ent = readdir(d)))
		r = fn(ent->d_name, arg);
	return r < 0 ? r : 0;
}

struct removal {
	struct vol *v;
	bool (*owns)(const char *name, const char *file);
	struct err *e;
};

static int remove_owned(const char *file, void *arg)
{
	struct removal *m = arg;

	return m->owns(m->v->name, file) ? vol_unlink(m->v, file, m->e) : 0;
}

int vol_remove(struct vol *v, bool (*owns)(const char *name, const char *file), struct err *e)
{
	struct removal m = { v, owns, e };
	int r = vol_list(v, remove_owned, &m, e);

	if (r < 0)
		return r;
	r = fs_sync_dir(v->dir);
	if (r < 0)
		return err_errno(e, -r, "removing");
	/* Other volumes of the qube may still be there. */
	if (unlinkat(v->pool, v->rel, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
		return err_errno(e, errno, "removing directory '%s'", v->rel);
	return 0;
}

const char *vol_import_name(const struct vol *v, char out[96])
{
	if (str_printf(out, 96, "%s-import.img", v->name) < 0)
		abort(); /* name is at most 63 bytes */
	return out;
}

int vol_import_begin(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	char file[96];
	_cleanup_fd_ int fd = -1;
	int r = vol_unlink(v, vol_import_name(v, file), e);

	if (r < 0)
		return r;
	fd = openat(v->dir, file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, IMAGE_MODE);
	if (fd < 0 || ftruncate(fd, (off_t)q->size) < 0)
		return err_errno(e, errno, "creating '%s'", file);
	return vol_path(v, file, ret->text, sizeof ret->text, e);
}

int vol_path(const struct vol *v, const char *file, char *out, size_t cap, struct err *e)
{
	if (str_printf(out, cap, "%s/%s/%s", v->pool_dir, v->rel, file) < 0)
		return err_set(e, ENAMETOOLONG, "the path of '%s' is too long", file);
	return 0;
}

int vol_export_name(const struct vol *v, const char *id, char out[160], struct err *e)
{
	if (!id[0] || !str_chars(id, "") || str_printf(out, 160, "%s-export-%s.img", v->name, id) < 0)
		return err_set(e, EINVAL, "'%s' is not a name for an export", id);
	return 0;
}

int vol_import_drop(struct vol *v, struct err *e)
{
	char file[96];

	return vol_unlink(v, vol_import_name(v, file), e);
}

bool vol_stat(const struct vol *v, const char *file, struct stat *st)
{
	return fstatat(v->dir, file, st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st->st_mode);
}

int vol_unlink(const struct vol *v, const char *file, struct err *e)
{
	if (unlinkat(v->dir, file, 0) < 0 && errno != ENOENT)
		return err_errno(e, errno, "removing '%s'", file);
	return 0;
}

int vol_rename(const struct vol *v, const char *from, const char *to, struct err *e)
{
	if (renameat(v->dir, from, v->dir, to) < 0)
		return err_errno(e, errno, "renaming '%s' to '%s'", from, to);
	if (fsync(v->dir) < 0)
		return err_errno(e, errno, "writing the directory of '%s'", to);
	return 0;
}

int vol_temp(const struct vol *v, const char *file, char ret_name[160], struct err *e)
{
	int fd;

	if (str_printf(ret_name, 160, "%s~", file) < 0)
		return err_set(e, ENAMETOOLONG, "'%s': name is too long", file);
	if (unlinkat(v->dir, ret_name, 0) < 0 && errno != ENOENT)
		return err_errno(e, errno, "removing '%s'", ret_name);
	fd = openat(v->dir, ret_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, IMAGE_MODE);
	return fd < 0 ? err_errno(e, errno, "creating '%s'", ret_name) : fd;
}

int vol_sync(const struct vol *v, struct err *e)
{
	return fsync(v->dir) < 0 ? err_errno(e, errno, "writing the directory '%s'", v->rel) : 0;
}

int vol_mark(const struct vol *v, const char *file, struct err *e)
{
	_cleanup_fd_ int fd = openat(v->dir, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, IMAGE_MODE);

	return fd < 0 ? err_errno(e, errno, "creating '%s'", file) : vol_sync(v, e);
}

int vol_publish(const struct vol *v, int fd, const char *temp, const char *file, struct err *e)
{
	if (fsync(fd) < 0)
		return err_errno(e, errno, "writing '%s'", temp);
	return vol_rename(v, temp, file, e);
}

int vol_identity(const struct stat *st, char *out, size_t cap)
{
	return str_printf(out, cap, "%lld.%09ld", (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

int vol_keep_time(int fd, const struct timespec *t, struct err *e)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, *t };

	return futimens(fd, ts) < 0 ? err_errno(e, errno, "setting the time of an image") : 0;
}

int vol_stamp(int fd, const struct timespec *than, struct err *e)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	/* A clock that was set back must not give an identity a second time. */
	if (than && (than->tv_sec > now.tv_sec || (than->tv_sec == now.tv_sec && than->tv_nsec >= now.tv_nsec))) {
		now = *than;
		if (++now.tv_nsec >= 1000000000) {
			now.tv_nsec = 0;
			now.tv_sec++;
		}
	}
	return vol_keep_time(fd, &now, e);
}

/* copy_file_range where the file system has it (it may share extents), plain reads and writes elsewhere. */
static ssize_t copy_some(int from, off_t *from_off, int to, off_t *to_off, size_t n)
{
	static char buf[1 << 20];
	ssize_t r = copy_file_range(from, from_off, to, to_off, n, 0);
	size_t done = 0;

	if (r >= 0 || (errno != EXDEV && errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS))
		return r;
	r = pread(from, buf, MIN(n, sizeof buf), *from_off);
	if (r <= 0)
		return r;
	while (done < (size_t)r) {
		ssize_t k = pwrite(to, buf + done, (size_t)r - done, *to_off + (off_t)done);

		if (k < 0 && errno != EINTR)
			return -1;
		done += k > 0 ? (size_t)k : 0;
	}
	*from_off += r;
	*to_off += r;
	return r;
}

int vol_copy_range(int from, off_t from_off, int to, off_t to_off, uint64_t n, struct err *e)
{
	while (n > 0) {
		ssize_t r = copy_some(from, &from_off, to, &to_off, MIN(n, (uint64_t)1 << 30));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_errno(e, errno, "copying an image");
		if (r == 0)
			break;
		n -= (uint64_t)r;
	}
	return 0;
}

int vol_copy_sparse(int from, int to, struct err *e)
{
	struct stat st;
	off_t at = 0;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	if (fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0)
		return err_errno(e, errno, "copying an image");
	while (at < st.st_size) {
		off_t data = lseek(from, at, SEEK_DATA), hole;
		int r;

		if (data < 0 && errno == ENXIO)
			return 0;
		hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return err_errno(e, errno, "copying an image");
		r = vol_copy_range(from, data, to, data, (uint64_t)(hole - data), e);
		if (r < 0)
			return r;
		at = hole;
	}
	return 0;
}
