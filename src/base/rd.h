/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * struct rd: the one reader for bytes from outside a process. A borrowed view of private memory (never of memory that
 * a peer can still write: copy first). It is sticky: the first short or invalid read poisons it, every later
 * read yields zero or an empty view, and rd_done() at the end of a message decides. Reads never allocate.
 * Compare counts read from the wire with rd_left()/element size before allocating for them.
 */
#ifndef BASE_RD_H
#define BASE_RD_H

#include "base/defs.h"

struct rd {
	const uint8_t *p, *end;
	bool bad;
};

/* rd_mem makes a reader of n bytes at p; the bytes stay the caller's and must outlive the reader. */
struct rd rd_mem(const void *p, size_t n);
static inline size_t rd_left(const struct rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}
/* rd_done is true when nothing was short and nothing is left over. Call it once a message. */
static inline _must_check_ bool rd_done(const struct rd *r)
{
	return !r->bad && r->p == r->end;
}
static inline _must_check_ bool rd_ok(const struct rd *r)
{
	return !r->bad;
}
void rd_fail(struct rd *r);

uint8_t rd_u8(struct rd *r);
uint16_t rd_u16le(struct rd *r);
uint32_t rd_u32le(struct rd *r);
uint64_t rd_u64le(struct rd *r);
uint32_t rd_u32be(struct rd *r);
uint64_t rd_u64be(struct rd *r);
/* rd_bytes copies n bytes to out (zeros when short). */
void rd_bytes(struct rd *r, void *out, size_t n);
/* rd_view gives a pointer to the next n bytes and skips them; NULL and poisoned when short. n = 0 gives a non-NULL pointer. */
const uint8_t *rd_view(struct rd *r, size_t n);
void rd_skip(struct rd *r, size_t n);
/* rd_sub splits off a reader of the next n bytes; a short r poisons both. */
struct rd rd_sub(struct rd *r, size_t n);
/* rd_fixed reads a NUL-padded field of width bytes into out (cap bytes). Poisons unless a NUL is inside the field, all bytes
   after it are NUL, and the text fits cap. */
void rd_fixed(struct rd *r, char *out, size_t cap, size_t width);
/* rd_lstr reads u16 length + text without inner NUL into out (cap bytes, NUL added). Poisons when longer than cap - 1. */
void rd_lstr(struct rd *r, char *out, size_t cap);
/* rd_until gives the view up to (without) delimiter c and skips the delimiter; poisons when c is absent. */
struct rd rd_until(struct rd *r, uint8_t c);
/* rd_line gives the next line without its newline; the last line may lack one. False at the end of input. */
bool rd_line(struct rd *r, struct rd *ret_line);
/* rd_text copies the whole rest into out (cap bytes, NUL added); poisons on an inner NUL or when too long. */
void rd_text(struct rd *r, char *out, size_t cap);
/* rd_dup gives the whole rest as new NUL-terminated memory (caller frees); poisons and gives NULL on an inner NUL or more than max bytes. */
char *rd_dup(struct rd *r, size_t max);
/* rd_eq is true when the unread rest equals the C string s. */
bool rd_eq(const struct rd *r, const char *s);

#endif
