/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The two ends of a file copy stream as buffers with a running checksum. No file names, no rules: bytes only. The checksum is
 * taken over whole stretches of the buffer, just before they are given up, so small records cost nothing extra.
 */
#ifndef AGENT_QFILE_STREAM_H
#define AGENT_QFILE_STREAM_H

#include "base/err.h"
#include "base/rd.h"

/* As much as a pipe holds: the two ends wake each other a quarter as often as with 256 KiB, which fits the second-level cache but costs a tenth more
   processor time (docs/benchmarks.md). */
#define QSTREAM_BUF (1024u * 1024)

struct qin {
	int fd;
	uint8_t *buf;
	size_t phase, pos, len, crc_pos;
	uint32_t crc;
};
/* qin_init allocates the buffer; the descriptor stays the caller's. A pipe is made larger where the system allows it. */
void qin_init(struct qin *q, int fd);
void qin_fini(struct qin *q);
/* qin_take gives the next n (at most QSTREAM_BUF) bytes, valid until the next call: 1, 0 at a premature end of the stream, or -errno. */
int qin_take(struct qin *q, size_t n, const uint8_t **ret);
/* qin_some gives between 1 and max bytes, whatever is there: 1, 0 at end, -errno. */
int qin_some(struct qin *q, size_t max, const uint8_t **ret, size_t *ret_n);
/* qin_phase says that the next byte belongs at this offset of a file. Processors copy much faster between places that lie alike in their
   pages, so an empty buffer is filled from a place that does. */
void qin_phase(struct qin *q, uint64_t off);
/* qin_crc gives the checksum of everything taken so far. */
uint32_t qin_crc(struct qin *q);

struct qout {
	int fd;
	uint8_t *buf;
	size_t len;
	uint32_t crc;
	uint64_t sent;
};
void qout_init(struct qout *q, int fd);
void qout_fini(struct qout *q);
/* qout_room gives a place for at least one and at most *ret_n bytes; writes out what is buffered when it is full. 0 or -errno. */
int qout_room(struct qout *q, uint8_t **ret, size_t *ret_n);
/* qout_fill says that n bytes were put into the place of qout_room. */
void qout_fill(struct qout *q, size_t n);
/* qout_align starts the place of qout_room on a page when much follows, for the same reason as qin_phase. 0 or -errno. */
int qout_align(struct qout *q);
int qout_put(struct qout *q, const void *p, size_t n);
/* qout_zeros sends n zero bytes without touching the buffer for each of them. */
int qout_zeros(struct qout *q, size_t n);
int qout_flush(struct qout *q);

#endif
