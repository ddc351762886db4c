/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sender of a file copy stream. */
#include "agent/qfile/pack.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include "agent/qfile/journal.h"
#include "agent/qfile/stream.h"
#include "agent/qfile/walk.h"
#include "base/io.h"
#include "base/str.h"
#include "proto/qfile.h"

/* Holes are looked for in files that have at least this much less on the disk than their length. */
#define WORTH_SEEKING (256 * 1024)
/* A write of its own for what is buffered pays from this many bytes on. */
#define WORTH_ALIGNING (1024 * 1024)
/* Two changes closer than this may bear the same time stamp. */
#define CLOCK_GRAIN_MS 20

struct packer {
	const struct qfile_pack *p;
	struct qout out;
	struct err *e;
	uint64_t told;
	const char *name; /* of the entry that is being sent; NULL = none */
	bool refused; /* the receiver has said something, or its end is closed */
	char target[QFILE_PATH_MAX + 1]; /* of a link */
};

static int wrote(struct packer *k, int r)
{
	struct pollfd pf = { .fd = k->p->in, .events = POLLIN };

	if (r == -EPIPE || r == -ECONNRESET) {
		k->refused = true;
		return -EPIPE;
	}
	if (r < 0)
		return err_errno(k->e, -r, "sending");
	if (k->out.sent == k->told)
		return 0;
	k->told = k->out.sent;
	if (k->p->progress)
		k->p->progress(k->told, k->name, k->p->arg);
	/* A receiver speaks before the end only to refuse. */
	if (poll(&pf, 1, 0) > 0) {
		k->refused = true;
		return -EPIPE;
	}
	return 0;
}

static int send_hdr(struct packer *k, const char *name, const struct stat *st, uint64_t filelen)
{
	uint8_t buf[QFILE_HDR_LEN];
	struct wr w = wr_mem(buf, sizeof buf);
	size_t n = strlen(name) + 1;
	struct qfile_hdr h = {
		.namelen = (uint32_t)n,
		.mode = st->st_mode,
		.filelen = filelen,
		.atime = (uint32_t)st->st_atim.tv_sec,
		.atime_nsec = (uint32_t)st->st_atim.tv_nsec,
		.mtime = (uint32_t)st->st_mtim.tv_sec,
		.mtime_nsec = (uint32_t)st->st_mtim.tv_nsec,
	};
	int r;

	k->name = name;
	qfile_put_hdr(&w, &h);
	r = qout_put(&k->out, buf, w.len);
	if (r == 0)
		r = qout_put(&k->out, name, n);
	return wrote(k, r);
}

static int failed(struct packer *k, const char *what, const char *name, int code)
{
	char shown[300];

	return err_errno(k->e, code, "%s '%s'", what, str_escape(shown, sizeof shown, name, strlen(name)));
}

/* Sends n bytes of fd from off. */
static int send_data(struct packer *k, int fd, const char *name, uint64_t off, uint64_t n)
{
	int a = n >= WORTH_ALIGNING ? wrote(k, qout_align(&k->out)) : 0;

	if (a < 0)
		return a;
	while (n) {
		uint8_t *to;
		size_t room;
		ssize_t got;
		int r = wrote(k, qout_room(&k->out, &to, &room));

		if (r < 0)
			return r;
		got = pread(fd, to, (size_t)MIN((uint64_t)room, n), (off_t)off);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return failed(k, "reading", name, errno);
		if (got == 0)
			return failed(k, "it became shorter while it was sent:", name, EIO);
		qout_fill(&k->out, (size_t)got);
		off += (uint64_t)got;
		n -= (uint64_t)got;
	}
	return 0;
}

