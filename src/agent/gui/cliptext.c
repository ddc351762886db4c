/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encodings of text. */
#include "agent/gui/cliptext.h"

/* One character at p: its length and code, or 0 when it is malformed. */
static size_t decode(const uint8_t *p, size_t n, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
	uint32_t c;

	if (len == 0 || len > n)
		return 0;
	c = len == 1 ? p[0] : (uint32_t)p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return len;
}

bool text_is_utf8(const void *p, size_t n)
{
	const uint8_t *s = p;
	uint32_t c;

	for (size_t i = 0; i < n;) {
		size_t len = decode(s + i, n - i, &c);

		if (len == 0)
			return false;
		i += len;
	}
	return true;
}

void text_to_latin1(struct wr *w, const void *p, size_t n)
{
	const uint8_t *s = p;
	uint32_t c = 0;

	for (size_t i = 0; i < n;) {
		size_t len = decode(s + i, n - i, &c);

		wr_u8(w, len && c < 0x100 ? (uint8_t)c : '?');
		i += len ? len : 1;
	}
}

void text_from_latin1(struct wr *w, const void *p, size_t n)
{
	const uint8_t *s = p;

	for (size_t i = 0; i < n; i++) {
		if (s[i] < 0x80) {
			wr_u8(w, s[i]);
			continue;
		}
		wr_u8(w, (uint8_t)(0xc0 | s[i] >> 6));
		wr_u8(w, (uint8_t)(0x80 | (s[i] & 0x3f)));
	}
}

void text_to_compound(struct wr *w, const void *p, size_t n)
{
	const uint8_t *s = p;
	bool ascii = true;

	for (size_t i = 0; i < n; i++)
		ascii = ascii && s[i] < 0x80;
	if (ascii) {
		wr_bytes(w, p, n);
		return;
	}
	/* the encoding's own switch to UTF-8 and back */
	wr_bytes(w, "\x1b%G", 3);
	wr_bytes(w, p, n);
	wr_bytes(w, "\x1b%@", 3);
}

size_t text_cut(const void *p, size_t n, size_t max)
{
	const uint8_t *s = p;

	if (n <= max)
		return n;
	while (max > 0 && s[max] >> 6 == 2)
		max--;
	return max;
}
