/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bounded writer. */
#include "base/wr.h"

#include <stdarg.h>

struct wr wr_mem(void *buf, size_t cap)
{
	return (struct wr){ .buf = buf, .cap = cap, .max = cap };
}

struct wr wr_grow(size_t max)
{
	return (struct wr){ .own = true, .max = max };
}

void wr_free(struct wr *w)
{
	if (w->own)
		free(w->buf);
	w->buf = NULL;
	w->len = w->cap = 0;
}

void wr_reset(struct wr *w)
{
	w->len = 0;
	w->bad = false;
}

void wr_fail(struct wr *w)
{
	w->bad = true;
}

void wr_consume(struct wr *w, size_t n)
{
	if (n >= w->len) {
		w->len = 0;
		return;
	}
	memmove(w->buf, w->buf + n, w->len - n);
	w->len -= n;
}

static uint8_t *room(struct wr *w, size_t n)
{
	size_t need, cap;
	uint8_t *p;

	if (w->bad || !add_ok(w->len, n, &need) || need > w->max) {
		w->bad = true;
		return NULL;
	}
	if (need > w->cap || (w->own && !w->buf)) {
		if (!w->own) {
			w->bad = true;
			return NULL;
		}
		cap = w->cap ? w->cap : 128;
		while (cap < need)
			cap *= 2;
		p = realloc(w->buf, cap);
		if (!p) {
			w->bad = true;
			return NULL;
		}
		w->buf = p;
		w->cap = cap;
	}
	p = w->buf + w->len;
	w->len = need;
	return p;
}

static void put(struct wr *w, uint64_t v, size_t n, bool big)
{
	uint8_t *p = room(w, n);

	if (!p)
		return;
	for (size_t i = 0; i < n; i++)
		p[big ? n - 1 - i : i] = (uint8_t)(v >> (8 * i));
}

void wr_u8(struct wr *w, uint8_t v)
{
	put(w, v, 1, false);
}

void wr_u16le(struct wr *w, uint16_t v)
{
	put(w, v, 2, false);
}

void wr_u32le(struct wr *w, uint32_t v)
{
	put(w, v, 4, false);
}

void wr_u64le(struct wr *w, uint64_t v)
{
	put(w, v, 8, false);
}

void wr_u32be(struct wr *w, uint32_t v)
{
	put(w, v, 4, true);
}

void wr_u64be(struct wr *w, uint64_t v)
{
	put(w, v, 8, true);
}

void wr_bytes(struct wr *w, const void *p, size_t n)
{
	uint8_t *q = room(w, n);

	if (q && n)
		memcpy(q, p, n);
}

void wr_zero(struct wr *w, size_t n)
{
	uint8_t *q = room(w, n);

	if (q && n)
		memset(q, 0, n);
}

void wr_fixed(struct wr *w, const char *s, size_t width)
{
	size_t n = strlen(s);

	if (n >= width) {
		w->bad = true;
		return;
	}
	wr_bytes(w, s, n);
	wr_zero(w, width - n);
}

void wr_lstr(struct wr *w, const char *s)
{
	size_t n = strlen(s);

	if (n > UINT16_MAX) {
		w->bad = true;
		return;
	}
	wr_u16le(w, (uint16_t)n);
	wr_bytes(w, s, n);
}

void wr_str(struct wr *w, const char *s)
{
	wr_bytes(w, s, strlen(s));
}

void wr_cstr(struct wr *w, const char *s)
{
	wr_bytes(w, s, strlen(s) + 1);
}

void wr_printf(struct wr *w, const char *fmt, ...)
{
	va_list ap;
	char small[512];
	char *big;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	if (n < 0) {
		w->bad = true;
		return;
	}
	if ((size_t)n < sizeof small) {
		wr_bytes(w, small, (size_t)n);
		return;
	}
	big = malloc((size_t)n + 1);
	if (!big) {
		w->bad = true;
		return;
	}
	va_start(ap, fmt);
	(void)!vsnprintf(big, (size_t)n + 1, fmt, ap);
	va_end(ap);
	wr_bytes(w, big, (size_t)n);
	free(big);
}

char *wr_take(struct wr *w, size_t *ret_len)
{
	uint8_t *p;
	size_t n = w->len;

	if (!w->own || w->bad)
		return NULL;
	p = realloc(w->buf, n + 1);
	if (!p)
		return NULL;
	p[n] = 0;
	w->buf = NULL;
	w->len = w->cap = 0;
	if (ret_len)
		*ret_len = n;
	return (char *)p;
}