/* As send_data for a file with holes, which are sent as zeros but not read. */
static int send_sparse(struct packer *k, int fd, const char *name, uint64_t size)
{
	uint64_t off = 0;

	while (off < size) {
		off_t data = lseek(fd, (off_t)off, SEEK_DATA), end;
		int r;

		if (data < 0 && errno != ENXIO)
			return send_data(k, fd, name, off, size - off);
		if (data < 0 || (uint64_t)data > size)
			data = (off_t)size;
		while (off < (uint64_t)data) {
			size_t n = (size_t)MIN((uint64_t)data - off, (uint64_t)QSTREAM_BUF);

			r = wrote(k, qout_zeros(&k->out, n));
			if (r < 0)
				return r;
			off += n;
		}
		if (off == size)
			break;
		end = lseek(fd, (off_t)off, SEEK_HOLE);
		if (end < 0 || (uint64_t)end > size)
			end = (off_t)size;
		r = send_data(k, fd, name, off, (uint64_t)end - off);
		if (r < 0)
			return r;
		off = (uint64_t)end;
	}
	return 0;
}

/*
 * A change that falls into the same tick of the clock as the last one before the file was looked at would not show in its times. For
 * a move such a young file is looked at again after the tick.
 */
static int settle(int fd, struct stat *st)
{
	struct timespec now;
	int64_t age_ms;

	clock_gettime(CLOCK_REALTIME, &now);
	age_ms = (now.tv_sec - st->st_ctim.tv_sec) * 1000 + (now.tv_nsec - st->st_ctim.tv_nsec) / 1000000;
	/* After the clock was set back a file may be from the future; then any change shows. */
	if (age_ms > CLOCK_GRAIN_MS || age_ms < -CLOCK_GRAIN_MS)
		return 0;
	(void)poll(NULL, 0, CLOCK_GRAIN_MS);
	return fstat(fd, st) < 0 ? -errno : 0;
}

static int send_file(struct packer *k, const char *name, int fd, const struct stat *given)
{
	struct stat st = *given;
	uint64_t size;
	int r;

	if (k->p->journal && settle(fd, &st) < 0)
		return failed(k, "looking at", name, errno);
	size = (uint64_t)st.st_size;
	r = send_hdr(k, name, &st, size);
	if (r < 0)
		return r;
	if (size > WORTH_SEEKING && (uint64_t)st.st_blocks * 512 + WORTH_SEEKING < size)
		r = send_sparse(k, fd, name, size);
	else
		r = send_data(k, fd, name, 0, size);
	if (r == 0 && k->p->journal)
		journal_entry(k->p->journal, name, &st);
	return r;
}

static int send_link(struct packer *k, int dir, const char *base, const char *name, const struct stat *st)
{
	ssize_t n = readlinkat(dir, base, k->target, sizeof k->target);
	int r;

	if (n < 0)
		return failed(k, "reading the link", name, errno);
	if ((size_t)n == sizeof k->target)
		return failed(k, "reading the link", name, ENAMETOOLONG);
	r = send_hdr(k, name, st, (uint64_t)n);
	if (r == 0)
		r = wrote(k, qout_put(&k->out, k->target, (size_t)n));
	if (r == 0 && k->p->journal)
		journal_entry(k->p->journal, name, st);
	return r;
}

static int send_entry(enum walk_step step, int dir, const char *base, const char *name, int fd,
		      const struct stat *st, void *arg)
{
	struct packer *k = arg;

	switch (step) {
	case WALK_FILE:
		return send_file(k, name, fd, st);
	case WALK_LINK:
		return k->p->ignore_links ? 0 : send_link(k, dir, base, name, st);
	case WALK_DIR_AFTER:
		if (k->p->journal)
			journal_entry(k->p->journal, name, st);
		return send_hdr(k, name, st, 0);
	case WALK_DIR_BEFORE:
		return send_hdr(k, name, st, 0);
	}
	return -EINVAL;
}

static void p_skipped(const char *name, void *arg)
{
	const struct packer *k = arg;

	if (k->p->skipped)
		k->p->skipped(name, k->p->arg);
}

static void begin_group(const char *dir, void *arg)
{
	struct packer *k = arg;

	if (k->p->journal)
		journal_base(k->p->journal, dir);
}

