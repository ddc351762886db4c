/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Exec lines of desktop files. */
#include "proto/desktop.h"

#include "base/str.h"

static int find_exec(struct rd file, struct rd *ret)
{
	bool in_group = false;
	struct rd line;

	while (rd_line(&file, &line)) {
		struct rd key;

		if (rd_left(&line) && *line.p == '[') {
			in_group = rd_eq(&line, "[Desktop Entry]");
			continue;
		}
		if (!in_group)
			continue;
		key = rd_until(&line, '=');
		if (rd_ok(&line) && rd_eq(&key, "Exec")) {
			*ret = line;
			return 0;
		}
	}
	return -ENOENT;
}

struct words {
	char *out, *end, **v;
	size_t n, cap;
	bool open; /* a word has begun */
};

static void put(struct words *w, char c)
{
	if (!w->open) {
		if (w->n + 1 >= w->cap || w->out == w->end) {
			w->end = w->out;
			return;
		}
		w->v[w->n++] = w->out;
		w->open = true;
	}
	if (w->out < w->end)
		*w->out++ = c;
}

static void end_word(struct words *w)
{
	if (w->open)
		put(w, 0);
	w->open = false;
}

/* What follows '\' inside quotes stands for itself; the file format doubles the character. */
static int quoted(struct rd *r, struct words *w)
{
	while (rd_left(r)) {
		char c = (char)rd_u8(r);

		if (c == '"')
			return 0;
		if (c == '\\' && rd_left(r)) {
			c = (char)rd_u8(r);
			if (c == '\\' && rd_left(r) && *r->p != '"')
				c = (char)rd_u8(r);
		}
		put(w, c);
	}
	return -EINVAL;
}

/* What a field code stands for: only the ones for files and addresses, and only when something is opened. */
static bool field(struct words *w, char code, const char *operand)
{
	if (code == '%') {
		put(w, '%');
		return false;
	}
	if (!operand || !code || !strchr("fFuU", code))
		return false;
	for (const char *s = operand; *s; s++)
		put(w, *s);
	return true;
}

int desktop_exec(struct rd file, char *text, size_t cap_text, char **ret, size_t cap, struct err *e)
{
	return desktop_exec_with(file, NULL, text, cap_text, ret, cap, e);
}

int desktop_exec_with(struct rd file, const char *operand, char *text, size_t cap_text, char **ret, size_t cap, struct err *e)
{
	bool used = false;
	struct words w = { .out = text, .end = text + cap_text, .v = ret, .cap = cap };
	struct rd r = { 0 };

	if (find_exec(file, &r) < 0)
		return err_set(e, ENOENT, "there is no Exec line");
	if (rd_left(&r) && memchr(r.p, 0, rd_left(&r)))
		return err_set(e, EINVAL, "NUL byte in the Exec line");
	while (rd_left(&r)) {
		char c = (char)rd_u8(&r);

		if (c == ' ' || c == '\t' || c == '\r') {
			end_word(&w);
		} else if (c == '%') {
			used |= field(&w, (char)rd_u8(&r), operand);
		} else if (c == '"') {
			if (quoted(&r, &w) < 0)
				return err_set(e, EINVAL, "unbalanced quotes in the Exec line");
		} else {
			put(&w, c);
		}
	}
	end_word(&w);
	if (operand && !used && w.n) {
		field(&w, 'f', operand);
		end_word(&w);
	}
	if (w.out >= w.end)
		return err_set(e, E2BIG, "the Exec line is too long");
	if (w.n == 0)
		return err_set(e, EINVAL, "the Exec line is empty");
	ret[w.n] = NULL;
	return (int)w.n;
}

static size_t literal_len(const struct rd *pattern)
{
	for (const uint8_t *p = pattern->p; p < pattern->end; p++)
		if (strchr("*?[", *p))
			return 0;
	return rd_left(pattern);
}

/* Does the pattern match? How much of it is literal counts. */
static size_t match(struct rd pattern, const char *name)
{
	size_t n = strlen(name), len;

	if (rd_left(&pattern) > 1 && *pattern.p == '*') {
		rd_skip(&pattern, 1);
		len = literal_len(&pattern);
		return len && len < n && strncasecmp(name + n - len, (const char *)pattern.p, len) == 0 ? len : 0;
	}
	len = literal_len(&pattern);
	return len == n && memcmp(name, pattern.p, len) == 0 ? len : 0;
}

static unsigned weight_of(struct rd r)
{
	unsigned v = 0;

	while (rd_left(&r) && v < 1000) {
		uint8_t c = rd_u8(&r);

		if (c < '0' || c > '9')
			return 0;
		v = v * 10 + (unsigned)(c - '0');
	}
	return v;
}

bool mime_of_name(struct rd globs, const char *name, char out[MIME_CAP])
{
	size_t best_len = 0;
	unsigned best = 0;
	struct rd line;

	while (rd_line(&globs, &line)) {
		struct rd weight = rd_until(&line, ':'), type = rd_until(&line, ':'), pattern;
		unsigned v = weight_of(weight);
		size_t n;

		if (!rd_ok(&line) || v == 0 || rd_left(&type) >= MIME_CAP || memchr(type.p, 0, rd_left(&type)))
			continue;
		/* flags may follow */
		pattern = memchr(line.p, ':', rd_left(&line)) ? rd_until(&line, ':') : line;
		n = rd_left(&pattern) ? match(pattern, name) : 0;
		if (n && (v > best || (v == best && n > best_len))) {
			best = v;
			best_len = n;
			rd_text(&type, out, MIME_CAP);
		}
	}
	return best > 0;
}

/* The id numbered skip of "a.desktop;b.desktop;". */
static bool nth(struct rd list, unsigned skip, char out[MIME_CAP])
{
	while (rd_left(&list)) {
		struct rd id = memchr(list.p, ';', rd_left(&list)) ? rd_until(&list, ';') : rd_sub(&list, rd_left(&list));

		if (skip-- > 0)
			continue;
		rd_text(&id, out, MIME_CAP);
		return rd_ok(&id) && out[0] && out[0] != '.' && out[0] != '-' && str_chars(out, "._-") && str_ends(out, ".desktop");
	}
	return false;
}

bool mime_app(struct rd list, const char *group, const char *type, unsigned skip, char out[MIME_CAP])
{
	bool in_group = false;
	struct rd line, key;

	while (rd_line(&list, &line)) {
		if (rd_left(&line) && *line.p == '[') {
			rd_skip(&line, 1);
			key = rd_until(&line, ']');
			in_group = rd_ok(&line) && rd_eq(&key, group);
			continue;
		}
		if (!in_group)
			continue;
		key = rd_until(&line, '=');
		if (rd_ok(&line) && rd_eq(&key, type))
			return nth(line, skip, out);
	}
	return false;
}
