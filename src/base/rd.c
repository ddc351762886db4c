/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bounded reader. The only file that moves a pointer over foreign bytes. */
#include "base/rd.h"

struct rd rd_mem(const void *p, size_t n)
{
	static const uint8_t none[1];
	const uint8_t *b = p ? p : none;

	return (struct rd){ .p = b, .end = p ? b + n : none, .bad = !p && n > 0 };
}

void rd_fail(struct rd *r)
{
	r->bad = true;
	r->p = r->end;
}

const uint8_t *rd_view(struct rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > (size_t)(r->end - r->p)) {
		rd_fail(r);
		return NULL;
	}
	r->p += n;
	return p;
}

void rd_skip(struct rd *r, size_t n)
{
	(void)rd_view(r, n);
}

void rd_bytes(struct rd *r, void *out, size_t n)
{
	const uint8_t *p = rd_view(r, n);

	if (p)
		memcpy(out, p, n);
	else
		memset(out, 0, n);
}

static uint64_t get(struct rd *r, size_t n, bool big)
{
	const uint8_t *p = rd_view(r, n);
	uint64_t v = 0;

	if (!p)
		return 0;
	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[big ? i : n - 1 - i];
	return v;
}

uint8_t rd_u8(struct rd *r)
{
	return (uint8_t)get(r, 1, false);
}

uint16_t rd_u16le(struct rd *r)
{
	return (uint16_t)get(r, 2, false);
}

uint32_t rd_u32le(struct rd *r)
{
	return (uint32_t)get(r, 4, false);
}

uint64_t rd_u64le(struct rd *r)
{
	return get(r, 8, false);
}

uint32_t rd_u32be(struct rd *r)
{
	return (uint32_t)get(r, 4, true);
}

uint64_t rd_u64be(struct rd *r)
{
	return get(r, 8, true);
}

struct rd rd_sub(struct rd *r, size_t n)
{
	const uint8_t *p = rd_view(r, n);
	struct rd s = rd_mem(p, p ? n : 0);

	s.bad = !p;
	return s;
}

void rd_fixed(struct rd *r, char *out, size_t cap, size_t width)
{
	const uint8_t *p = rd_view(r, width);
	size_t n = 0;

	if (cap)
		out[0] = '\0';
	if (!p)
		return;
	while (n < width && p[n])
		n++;
	if (n == width || n >= cap) {
		rd_fail(r);
		return;
	}
	for (size_t i = n; i < width; i++)
		if (p[i]) {
			rd_fail(r);
			return;
		}
	memcpy(out, p, n);
	out[n] = '\0';
}

static void copy_text(struct rd *r, const uint8_t *p, size_t n, char *out, size_t cap)
{
	if (cap)
		out[0] = '\0';
	if (!p)
		return;
	if (n >= cap || memchr(p, 0, n)) {
		rd_fail(r);
		return;
	}
	memcpy(out, p, n);
	out[n] = '\0';
}

void rd_lstr(struct rd *r, char *out, size_t cap)
{
	size_t n = rd_u16le(r);

	copy_text(r, rd_view(r, n), n, out, cap);
}

void rd_text(struct rd *r, char *out, size_t cap)
{
	size_t n = rd_left(r);

	copy_text(r, rd_view(r, n), n, out, cap);
}

struct rd rd_until(struct rd *r, uint8_t c)
{
	const uint8_t *q = r->bad ? NULL : memchr(r->p, c, rd_left(r));
	struct rd s;

	if (!q) {
		rd_fail(r);
		s = rd_mem(NULL, 0);
		s.bad = true;
		return s;
	}
	s = rd_sub(r, (size_t)(q - r->p));
	rd_skip(r, 1);
	return s;
}

bool rd_line(struct rd *r, struct rd *ret_line)
{
	size_t left = rd_left(r);
	const uint8_t *q;

	if (left == 0)
		return false;
	q = memchr(r->p, '\n', left);
	if (q) {
		*ret_line = rd_sub(r, (size_t)(q - r->p));
		rd_skip(r, 1);
	} else {
		*ret_line = rd_sub(r, left);
	}
	return true;
}

char *rd_dup(struct rd *r, size_t max)
{
	size_t n = rd_left(r);
	const uint8_t *p = rd_view(r, n);
	char *s;

	if (!p || n > max || memchr(p, 0, n)) {
		rd_fail(r);
		return NULL;
	}
	s = malloc(n + 1);
	if (!s) {
		rd_fail(r);
		return NULL;
	}
	memcpy(s, p, n);
	s[n] = '\0';
	return s;
}

bool rd_eq(const struct rd *r, const char *s)
{
	size_t n = strlen(s);

	return !r->bad && rd_left(r) == n && memcmp(r->p, s, n) == 0;
}
