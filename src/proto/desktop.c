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

int desktop_exec(struct rd file, char *text, size_t cap_text, char **ret, size_t cap, struct err *e)
{
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
			if (rd_left(&r) && (char)rd_u8(&r) == '%')
				put(&w, '%');
		} else if (c == '"') {
			if (quoted(&r, &w) < 0)
				return err_set(e, EINVAL, "unbalanced quotes in the Exec line");
		} else {
			put(&w, c);
		}
	}
	end_word(&w);
	if (w.out >= w.end)
		return err_set(e, E2BIG, "the Exec line is too long");
	if (w.n == 0)
		return err_set(e, EINVAL, "the Exec line is empty");
	ret[w.n] = NULL;
	return (int)w.n;
}
