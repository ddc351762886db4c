/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The receiver of a file copy stream. Inside this file results are positive codes as they go to the sender. */
#include "agent/qfile/unpack.h"

#include <poll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/qfile/place.h"
#include "agent/qfile/stream.h"
#include "base/io.h"

struct unpacker {
	const struct qfile_unpack *u;
	struct qin in;
	struct place place;
	uint64_t bytes, files;
	char name[QFILE_PATH_MAX + 2];
	bool have_name;
};

static int positive(int r)
{
	return r < 0 ? -r : 0;
}

/* A stream cut inside an entry: the sender has failed and has said so itself. */
static int cut(int r)
{
	return r < 0 ? -r : QFILE_LEGAL_EOF;
}

static int take_name(struct unpacker *x, const struct qfile_hdr *h)
{
	const uint8_t *p;
	size_t n = h->namelen;
	int r = qin_take(&x->in, n, &p);

	if (r <= 0)
		return cut(r);
	r = qfile_name_check((const char *)p, n, x->u->name_flags);
	if (r)
		return r;
	memcpy(x->name, p, n);
	x->name[n] = '\0';
	x->have_name = true;
	return 0;
}

static int wait_for_space(const struct unpacker *x, uint64_t size)
{
	uint64_t need;

	if (!add_ok(size, x->u->margin, &need))
		return EDQUOT;
	for (;;) {
		struct statvfs fs;

		if (fstatvfs(x->u->root, &fs) < 0)
			return errno;
		if ((uint64_t)fs.f_bavail * fs.f_frsize >= need)
			return 0;
		/* Whoever makes space tells nobody, so it is looked for again each second. */
		(void)poll(NULL, 0, 1000);
	}
}

static int take_file(struct unpacker *x, const struct qfile_hdr *h, const struct timespec times[2])
{
	struct place_file f;
	uint64_t left = h->filelen;
	int r;

	if (x->u->max_bytes && (left > x->u->max_bytes || x->bytes > x->u->max_bytes - left))
		return EDQUOT;
	x->bytes += left;
	r = x->u->wait_space ? wait_for_space(x, left) : 0;
	if (r)
		return r;
	r = place_open(&x->place, x->name, left, &f);
	if (r < 0)
		return -r;
	while (left) {
		const uint8_t *p;
		size_t n;

		qin_phase(&x->in, h->filelen - left);
		r = qin_some(&x->in, (size_t)MIN(left, (uint64_t)QSTREAM_BUF), &p, &n);
		if (r <= 0) {
			place_abort(&f);
			return cut(r);
		}
		r = place_write(&f, p, n);
		if (r < 0) {
			place_abort(&f);
			return -r;
		}
		left -= n;
	}
	return positive(place_finish(&x->place, &f, (mode_t)(h->mode & (x->u->mode_mask ? x->u->mode_mask : 07777u)), times));
}

static int take_link(struct unpacker *x, const struct qfile_hdr *h)
{
	char target[QFILE_PATH_MAX + 1];
	const uint8_t *p;
	int r = qin_take(&x->in, (size_t)h->filelen, &p);

	if (r <= 0)
		return cut(r);
	r = qfile_link_check(x->name, (const char *)p, (size_t)h->filelen, x->u->name_flags);
	if (r)
		return r;
	memcpy(target, p, (size_t)h->filelen);
	target[h->filelen] = '\0';
	return positive(place_link(&x->place, x->name, target));
}

static int take_entry(struct unpacker *x, const struct qfile_hdr *h)
{
	struct timespec times[2] = { { .tv_sec = h->atime, .tv_nsec = h->atime_nsec },
				     { .tv_sec = h->mtime, .tv_nsec = h->mtime_nsec } };
	int r = qfile_hdr_check(h);

	if (r)
		return r;
	if (x->u->max_files && ++x->files > x->u->max_files)
		return EDQUOT;
	r = take_name(x, h);
	if (r)
		return r;
	if (x->u->progress)
		x->u->progress(x->name, x->u->arg);
	if (S_ISREG(h->mode))
		return take_file(x, h, times);
	if (x->u->only_regular)
		return EINVAL;
	if (S_ISLNK(h->mode))
		return take_link(x, h);
	return positive(place_dir(&x->place, x->name, (mode_t)h->mode, times));
}

static int take_stream(struct unpacker *x)
{
	for (;;) {
		struct qfile_hdr h;
		const uint8_t *p;
		struct rd rd;
		int r = qin_take(&x->in, QFILE_HDR_LEN, &p);

		if (r < 0)
			return -r;
		if (r == 0)
			return EREMOTEIO;
		rd = rd_mem(p, QFILE_HDR_LEN);
		if (qfile_get_hdr(&rd, &h) < 0)
			return EPROTO;
		if (qfile_hdr_is_end(&h))
			return 0;
		r = take_entry(x, &h);
		if (r)
			return r;
	}
}

static void answer(struct unpacker *x, int code)
{
	struct qfile_result res = { .error = (uint32_t)code, .crc = qin_crc(&x->in) };
	_cleanup_wr_ struct wr w = wr_grow(QFILE_RESULT_LEN + 4 + QFILE_PATH_MAX + 2);

	if (code)
		close(x->u->in);
	qfile_put_result(&w, &res, x->have_name ? x->name : NULL);
	if (wr_ok(&w))
		(void)write_full(x->u->out, w.buf, w.len);
}

int qfile_unpack(const struct qfile_unpack *u)
{
	struct unpacker *x = xcalloc(1, sizeof *x);
	int code;

	x->u = u;
	qin_init(&x->in, u->in);
	place_init(&x->place, u->root, u->procfd);
	code = take_stream(x);
	/* The answer lets the other side delete its originals: what it is about must be on the disk. */
	if (code == 0 && syncfs(u->root) < 0)
		code = errno;
	answer(x, code);
	place_fini(&x->place);
	qin_fini(&x->in);
	free(x);
	return code;
}