/* What the receiver's code means for the user, and what to do. */
static const struct {
	uint32_t code;
	const char *text;
} refusals[] = {
	{ EEXIST, "something of this name exists there already and is never replaced: move or rename one of them" },
	{ EILSEQ, "the name has characters that are not allowed there: rename it, or use --allow-all-names if both qubes may get such names" },
	{ ENOLINK, "the symbolic link leads out of what is copied: copy what it leads to, or leave links out with --ignore-symlinks" },
	{ ENOSPC, "its disk is full (No space left on device): make room there and copy again" },
	{ EDQUOT, "it is more than the receiver takes (Disk quota exceeded)" },
	{ ENAMETOOLONG, "the name or the target of the link is too long" },
	{ EINVAL, "the receiver does not take this kind of file" },
	{ EREMOTEIO, "the stream ended without its end mark" },
	{ QFILE_LEGAL_EOF, "the stream ended early" },
};

static const char *refusal_text(uint32_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].code == code)
			return refusals[i].text;
	return strerror((int)(code & 0xffff));
}

/* The text of a refusal, with the name that the receiver worked on last. */
static int refusal(struct packer *k, uint32_t code, const char *last)
{
	char shown[256];

	/* The reference's receiver negates the code for names of directories. */
	if ((int32_t)code < 0)
		code = 0u - code;
	if (!*last)
		return err_set(k->e, EREMOTEIO, "the receiver says: %s", refusal_text(code));
	return err_set(k->e, EREMOTEIO, "the receiver says: '%s': %s", str_escape(shown, sizeof shown, last, strlen(last)),
		       refusal_text(code));
}

static void read_last_name(int fd, char *out, size_t cap)
{
	uint8_t len[4] = { 0 };
	struct rd r = rd_mem(len, sizeof len);
	uint32_t n;

	out[0] = '\0';
	if (read_full(fd, len, sizeof len) != sizeof len)
		return;
	n = rd_u32le(&r);
	if (n >= cap || read_full(fd, out, n) != (ssize_t)n)
		n = 0;
	out[n] = '\0';
}

static int read_result(struct packer *k)
{
	uint8_t buf[QFILE_RESULT_LEN] = { 0 };
	char last[QFILE_PATH_MAX + 1] = "";
	struct rd r = rd_mem(buf, sizeof buf);
	struct qfile_result res;
	ssize_t n = read_full(k->p->in, buf, sizeof buf);

	if (n < 0)
		return err_errno(k->e, (int)-n, "waiting for the receiver");
	if (n == 0)
		return err_set(k->e, ECONNRESET, "the receiver ended without an answer: was the request refused?");
	if (n < (ssize_t)sizeof buf || qfile_get_result(&r, &res) < 0)
		return err_set(k->e, EPROTO, "the receiver's answer was cut");
	if (res.error) {
		read_last_name(k->p->in, last, sizeof last);
		return refusal(k, res.error, last);
	}
	if (res.crc != k->out.crc)
		return err_set(k->e, EBADMSG, "checksum mismatch: the data was changed on its way");
	if (k->refused)
		return err_set(k->e, EPROTO, "the receiver answered before it had everything");
	return 0;
}

static int send_all(struct packer *k, char *const *paths, size_t n)
{
	struct walk w = { .fn = send_entry, .group = begin_group, .skipped = p_skipped, .open_files = true, .arg = k };
	static const uint8_t end[QFILE_HDR_LEN];
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = walk_path(&w, paths[i], k->e);
	k->name = NULL;
	if (r == 0)
		r = qout_put(&k->out, end, sizeof end);
	if (r == 0)
		r = qout_flush(&k->out);
	if (r == -EPIPE || r == -ECONNRESET)
		k->refused = true;
	return r;
}

int qfile_pack(const struct qfile_pack *p, char *const *paths, size_t n, struct err *e)
{
	_cleanup_free_ struct packer *k = xcalloc(1, sizeof *k);
	struct err own = { 0 };
	int r;

	signal(SIGPIPE, SIG_IGN);
	k->p = p;
	k->e = e ? e : &own;
	qout_init(&k->out, p->out);
	r = send_all(k, paths, n);
	/* After a refusal the receiver's reason counts; after an error of our own the stream just ends. */
	if (r == 0 || k->refused)
		r = read_result(k);
	if (p->ret_sent)
		*p->ret_sent = k->out.sent;
	qout_fini(&k->out);
	if (r == 0 && p->journal)
		r = journal_commit(p->journal, k->e);
	return r;
}

