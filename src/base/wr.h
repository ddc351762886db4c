/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * struct wr: the writer that pairs with struct rd. It fills a fixed buffer of the caller, or a growing one of its own
 * (wr_grow, with a stated limit). Sticky like the reader: a value that does not fit poisons it; wr_ok() decides
 * at the end. Padding is always written, so no uninitialised byte leaves the process.
 */
#ifndef BASE_WR_H
#define BASE_WR_H

#include "base/defs.h"

struct wr {
	uint8_t *buf;
	size_t len, cap, max;
	bool own, bad;
};

/* wr_mem writes into cap bytes at buf, which stay the caller's. */
struct wr wr_mem(void *buf, size_t cap);
/* wr_grow allocates as needed, at most max bytes; release with wr_free. */
struct wr wr_grow(size_t max);
void wr_free(struct wr *w);
static inline _must_check_ bool wr_ok(const struct wr *w)
{
	return !w->bad;
}
/* wr_reset forgets the content and the poison, keeps the memory. */
void wr_reset(struct wr *w);
/* wr_consume drops the first n bytes (for output queues); n > len drops all. */
void wr_consume(struct wr *w, size_t n);
void wr_fail(struct wr *w);

void wr_u8(struct wr *w, uint8_t v);
void wr_u16le(struct wr *w, uint16_t v);
void wr_u32le(struct wr *w, uint32_t v);
void wr_u64le(struct wr *w, uint64_t v);
void wr_u32be(struct wr *w, uint32_t v);
void wr_u64be(struct wr *w, uint64_t v);
void wr_bytes(struct wr *w, const void *p, size_t n);
void wr_zero(struct wr *w, size_t n);
/* wr_fixed writes s NUL-padded to width; poisons when s and its NUL do not fit. */
void wr_fixed(struct wr *w, const char *s, size_t width);
/* wr_lstr writes u16 length + text. */
void wr_lstr(struct wr *w, const char *s);
/* wr_str writes the text of s without NUL; wr_cstr with its NUL. */
void wr_str(struct wr *w, const char *s);
void wr_cstr(struct wr *w, const char *s);
void wr_printf(struct wr *w, const char *fmt, ...) _printf_(2, 3);
/* wr_take gives the content of a growing writer as memory of the caller (NUL added behind, not counted), or NULL when
   poisoned; the writer is empty afterwards. */
char *wr_take(struct wr *w, size_t *ret_len);

#define _cleanup_wr_ _cleanup_(wr_free)

#endif
