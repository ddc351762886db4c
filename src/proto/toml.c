/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TOML: statements of a file (key = value, [table], [[array of tables]]) and the tree that they build. */
#include "proto/toml.h"

#include "base/str.h"
#include "proto/toml_value.h"

const char *toml_type_name(enum toml_type type)
{
	static const char *const names[] = { "a table", "an array", "a string", "a number", "true or false" };

	return names[type];
}

void toml_free(struct toml *t)
{
	while (t) {
		struct toml *next = t->next;

		toml_free(t->child); /* as deep as TOML_DEPTH_MAX allows */
		free(t->key);
		free(t->s);
		free(t);
		t = next;
	}
}

const struct toml *toml_get(const struct toml *t, const char *key)
{
	if (!t || t->type != TOML_TABLE)
		return NULL;
	for (const struct toml *c = t->child; c; c = c->next)
		if (streq(c->key, key))
			return c;
	return NULL;
}

struct toml *toml_add(struct toml_parser *p, struct toml *to, enum toml_type type, char *key)
{
	struct toml *n;

	if (++p->nodes > TOML_NODES_MAX) {
		free(key);
		toml_error(p, "the file has too many values");
		return NULL;
	}
	n = xcalloc(1, sizeof *n);
	n->type = type;
	n->key = key;
	n->line = p->line;
	if (to->last)
		to->last->next = n;
	else
		to->child = n;
	to->last = n;
	return n;
}

/* The table that a dotted path leads to from t, made when it is not there. */
static struct toml *descend(struct toml_parser *p, struct toml *t, char *key, unsigned made)
{
	struct toml *c = NULL;

	for (c = t->child; c; c = c->next)
		if (streq(c->key, key))
			break;
	if (!c) {
		c = toml_add(p, t, TOML_TABLE, key);
		if (c)
			c->flags = made;
		return c;
	}
	if (c->type == TOML_ARRAY && (c->flags & TOML_OF_TABLES)) {
		free(key);
		return c->last;
	}
	if (c->type != TOML_TABLE || (c->flags & TOML_CLOSED))
		toml_error(p, "'%s' is set already in line %u", key, c->line);
	free(key);
	return p->failed ? NULL : c;
}

/* key.key.key up to `end`: gives the table of the last key, and that key in ret (the caller's). */
static struct toml *path(struct toml_parser *p, struct toml *from, char **ret, unsigned made)
{
	unsigned depth = 0;
	char *key = toml_key(p);

	while (key) {
		toml_blanks(p);
		if (toml_peek(p) != '.') {
			*ret = key;
			return from;
		}
		toml_next(p);
		toml_blanks(p);
		if (++depth >= TOML_DEPTH_MAX) {
			toml_error(p, "too many dots");
			free(key);
			return NULL;
		}
		from = descend(p, from, key, made);
		if (!from)
			return NULL;
		key = toml_key(p);
	}
	return NULL;
}

bool toml_pair(struct toml_parser *p, struct toml *table, unsigned depth)
{
	char *key = NULL;
	struct toml *t = path(p, table, &key, TOML_DOTTED);

	if (!t)
		return false;
	if (toml_get(t, key)) {
		toml_error(p, "'%s' is set already in line %u", key, toml_get(t, key)->line);
		free(key);
		return false;
	}
	if (toml_peek(p) != '=') {
		toml_error(p, "a '=' must follow the key '%s'", key);
		free(key);
		return false;
	}
	toml_next(p);
	toml_blanks(p);
	return toml_value(p, t, key, depth);
}

/* [table] and [[array]]: where the following pairs go. */
static struct toml *header(struct toml_parser *p, struct toml *root)
{
	bool array = false;
	char *key = NULL;
	struct toml *t, *c;

	toml_next(p);
	if (toml_peek(p) == '[') {
		array = true;
		toml_next(p);
	}
	toml_blanks(p);
	t = path(p, root, &key, TOML_IMPLIED);
	if (!t)
		return NULL;
	if (toml_peek(p) != ']' || (array && toml_peek_at(p, 1) != ']')) {
		toml_error(p, "the name of a table must end with %s", array ? "']]'" : "']'");
		free(key);
		return NULL;
	}
	toml_next(p);
	if (array)
		toml_next(p);
	for (c = t->child; c && !streq(c->key, key); c = c->next)
		;
	if (array) {
		if (c && !(c->type == TOML_ARRAY && (c->flags & TOML_OF_TABLES)))
			toml_error(p, "'%s' is set already in line %u", key, c->line);
		if (c || p->failed)
			free(key);
		else if ((c = toml_add(p, t, TOML_ARRAY, key)))
			c->flags = TOML_OF_TABLES;
		return p->failed || !c ? NULL : toml_add(p, c, TOML_TABLE, NULL);
	}
	if (!c)
		return toml_add(p, t, TOML_TABLE, key);
	if (c->type != TOML_TABLE || !(c->flags & TOML_IMPLIED))
		toml_error(p, "the table '%s' stands already in line %u", key, c->line);
	free(key);
	c->flags &= ~TOML_IMPLIED;
	return p->failed ? NULL : c;
}

int toml_parse(struct toml **ret, struct rd r, struct err *e)
{
	struct toml_parser p = { .r = r, .line = 1 };
	struct toml *root, *table;

	*ret = NULL;
	if (rd_left(&r) > TOML_MAX)
		return err_set(e, E2BIG, "the file is larger than %u bytes", TOML_MAX);
	root = table = xcalloc(1, sizeof *root);
	root->type = TOML_TABLE;
	root->line = 1;
	while (!p.failed && toml_space(&p)) {
		if (toml_peek(&p) == '[')
			table = header(&p, root);
		else
			(void)toml_pair(&p, table, 0);
		toml_end_of_line(&p);
	}
	if (p.failed) {
		toml_free(root);
		return err_set(e, EINVAL, "line %u: %s", p.failed_line, p.text);
	}
	*ret = root;
	return 0;
}

static bool bare(const char *s)
{
	return *s && str_chars(s, "_-");
}

static void put_char(struct wr *w, unsigned char c, bool lines)
{
	if (c == '"' || c == '\\')
		wr_printf(w, "\\%c", c);
	else if (c == '\n' && lines)
		wr_u8(w, c);
	else if (c == '\n')
		wr_str(w, "\\n");
	else if (c == '\t')
		wr_str(w, "\\t");
	else if (c < 0x20 || c == 0x7f)
		wr_printf(w, "\\u%04X", c);
	else
		wr_u8(w, c);
}

void toml_put_string(struct wr *w, const char *s)
{
	wr_u8(w, '"');
	for (; *s; s++)
		put_char(w, (unsigned char)*s, false);
	wr_u8(w, '"');
}

void toml_put_text(struct wr *w, const char *s)
{
	if (!strchr(s, '\n')) {
		toml_put_string(w, s);
		return;
	}
	wr_str(w, "\"\"\"\n"); /* a newline right after the quotes does not count */
	for (; *s; s++)
		put_char(w, (unsigned char)*s, true);
	wr_str(w, "\"\"\"");
}

void toml_put_key(struct wr *w, const char *key)
{
	if (bare(key))
		wr_str(w, key);
	else
		toml_put_string(w, key);
}
