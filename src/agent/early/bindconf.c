/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decoder of bind-dirs files and of /persist/ values. */
#include "agent/early/bindconf.h"

#include "base/str.h"

#define PATH_LEN_MAX 1000

void binds_clear(struct binds *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->path[i]);
	b->n = 0;
}

static bool path_ok(const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/' || strspn(path, "/") == len || len > PATH_LEN_MAX)
		return false;
	return !strstr(path, "/../") && !str_ends(path, "/..") && !strchr(path, '\n');
}

int binds_add(struct binds *b, const char *path, struct err *e)
{
	char *copy;

	if (!path_ok(path))
		return err_set(e, EINVAL, "a bind-dirs path is not absolute or leads upwards");
	if (b->n == BINDS_MAX)
		return err_set(e, E2BIG, "more than %d bind-dirs", BINDS_MAX);
	copy = strdup(path);
	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	/* A trailing slash would make two names of one directory. */
	for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	b->path[b->n++] = copy;
	return 0;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* skip_blank passes over blanks and comments; a comment begins only where a word could. */
static void skip_blank(struct rd *r)
{
	while (rd_left(r) > 0) {
		if (*r->p == '#')
			while (rd_left(r) > 0 && *r->p != '\n')
				rd_skip(r, 1);
		else if (is_blank(*r->p))
			rd_skip(r, 1);
		else
			break;
	}
}

static bool take(struct rd *r, const char *text)
{
	size_t n = strlen(text);

	if (rd_left(r) < n || memcmp(r->p, text, n) != 0)
		return false;
	rd_skip(r, n);
	return true;
}

/* word reads one word of an array; -ENOTSUP for everything that a shell would expand. */
static int word(struct rd *r, char *out, size_t cap)
{
	uint8_t quote = 0;
	size_t n = 0;

	while (rd_left(r) > 0) {
		uint8_t c = *r->p;

		if (!quote && (is_blank(c) || c == ')'))
			break;
		rd_skip(r, 1);
		if (!quote && (c == '\'' || c == '"')) {
			quote = c;
			continue;
		}
		if (quote && c == quote) {
			quote = 0;
			continue;
		}
		if (quote != '\'' && strchr("$`\\", c))
			return -ENOTSUP;
		if (!quote && strchr("*?[]{}~<>|&;(!", c))
			return -ENOTSUP;
		if (n + 1 >= cap || c == 0)
			return -ENOTSUP;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return quote ? -ENOTSUP : 0;
}

static int parse_array(struct rd *r, struct binds *b, struct err *e)
{
	char text[PATH_LEN_MAX + 2];

	for (;;) {
		int err;

		skip_blank(r);
		if (rd_left(r) == 0)
			return -ENOTSUP;
		if (take(r, ")"))
			return 0;
		err = word(r, text, sizeof text);
		if (err == 0)
			err = binds_add(b, text, e);
		if (err < 0)
			return err;
	}
}

static int parse_all(struct rd *r, struct binds *b, struct err *e)
{
	for (;;) {
		int err;

		skip_blank(r);
		if (rd_left(r) == 0)
			return 0;
		if (take(r, "binds=("))
			binds_clear(b);
		else if (!take(r, "binds+=("))
			return -ENOTSUP;
		err = parse_array(r, b, e);
		if (err < 0)
			return err;
	}
}

int binds_parse(struct rd r, struct binds *b, struct err *e)
{
	struct binds work = { .n = 0 };
	int err = 0;

	for (size_t i = 0; err == 0 && i < b->n; i++)
		err = binds_add(&work, b->path[i], e);
	if (err == 0)
		err = parse_all(&r, &work, e);
	if (err < 0) {
		binds_clear(&work);
		return err == -ENOTSUP ? err_set(e, ENOTSUP, "more shell than is decoded here") : err;
	}
	binds_clear(b);
	*b = work;
	return 0;
}

static bool name_ok(const char *s)
{
	return s[0] && str_chars(s, "_-.") && s[0] != '-';
}

static int parse_mode(const char *s, unsigned *ret)
{
	unsigned v = 0;

	if (!*s || strlen(s) > 4)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '7')
			return -EINVAL;
		v = v << 3 | (unsigned)(*s - '0');
	}
	*ret = v;
	return 0;
}

int persist_parse(const char *value, struct persist *ret, struct err *e)
{
	struct rd r = rd_mem(value, strlen(value));
	struct persist p = { 0 };
	struct rd field;
	char mode[8] = "";

	if (value[0] != '/') {
		field = rd_until(&r, ':');
		p.kind = rd_eq(&field, "file") ? 'f' : rd_eq(&field, "dir") ? 'd' : 0;
		if (!p.kind)
			return err_set(e, EINVAL, "a persist entry is neither a path, file nor dir");
		field = rd_until(&r, ':');
		rd_text(&field, p.owner, sizeof p.owner);
		if (!rd_ok(&field))
			rd_fail(&r);
		field = rd_until(&r, ':');
		rd_text(&field, p.group, sizeof p.group);
		if (!rd_ok(&field))
			rd_fail(&r);
		field = rd_until(&r, ':');
		rd_text(&field, mode, sizeof mode);
		if (!rd_ok(&field))
			rd_fail(&r);
		if (!name_ok(p.owner) || !name_ok(p.group) || parse_mode(mode, &p.mode) < 0)
			return err_set(e, EINVAL, "a persist entry has a bad owner, group or mode");
	}
	rd_text(&r, p.path, sizeof p.path);
	if (!rd_ok(&r) || !path_ok(p.path))
		return err_set(e, EINVAL, "a persist entry has a bad path");
	*ret = p;
	return 0;
}
