/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encoding and decoding of qubes.VMExec arguments. */
#include "proto/vmexec.h"

#include "base/str.h"

static const char hex[] = "0123456789ABCDEF";

static void put_arg(struct wr *w, const char *s)
{
	for (; *s; s++) {
		uint8_t c = (uint8_t)*s;

		if (ch_alnum(*s) || c == '.' || c == '_') {
			wr_u8(w, c);
		} else if (c == '-') {
			wr_str(w, "--");
		} else {
			wr_u8(w, '-');
			wr_u8(w, (uint8_t)hex[c >> 4]);
			wr_u8(w, (uint8_t)hex[c & 15]);
		}
	}
}

void vmexec_put(struct wr *w, const char *const *argv)
{
	for (size_t i = 0; argv[i]; i++) {
		if (i)
			wr_u8(w, '+');
		put_arg(w, argv[i]);
	}
}

/* One escape behind '-': gives the number of bytes it took, 0 when it is none. A coded NUL cannot be in an argument. */
static size_t unescape(const char *s, char *ret)
{
	const char *hi, *lo;

	if (s[0] == '-') {
		*ret = '-';
		return 1;
	}
	hi = s[0] ? strchr(hex, s[0]) : NULL;
	lo = hi && s[1] ? strchr(hex, s[1]) : NULL;
	if (!lo || (hi == hex && lo == hex))
		return 0;
	*ret = (char)((hi - hex) << 4 | (lo - hex));
	return 2;
}

int vmexec_get(char *s, char **ret, size_t cap, struct err *e)
{
	char *out = s;
	size_t n = 0;

	if (cap < 2)
		return err_set(e, E2BIG, "no room for arguments");
	ret[n++] = out;
	while (*s) {
		char c = *s++;

		if (c == '+') {
			if (n + 1 >= cap)
				return err_set(e, E2BIG, "more than %zu arguments", cap - 2);
			*out++ = 0;
			ret[n++] = out;
		} else if (c == '-') {
			size_t used = unescape(s, out);

			if (!used)
				return err_set(e, EINVAL, "'-' must be followed by '-' or two hexadecimal digits");
			s += used;
			out++;
		} else if (ch_alnum(c) || c == '.' || c == '_') {
			*out++ = c;
		} else {
			return err_set(e, EINVAL, "character 0x%02x is not allowed", (unsigned char)c);
		}
	}
	*out = 0;
	ret[n] = NULL;
	return (int)n;
}
