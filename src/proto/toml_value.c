/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TOML: characters, strings, numbers, arrays, inline tables. */
#include "proto/toml_value.h"

#include <stdarg.h>

#include "base/str.h"

void toml_error(struct toml_parser *p, const char *fmt, ...)
{
	va_list ap;

	if (p->failed)
		return;
	p->failed = true;
	p->failed_line = p->line;
	va_start(ap, fmt);
	(void)vsnprintf(p->text, sizeof p->text, fmt, ap);
	va_end(ap);
}

int toml_peek_at(const struct toml_parser *p, size_t n)
{
	return !p->failed && rd_left(&p->r) > n ? p->r.p[n] : -1;
}

int toml_peek(const struct toml_parser *p)
{
	return toml_peek_at(p, 0);
}

int toml_next(struct toml_parser *p)
{
	int c = toml_peek(p);

	if (c < 0)
		return -1;
	rd_skip(&p->r, 1);
	if (c == '\n')
		p->line++;
	return c;
}

static bool newline(struct toml_parser *p)
{
	if (toml_peek(p) == '\r' && toml_peek_at(p, 1) == '\n')
		toml_next(p);
	if (toml_peek(p) != '\n')
		return false;
	toml_next(p);
	return true;
}

void toml_blanks(struct toml_parser *p)
{
	while (toml_peek(p) == ' ' || toml_peek(p) == '\t')
		toml_next(p);
}

static void comment(struct toml_parser *p)
{
	if (toml_peek(p) != '#')
		return;
	while (toml_peek(p) >= 0 && toml_peek(p) != '\n' && toml_peek(p) != '\r') {
		if (toml_peek(p) < 0x20 && toml_peek(p) != '\t')
			toml_error(p, "a comment holds a control character");
		toml_next(p);
	}
}

bool toml_space(struct toml_parser *p)
{
	do {
		toml_blanks(p);
		comment(p);
	} while (newline(p));
	return toml_peek(p) >= 0;
}

void toml_end_of_line(struct toml_parser *p)
{
	toml_blanks(p);
	comment(p);
	if (!p->failed && toml_peek(p) >= 0 && !newline(p))
		toml_error(p, "one statement a line: what follows the value?");
}

/* The length of the UTF-8 character at the reader, 0 when it is none. */
static size_t utf8_len(const struct toml_parser *p)
{
	int c = toml_peek(p);
	size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++) {
		int d = toml_peek_at(p, i);

		/* No overlong form, no surrogate, nothing above U+10FFFF. */
		if (d < 0x80 || d > 0xbf || (i == 1 && ((c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) || (c == 0xf0 && d < 0x90) ||
							(c == 0xf4 && d > 0x8f))))
			return 0;
	}
	return n;
}

