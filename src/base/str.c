/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text helpers. */
#include "base/str.h"

#include <stdarg.h>
#include <strings.h>

int str_copy(char *out, size_t cap, const char *s)
{
	size_t n = strlen(s);

	if (n >= cap) {
		if (cap)
			out[0] = '\0';
		return -ENAMETOOLONG;
	}
	memcpy(out, s, n + 1);
	return 0;
}

int str_printf(char *out, size_t cap, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out, cap, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= cap) {
		if (cap)
			out[0] = '\0';
		return -ENAMETOOLONG;
	}
	return 0;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

int str_u64(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!ch_digit(s[0]) || (s[0] == '0' && s[1]))
		return -EINVAL;
	for (; *s; s++) {
		if (!ch_digit(*s))
			return -EINVAL;
		if (!mul_ok(v, (uint64_t)10, &v) || !add_ok(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	}
	if (v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int str_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	bool neg = s[0] == '-';
	uint64_t v;
	int64_t w;
	int r = str_u64(s + neg, INT64_MAX, &v);

	if (r < 0)
		return r;
	w = neg ? -(int64_t)v : (int64_t)v;
	if (w < min || w > max)
		return -ERANGE;
	*ret = w;
	return 0;
}

int str_bool(const char *s, bool *ret)
{
	static const char *const no[] = { "0", "no", "false", "off" };
	static const char *const yes[] = { "1", "yes", "true", "on" };

	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		if (strcasecmp(s, no[i]) == 0) {
			*ret = false;
			return 0;
		}
		if (strcasecmp(s, yes[i]) == 0) {
			*ret = true;
			return 0;
		}
	}
	return -EINVAL;
}

const char *str_escape(char *out, size_t cap, const void *p, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *b = p;
	size_t o = 0;

	if (cap == 0)
		return "";
	for (size_t i = 0; i < n; i++) {
		bool plain = b[i] >= 0x20 && b[i] <= 0x7e && b[i] != '\\';

		if (o + (plain ? 1 : 4) + 4 > cap) {
			for (int k = 0; k < 3 && o + 1 < cap; k++)
				out[o++] = '.';
			break;
		}
		if (plain) {
			out[o++] = (char)b[i];
		} else {
			out[o++] = '\\';
			out[o++] = 'x';
			out[o++] = hex[b[i] >> 4];
			out[o++] = hex[b[i] & 15];
		}
	}
	out[o] = '\0';
	return out;
}

bool ch_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool ch_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool ch_alnum(char c)
{
	return ch_alpha(c) || ch_digit(c);
}

bool str_chars(const char *s, const char *extra)
{
	for (; *s; s++)
		if (!ch_alnum(*s) && !strchr(extra, *s))
			return false;
	return true;
}

int str_size(const char *s, uint64_t *ret)
{
	static const struct {
		const char *unit;
		unsigned shift;
	} units[] = {
		{ "", 0 },    { "K", 10 },  { "KB", 10 },  { "KiB", 10 }, { "M", 20 },	 { "MB", 20 },
		{ "MiB", 20 }, { "G", 30 },  { "GB", 30 },  { "GiB", 30 }, { "T", 40 },	 { "TB", 40 },
		{ "TiB", 40 },
	};
	char digits[24];
	size_t n = 0;
	uint64_t v;

	while (ch_digit(s[n]))
		n++;
	if (n == 0 || n >= sizeof digits)
		return -EINVAL;
	memcpy(digits, s, n);
	digits[n] = '\0';
	if (str_u64(digits, UINT64_MAX, &v) < 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcasecmp(s + n, units[i].unit) == 0) {
			if (v > UINT64_MAX >> units[i].shift)
				return -ERANGE;
			*ret = v << units[i].shift;
			return 0;
		}
	return -EINVAL;
}
