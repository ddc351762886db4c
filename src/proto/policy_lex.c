/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words and lines of policy files. */
#include "proto/policy_lex.h"

#include "base/rd.h"

/* Length of the UTF-8 sequence at p (n > 0 bytes left) and its code point; 0 when invalid. */
static size_t utf8_at(const char *p, size_t n, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t b = (uint8_t)p[0];
	size_t len = b < 0x80 ? 1 : b >= 0xf0 && b < 0xf8 ? 4 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xc0 && b < 0xe0 ? 2 : 0;
	uint32_t v;

	if (!len || len > n)
		return 0;
	v = len == 1 ? b : b & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if (((uint8_t)p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | ((uint8_t)p[i] & 0x3f);
	}
	if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	*ret = v;
	return len;
}

bool pol_text_ok(const char *p, size_t n)
{
	uint32_t v;

	while (n) {
		size_t len = utf8_at(p, n, &v);

		if (!len || v == 0)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

static bool is_blank(uint32_t v)
{
	if (v < 0x80)
		return v == ' ' || (v >= 0x09 && v <= 0x0d) || (v >= 0x1c && v <= 0x1f);
	return v == 0x85 || v == 0xa0 || v == 0x1680 || (v >= 0x2000 && v <= 0x200a) || v == 0x2028 || v == 0x2029 || v == 0x202f ||
	       v == 0x205f || v == 0x3000;
}

/* Bytes of the blank at p, 0 when there is none. */
static size_t blank_at(const char *p, size_t n)
{
	uint32_t v;
	size_t len = n ? utf8_at(p, n, &v) : 0;

	return len && is_blank(v) ? len : 0;
}

bool pol_line(const char **p, const char *end, const char **ret, size_t *ret_len)
{
	const char *s = *p;

	if (s == end)
		return false;
	while (s < end && *s != '\n' && *s != '\r')
		s++;
	*ret = *p;
	*ret_len = (size_t)(s - *p);
	if (end - s >= 2 && s[0] == '\r' && s[1] == '\n')
		s++;
	*p = s < end ? s + 1 : end;
	return true;
}

void pol_trim(const char **p, size_t *n)
{
	size_t len, keep = 0;

	while ((len = blank_at(*p, *n))) {
		*p += len;
		*n -= len;
	}
	for (size_t i = 0; i < *n;) {
		uint32_t v;
		size_t at = utf8_at(*p + i, *n - i, &v);

		i += at ? at : 1;
		if (!at || !is_blank(v))
			keep = i;
	}
	*n = keep;
}

void pol_split(struct pol_words *ret, const char *p, size_t n, bool commas)
{
	struct pol_words w = { .mem = xmalloc(2 * n + 2) };
	char *out = w.mem;

	while (n) {
		size_t len = blank_at(p, n);

		if (!len && commas && *p == ',')
			len = 1;
		if (len) {
			p += len;
			n -= len;
			continue;
		}
		if (w.n == POL_WORDS_MAX) {
			w.more = true;
			break;
		}
		w.v[w.n++] = out;
		while (n && !blank_at(p, n) && !(commas && *p == ',')) {
			*out++ = commas && *p == '$' ? '@' : *p;
			p++;
			n--;
		}
		*out++ = '\0';
	}
	*ret = w;
}

void pol_words_fini(struct pol_words *w)
{
	free(w->mem);
	*w = (struct pol_words){ 0 };
}
