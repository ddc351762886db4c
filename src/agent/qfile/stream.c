/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Buffers of a file copy stream. */
#include "agent/qfile/stream.h"

#include <fcntl.h>
#include <poll.h>

#include "base/io.h"
#include "proto/crc32.h"

#define PIPE_SIZE (1024 * 1024)
#define PAGE 4096u

/* n: a multiple of PAGE. */
static uint8_t *new_buffer(size_t n)
{
	uint8_t *p = aligned_alloc(PAGE, n);

	if (!p)
		abort();
	return p;
}

void qin_init(struct qin *q, int fd)
{
	*q = (struct qin){ .fd = fd, .buf = new_buffer(QSTREAM_BUF + PAGE) };
	(void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
}

void qin_fini(struct qin *q)
{
	free(STEAL_PTR(q->buf));
}

uint32_t qin_crc(struct qin *q)
{
	q->crc = crc32_update(q->crc, q->buf + q->crc_pos, q->pos - q->crc_pos);
	q->crc_pos = q->pos;
	return q->crc;
}

static ssize_t read_some(int fd, void *p, size_t n)
{
	for (;;) {
		ssize_t r = read(fd, p, n);
		struct pollfd pf = { .fd = fd, .events = POLLIN };

		if (r >= 0)
			return r;
		if (errno == EAGAIN)
			(void)poll(&pf, 1, -1);
		else if (errno != EINTR)
			return -errno;
	}
}

/* Reads more behind what is left; the caller needs at least n bytes. */
static int refill(struct qin *q, size_t n)
{
	(void)qin_crc(q);
	if (q->pos == q->len) {
		q->pos = q->len = q->crc_pos = q->phase;
	} else if (q->pos + n > QSTREAM_BUF) {
		memmove(q->buf, q->buf + q->pos, q->len - q->pos);
		q->len -= q->pos;
		q->pos = q->crc_pos = 0;
	}
	while (q->len - q->pos < n) {
		ssize_t r = read_some(q->fd, q->buf + q->len, QSTREAM_BUF + PAGE - q->len);

		if (r <= 0)
			return (int)r;
		q->len += (size_t)r;
	}
	return 1;
}

int qin_take(struct qin *q, size_t n, const uint8_t **ret)
{
	int r = q->len - q->pos < n ? refill(q, n) : 1;

	if (r <= 0)
		return r;
	*ret = q->buf + q->pos;
	q->pos += n;
	return 1;
}

int qin_some(struct qin *q, size_t max, const uint8_t **ret, size_t *ret_n)
{
	int r = q->len == q->pos ? refill(q, 1) : 1;

	if (r <= 0)
		return r;
	*ret_n = MIN(max, q->len - q->pos);
	*ret = q->buf + q->pos;
	q->pos += *ret_n;
	return 1;
}

void qin_phase(struct qin *q, uint64_t off)
{
	q->phase = (size_t)(off % PAGE);
}

void qout_init(struct qout *q, int fd)
{
	*q = (struct qout){ .fd = fd, .buf = new_buffer(QSTREAM_BUF) };
	(void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
}

void qout_fini(struct qout *q)
{
	free(STEAL_PTR(q->buf));
}

static int put_out(struct qout *q, const uint8_t *p, size_t n)
{
	q->crc = crc32_update(q->crc, p, n);
	q->sent += n;
	return write_full(q->fd, p, n);
}

int qout_flush(struct qout *q)
{
	size_t n = q->len;

	q->len = 0;
	return n ? put_out(q, q->buf, n) : 0;
}

int qout_room(struct qout *q, uint8_t **ret, size_t *ret_n)
{
	int r = q->len == QSTREAM_BUF ? qout_flush(q) : 0;

	*ret = q->buf + q->len;
	*ret_n = QSTREAM_BUF - q->len;
	return r;
}

void qout_fill(struct qout *q, size_t n)
{
	q->len += n;
}

int qout_align(struct qout *q)
{
	return q->len % PAGE ? qout_flush(q) : 0;
}

int qout_put(struct qout *q, const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n) {
		uint8_t *to;
		size_t room;
		int r = qout_room(q, &to, &room);

		if (r < 0)
			return r;
		room = MIN(room, n);
		memcpy(to, b, room);
		qout_fill(q, room);
		b += room;
		n -= room;
	}
	return 0;
}

int qout_zeros(struct qout *q, size_t n)
{
	static const uint8_t zeros[256 * 1024];
	int r = qout_flush(q);

	while (r == 0 && n) {
		size_t k = MIN(n, sizeof zeros);

		r = put_out(q, zeros, k);
		n -= k;
	}
	return r;
}
