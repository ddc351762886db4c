/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * States between memory and disk: KEY~/{ram,device,volatile}, then KEY~/meta with sizes and checksums, then KEY~ becomes KEY. Pages of zeros are left
 * out on both ways. A copy whose checksum differs is never given to anybody.
 */
#include "daemon/state-holder/holder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/rd.h"
#include "base/str.h"
#include "proto/crc32.h"

#define PAGE 4096u
#define CHUNK (1u << 20)
#define STEP (8u << 20) /* copied before other requests are looked at */
#define META_MAX 4096
#define META_FIRST "bulkhead-state 1"
#define PART_MAX (UINT64_C(64) << 40)

static const char *const names[PART_N] = { [PART_RAM] = "ram", [PART_DEVICE] = "device", [PART_VOLATILE] = "volatile" };

int parts_check(const int fds[PART_N], uint64_t size[PART_N], uint64_t *ret_used)
{
	*ret_used = 0;
	for (size_t i = 0; i < PART_N; i++) {
		int seals = fcntl(fds[i], F_GET_SEALS);
		struct stat st;

		if (seals < 0 || (seals & STATE_SEALS) != STATE_SEALS || fstat(fds[i], &st) < 0 || !S_ISREG(st.st_mode))
			return -EPERM;
		size[i] = (uint64_t)st.st_size;
		*ret_used += (uint64_t)st.st_blocks * 512;
	}
	return 0;
}

static struct copy *copy_new(void)
{
	struct copy *c = xcalloc(1, sizeof *c);

	for (size_t i = 0; i < PART_N; i++)
		c->from[i] = c->to[i] = -1;
	return c;
}

static void copy_free(struct copy *c, bool close_from, bool close_to)
{
	if (!c)
		return;
	for (size_t i = 0; i < PART_N; i++) {
		if (close_from)
			fd_closep(&c->from[i]);
		if (close_to)
			fd_closep(&c->to[i]);
	}
	free(c);
}

void copy_stop(struct state *s)
{
	copy_free(STEAL_PTR(s->saving), false, true);
	copy_free(STEAL_PTR(s->loading), true, true);
}

/* --- pages ----------------------------------------------------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static uint32_t crc_page(uint32_t crc, uint64_t at, const uint8_t *p, size_t n)
{
	uint8_t place[8];
	struct wr w = wr_mem(place, sizeof place);

	wr_u64le(&w, at);
	return crc32_update(crc32_update(crc, place, sizeof place), p, n);
}

/* One piece of at most CHUNK: runs of pages that are not zero are written. */
static int copy_chunk(struct copy *c, uint64_t at, const uint8_t *buf, size_t n)
{
	size_t i = 0;

	while (i < n) {
		size_t run = i;

		while (run < n && !is_zero(buf + run, MIN(n - run, (size_t)PAGE))) {
			size_t k = MIN(n - run, (size_t)PAGE);

			c->crc[c->part] = crc_page(c->crc[c->part], at + run, buf + run, k);
			run += k;
		}
		for (size_t done = i; done < run;) {
			ssize_t w = pwrite(c->to[c->part], buf + done, run - done, (off_t)(at + done));

			if (w <= 0)
				return w < 0 ? -errno : -EIO;
			done += (size_t)w;
		}
		i = run < n ? run + MIN(n - run, (size_t)PAGE) : n;
	}
	return 0;
}

/* Gives 1 while there is more, 0 at the end, negative on failure. */
static int copy_step(struct copy *c, const uint64_t size[PART_N])
{
	static uint8_t buf[CHUNK];
	size_t moved = 0;

	while (c->part < PART_N && moved < STEP) {
		int from = c->from[c->part], r;
		off_t data = c->at < size[c->part] ? lseek(from, (off_t)c->at, SEEK_DATA) : -1;
		ssize_t n;

		if (data < 0) {
			if (c->at < size[c->part] && errno != ENXIO)
				return -errno;
			c->part++;
			c->at = 0;
			continue;
		}
		/* Whole pages of the file, so that both ways see the same ones. */
		c->at = (uint64_t)data / PAGE * PAGE;
		n = pread(from, buf, (size_t)MIN((uint64_t)CHUNK, size[c->part] - c->at), (off_t)c->at);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		/* A short read would shift the pages that follow. */
		if ((uint64_t)n < size[c->part] - c->at && n % PAGE)
			n -= n % PAGE;
		if (n == 0)
			return -EIO;
		r = copy_chunk(c, c->at, buf, (size_t)n);
		if (r < 0)
			return r;
		c->at += (uint64_t)n;
		moved += (size_t)n;
	}
	return c->part < PART_N;
}

