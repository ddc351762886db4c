/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Import of a volume's content (specs/admin-api.md §3.2): begin, copy into the file the daemon names, end. */
#include "client/admin.h"

#include <fcntl.h>

#include "base/io.h"
#include "base/str.h"

#define COPY_CHUNK (1u << 20)
#define SECTOR 512u /* a disk has whole sectors: an odd file is filled up with zeros */

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* Blocks of zeros of a device: their room is given back, where the device knows how; -EOPNOTSUPP elsewhere. */
static int punch(int out, uint64_t n)
{
	off_t at = lseek(out, 0, SEEK_CUR);

	if (at < 0 || fallocate(out, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)n) < 0)
		return -errno;
	return lseek(out, (off_t)n, SEEK_CUR) < 0 ? -errno : 0;
}

/* Passes over a hole of a sparse file, in whole chunks of at most left bytes: how many. 0 where there is data, or what is read is no file. */
static uint64_t skip_hole(int in, uint64_t left)
{
	off_t at = lseek(in, 0, SEEK_CUR), data = at < 0 ? -1 : lseek(in, at, SEEK_DATA);
	uint64_t n = 0;

	if (at < 0)
		return 0;
	if (data < 0 && errno == ENXIO) /* nothing but a hole up to the end */
		data = lseek(in, 0, SEEK_END);
	if (data > at)
		n = MIN((uint64_t)(data - at), left);
	n -= n % COPY_CHUNK;
	return lseek(in, at + (off_t)n, SEEK_SET) < 0 ? 0 : n;
}

/* Leaves n bytes of the target as zeros. */
static int leave(int out, uint64_t n, bool holes)
{
	if (holes)
		return lseek(out, (off_t)n, SEEK_CUR) < 0 ? -errno : 0;
	return punch(out, n);
}

/* Copies exactly size bytes; with holes, blocks of zeros are passed over. */
static int copy_exact(int out, int in, uint64_t size, bool holes, struct err *e)
{
	_cleanup_free_ uint8_t *buf = xmalloc(COPY_CHUNK);
	uint64_t done = 0;
	bool sparse = true;

	while (done < size) {
		uint64_t hole = sparse ? skip_hole(in, size - done) : 0;
		size_t want;
		ssize_t n;
		int r = 0;

		if (hole && leave(out, hole, holes) < 0) {
			sparse = false; /* a device that cannot do it gets its zeros one by one */
			if (lseek(in, -(off_t)hole, SEEK_CUR) < 0)
				return err_errno(e, errno, "reading the data");
		} else {
			done += hole;
		}
		want = (size_t)MIN((uint64_t)COPY_CHUNK, size - done);
		n = read_full(in, buf, want);
		if (n < 0)
			return err_errno(e, (int)-n, "reading the data");
		if ((size_t)n < want)
			return err_set(e, EINVAL, "the data ends after %llu of %llu bytes", (unsigned long long)(done + (uint64_t)n),
				       (unsigned long long)size);
		if (!all_zero(buf, want) || (!holes && want % SECTOR) || (!holes && punch(out, want) < 0))
			r = write_full(out, buf, want);
		else if (holes && lseek(out, (off_t)want, SEEK_CUR) < 0)
			r = -errno;
		if (r < 0)
			return err_errno(e, -r, "writing the volume");
		done += want;
	}
	if (read_full(in, buf, 1) == 1)
		return err_set(e, EFBIG, "the data is longer than the volume's %llu bytes", (unsigned long long)size);
	if (fsync(out) < 0 && errno != EINVAL && errno != EROFS)
		return err_errno(e, errno, "writing the volume");
	return 0;
}

static int copy_to(const char *path, int in, uint64_t data, uint64_t size, struct err *e)
{
	_cleanup_fd_ int out = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	bool holes;

	if (out < 0)
		return err_errno(e, errno, "opening '%s'", path);
	/* A file may hold older content: only an emptied one has holes that read as zero. A device cannot be emptied. */
	holes = ftruncate(out, 0) == 0;
	if (holes && ftruncate(out, (off_t)size) < 0)
		return err_errno(e, errno, "setting the size of '%s'", path);
	return copy_exact(out, in, data, holes, e);
}

int adm_import_copy(const char *path, int in, uint64_t size, struct err *e)
{
	return copy_to(path, in, size, size, e);
}

static int import(const char *dest, const char *volume, int fd, uint64_t size, bool with_size, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 }, end = { 0 };
	char text[32] = "", fail[ERR_MSG_MAX + 8];
	uint64_t real = 0, rounded = 0;
	struct err second = { 0 };
	char *path;
	int r, r2;

	if (!add_ok(size, (uint64_t)SECTOR - 1, &rounded))
		return err_set(e, EFBIG, "no volume can have that size");
	rounded -= rounded % SECTOR;
	if (with_size && str_printf(text, sizeof text, "%llu", (unsigned long long)rounded) < 0)
		return -EINVAL;
	r = adm_internal(&rep, dest, "internal.vm.volume.ImportBegin", volume, with_size ? text : NULL, e);
	if (r < 0)
		return r;
	path = strchr(rep.data, ' ');
	if (path)
		*path++ = '\0';
	if (!path || *path != '/' || str_u64(rep.data, INT64_MAX, &real) < 0)
		return err_set(e, ADM_BAD_ANSWER, "the answer of qubesd to ImportBegin is malformed");
	if (path[strlen(path) - 1] == '\n')
		path[strlen(path) - 1] = '\0';
	r = copy_to(path, fd, with_size && real == rounded ? size : real, real, e);
	if (r < 0 && str_printf(fail, sizeof fail, "fail\n%s", err_text(e, r)) < 0)
		fail[0] = '\0';
	r2 = adm_internal(&end, dest, "internal.vm.volume.ImportEnd", volume, r < 0 ? fail : "ok", r < 0 ? &second : e);
	return r < 0 ? r : r2;
}

int adm_import(const char *dest, const char *volume, int fd, uint64_t size, bool with_size, struct err *e)
{
	void *watched = adm_watch_begin(dest, "admin.vm.volume.Import", volume, NULL, 0);

	return adm_watch_end(watched, import(dest, volume, fd, size, with_size, e));
}