static void put_utf8(struct wr *w, uint32_t c)
{
	if (c < 0x80) {
		wr_u8(w, (uint8_t)c);
	} else if (c < 0x800) {
		wr_u8(w, (uint8_t)(0xc0 | c >> 6));
		wr_u8(w, (uint8_t)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		wr_u8(w, (uint8_t)(0xe0 | c >> 12));
		wr_u8(w, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		wr_u8(w, (uint8_t)(0x80 | (c & 0x3f)));
	} else {
		wr_u8(w, (uint8_t)(0xf0 | c >> 18));
		wr_u8(w, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		wr_u8(w, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		wr_u8(w, (uint8_t)(0x80 | (c & 0x3f)));
	}
}

static void unicode(struct toml_parser *p, struct wr *w, unsigned digits)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < digits; i++) {
		int c = toml_next(p);

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		else
			toml_error(p, "\\u takes 4 and \\U 8 hexadecimal digits");
	}
	if (v == 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		toml_error(p, "there is no such character");
	put_utf8(w, v);
}

static void escape(struct toml_parser *p, struct wr *w, bool lines)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	const char *at;
	int c;

	toml_next(p); /* the backslash */
	c = toml_peek(p);
	at = c > 0 ? strchr(from, c) : NULL;

	if (lines && (c == '\n' || c == '\r' || c == ' ' || c == '\t')) {
		/* A backslash at the end of a line joins the lines. */
		toml_blanks(p);
		if (!newline(p))
			toml_error(p, "a backslash followed by blanks");
		do
			toml_blanks(p);
		while (newline(p));
		return;
	}
	toml_next(p);
	if (at)
		wr_u8(w, (uint8_t)to[at - from]);
	else if (c == 'u' || c == 'U')
		unicode(p, w, c == 'u' ? 4 : 8);
	else
		toml_error(p, "a backslash must be followed by one of b t n f r \" \\ u U");
}

static bool at_quotes(const struct toml_parser *p, int q, bool lines)
{
	return toml_peek(p) == q && (!lines || (toml_peek_at(p, 1) == q && toml_peek_at(p, 2) == q));
}

/* A string; its opening quote is next. */
static char *string(struct toml_parser *p, bool may_have_lines)
{
	_cleanup_wr_ struct wr w = wr_grow(TOML_MAX);
	int q = toml_peek(p);
	bool lines = toml_peek_at(p, 1) == q && toml_peek_at(p, 2) == q;

	if (lines && !may_have_lines)
		toml_error(p, "a key cannot have several lines");
	for (int i = 0; i < (lines ? 3 : 1); i++)
		toml_next(p);
	if (lines)
		(void)newline(p);
	while (!p->failed && !at_quotes(p, q, lines)) {
		int c = toml_peek(p);
		size_t n = c < 0 ? 0 : utf8_len(p);

		if (c < 0 || (c == '\n' && !lines))
			toml_error(p, "the string does not end");
		else if (lines && newline(p))
			wr_u8(&w, '\n');
		else if ((c < 0x20 && c != '\t') || c == 0x7f || !n)
			toml_error(p, "the string holds a control character or is not UTF-8");
		else if (c == '\\' && q == '"')
			escape(p, &w, lines);
		else
			while (n--)
				wr_u8(&w, (uint8_t)toml_next(p));
	}
	/* Up to two quotes may stand before the three that end the text. */
	for (int i = 0; lines && i < 2 && toml_peek_at(p, 3) == q; i++)
		wr_u8(&w, (uint8_t)toml_next(p));
	for (int i = 0; i < (lines ? 3 : 1); i++)
		toml_next(p);
	return p->failed ? NULL : wr_take(&w, NULL);
}

static bool bare_char(int c)
{
	return c > 0 && (ch_alnum((char)c) || c == '_' || c == '-') && c < 0x80;
}

char *toml_key(struct toml_parser *p)
{
	char word[256];
	size_t n = 0;

	if (toml_peek(p) == '"' || toml_peek(p) == '\'')
		return string(p, false);
	while (bare_char(toml_peek(p)) && n < sizeof word - 1)
		word[n++] = (char)toml_next(p);
	word[n] = '\0';
	if (!n)
		toml_error(p, "a key is missing: letters, digits, - and _, or quotes around it");
	return p->failed ? NULL : xstrdup(word);
}

static void word(struct toml_parser *p, struct toml *v)
{
	char text[40], digits[40];
	size_t n = 0, k = 0;

	while (n < sizeof text - 1 && (bare_char(toml_peek(p)) || toml_peek(p) == '+' || toml_peek(p) == '.' || toml_peek(p) == ':'))
		text[n++] = (char)toml_next(p);
	text[n] = '\0';
	if (streq(text, "true") || streq(text, "false")) {
		v->type = TOML_BOOL;
		v->b = text[0] == 't';
		return;
	}
	for (size_t i = text[0] == '+'; i < n; i++) {
		bool between = text[i] == '_' && i > 0 && ch_digit(text[i - 1]) && ch_digit(text[i + 1]);

		if (!between)
			digits[k++] = text[i];
	}
	digits[k] = '\0';
	v->type = TOML_INT;
	if (!n || (text[0] == '+' && !ch_digit(text[1])) || str_i64(digits, INT64_MIN, INT64_MAX, &v->i) < 0)
		toml_error(p, n ? "'%s' is no value: put quotes around a text" : "a value is missing%s", n ? text : "");
}

static void array(struct toml_parser *p, struct toml *v, unsigned depth)
{
	toml_next(p);
	while (toml_space(p) && toml_peek(p) != ']') {
		if (!toml_value(p, v, NULL, depth + 1) || !toml_space(p))
			break;
		if (toml_peek(p) == ',')
			toml_next(p);
		else if (toml_peek(p) != ']')
			toml_error(p, "a comma or ']' must follow in the array");
	}
	if (toml_next(p) != ']')
		toml_error(p, "the array does not end");
}

static void inline_table(struct toml_parser *p, struct toml *v, unsigned depth)
{
	toml_next(p);
	toml_blanks(p);
	while (!p->failed && toml_peek(p) != '}') {
		if (!toml_pair(p, v, depth + 1))
			return;
		toml_blanks(p);
		if (toml_peek(p) == ',') {
			toml_next(p);
			toml_blanks(p);
			if (toml_peek(p) == '}')
				toml_error(p, "no comma before '}'");
		} else if (toml_peek(p) != '}') {
			toml_error(p, "a comma or '}' must follow, in the same line");
		}
	}
	toml_next(p);
	v->flags = TOML_CLOSED;
}

bool toml_value(struct toml_parser *p, struct toml *to, char *key, unsigned depth)
{
	struct toml *v = toml_add(p, to, TOML_STRING, key);
	int c = toml_peek(p);

	if (!v)
		return false;
	if (depth >= TOML_DEPTH_MAX) {
		toml_error(p, "values are nested too deeply");
	} else if (c == '"' || c == '\'') {
		v->s = string(p, true);
	} else if (c == '[') {
		v->type = TOML_ARRAY;
		array(p, v, depth);
	} else if (c == '{') {
		v->type = TOML_TABLE;
		inline_table(p, v, depth);
	} else {
		word(p, v);
	}
	return !p->failed;
}