/* --- to disk --------------------------------------------------------------------------------------------------------------------- */

static int half_name(char out[KEY_CAP + 1], const struct state *s)
{
	return str_printf(out, KEY_CAP + 1, "%s~", s->key);
}

int copy_save(struct holder *h, struct state *s, struct err *e)
{
	struct copy *c = copy_new();
	char half[KEY_CAP + 1];
	_cleanup_fd_ int dir = -1;
	int r = half_name(half, s);

	if (r >= 0)
		r = fs_rm_rf(h->dir, half, e);
	if (r >= 0 && mkdirat(h->dir, half, 0700) < 0)
		r = err_errno(e, errno, "making '%s'", half);
	dir = r >= 0 ? openat(h->dir, half, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (r >= 0 && dir < 0)
		r = err_errno(e, errno, "opening '%s'", half);
	for (size_t i = 0; r >= 0 && i < PART_N; i++) {
		c->from[i] = s->fd[i];
		c->to[i] = openat(dir, names[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (c->to[i] < 0 || ftruncate(c->to[i], (off_t)s->size[i]) < 0)
			r = err_errno(e, errno, "making '%s/%s'", half, names[i]);
	}
	if (r < 0) {
		copy_free(c, false, true);
		return r;
	}
	s->saving = c;
	work_start(h);
	return 0;
}

static int meta_write(struct holder *h, const struct state *s, const struct copy *c)
{
	char text[META_MAX], path[KEY_CAP + 8];
	struct wr w = wr_mem((uint8_t *)text, sizeof text);

	wr_str(&w, META_FIRST "\n");
	for (size_t i = 0; i < PART_N; i++)
		wr_printf(&w, "%s %llu %08x\n", names[i], (unsigned long long)s->size[i], c->crc[i]);
	if (!wr_ok(&w) || str_printf(path, sizeof path, "%s~/meta", s->key) < 0)
		return -EMSGSIZE;
	return fs_write_atomic(h->dir, path, text, w.len, 0600, NULL);
}

static void saved(struct holder *h, struct state *s, int r)
{
	char half[KEY_CAP + 1];

	if (r >= 0)
		r = half_name(half, s);
	if (r >= 0)
		r = meta_write(h, s, s->saving);
	if (r >= 0)
		r = fs_rm_rf(h->dir, s->key, NULL);
	if (r >= 0 && renameat(h->dir, half, h->dir, s->key) < 0)
		r = -errno;
	if (r >= 0) {
		memcpy(s->crc, s->saving->crc, sizeof s->crc);
		s->on_disk = true;
	} else {
		log_warn("state stays in memory only, it could not be written: key=%s error=%s", s->key, strerror(-r));
		if (half_name(half, s) >= 0)
			(void)fs_rm_rf(h->dir, half, NULL);
		s->memory_only = true;
	}
	copy_stop(s);
	table_trim(h, NULL);
}

/* --- from disk ------------------------------------------------------------------------------------------------------------------- */

/* "NAME SIZE CRC" */
static int meta_line(struct rd *line, enum part i, struct state *s)
{
	struct rd name = rd_until(line, ' '), size = rd_until(line, ' ');
	char digits[24], crc[16], *end = NULL;
	uint64_t v = 0;

	rd_text(&size, digits, sizeof digits);
	rd_text(line, crc, sizeof crc);
	if (!rd_eq(&name, names[i]) || !rd_ok(&size) || !rd_ok(line) || str_u64(digits, PART_MAX, &v) < 0 || strlen(crc) != 8 ||
	    strspn(crc, "0123456789abcdef") != 8)
		return -EBADMSG;
	s->size[i] = v;
	s->crc[i] = (uint32_t)strtoul(crc, &end, 16);
	return 0;
}

int meta_read(struct holder *h, const char *key, struct state *s)
{
	_cleanup_free_ char *text = NULL;
	char path[KEY_CAP + 8];
	struct rd r, line;
	struct stat st;
	size_t len;
	int k = str_printf(path, sizeof path, "%s/meta", key);

	if (k >= 0)
		k = fs_read(h->dir, path, META_MAX, &text, &len, NULL);
	if (k < 0)
		return k;
	r = rd_mem(text, len);
	if (!rd_line(&r, &line) || !rd_eq(&line, META_FIRST))
		return -EBADMSG;
	for (size_t i = 0; k >= 0 && i < PART_N; i++)
		k = rd_line(&r, &line) ? meta_line(&line, (enum part)i, s) : -EBADMSG;
	if (k >= 0 && fstatat(h->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		s->last_use = (uint64_t)st.st_mtime;
	return k < 0 ? k : rd_left(&r) ? -EBADMSG : 0;
}

int copy_load(struct holder *h, struct state *s, struct err *e)
{
	struct copy *c = copy_new();
	int r = 0;

	for (size_t i = 0; r >= 0 && i < PART_N; i++) {
		char path[KEY_CAP + 12];
		struct stat st;

		if (str_printf(path, sizeof path, "%s/%s", s->key, names[i]) < 0)
			abort(); /* both are short */
		c->from[i] = openat(h->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (c->from[i] < 0 || fstat(c->from[i], &st) < 0)
			r = err_errno(e, errno, "opening '%s'", path);
		else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != s->size[i])
			r = err_set(e, EUCLEAN, "'%s' has another size than it was written with", path);
		c->to[i] = memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (r >= 0 && (c->to[i] < 0 || ftruncate(c->to[i], (off_t)s->size[i]) < 0))
			r = err_errno(e, errno, "memory for '%s'", path);
	}
	if (r < 0) {
		copy_free(c, true, true);
		return r;
	}
	s->loading = c;
	work_start(h);
	return 0;
}

static void loaded(struct holder *h, struct state *s, int r)
{
	struct copy *c = s->loading;

	if (r >= 0 && memcmp(c->crc, s->crc, sizeof s->crc) != 0)
		r = -EUCLEAN;
	for (size_t i = 0; r >= 0 && i < PART_N; i++)
		if (fcntl(c->to[i], F_ADD_SEALS, STATE_SEALS) < 0)
			r = -errno;
	if (r >= 0)
		r = parts_check(c->to, s->size, &s->used);
	if (r < 0) {
		log_error("state on disk is not used, it is removed: key=%s error=%s", s->key, strerror(-r));
		waiters_done(h, s, r == -EUCLEAN ? EUCLEAN : -r, "the copy of the state is damaged");
		table_drop(h, s);
		return;
	}
	for (size_t i = 0; i < PART_N; i++)
		s->fd[i] = STEAL_FD(c->to[i]);
	s->in_memory = true;
	copy_stop(s);
	table_used(h, s);
	waiters_done(h, s, 0, "");
	table_trim(h, s);
}

bool copy_work(struct holder *h)
{
	struct state *s, *writer = NULL;
	int r;

	/* Somebody waits for what is read; nobody for what is written. */
	TAILQ_FOREACH(s, &h->states, link) {
		if (s->saving && !writer)
			writer = s;
		if (s->loading)
			break;
	}
	if (s) {
		r = copy_step(s->loading, s->size);
		if (r <= 0)
			loaded(h, s, r);
		return true;
	}
	if (!writer)
		return false;
	r = copy_step(writer->saving, writer->size);
	if (r <= 0)
		saved(h, writer, r);
	return true;
}
