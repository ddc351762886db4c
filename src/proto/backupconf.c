/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backup profiles. */
#include "proto/backupconf.h"

#include "base/str.h"

struct parser {
	struct backup_conf *c;
	struct backup_list *open; /* the list that "- item" lines go to */
	unsigned line;
	struct err *e;
};

static int bad(const struct parser *p, const char *what)
{
	return err_set(p->e, EINVAL, "line %u: %s", p->line, what);
}

static void trim(char **s)
{
	size_t n;

	*s += strspn(*s, " \t");
	n = strlen(*s);
	while (n && strchr(" \t\r", (*s)[n - 1]))
		n--;
	(*s)[n] = '\0';
}

/* Takes the quotes and, outside of them, a comment away, in place. */
static int scalar(const struct parser *p, char **s)
{
	char *end;

	trim(s);
	if (**s == '"' || **s == '\'') {
		end = strchr(*s + 1, **s);
		if (!end || strchr(*s, '\\'))
			return bad(p, "a quoted value does not end, or has a backslash");
		*end++ = '\0';
		(*s)++;
		trim(&end);
		return *end && *end != '#' ? bad(p, "text after a quoted value") : 0;
	}
	if (**s == '#')
		**s = '\0';
	end = strstr(*s, " #");
	if (end)
		*end = '\0';
	trim(s);
	return strchr("[]{}&*|>%@`", **s) && **s ? bad(p, "only plain and quoted values are understood") : 0;
}

static int add(struct parser *p, struct backup_list *l, char *s)
{
	int r = scalar(p, &s);

	if (r < 0)
		return r;
	if (!*s || strlen(s) >= BACKUP_VALUE_MAX)
		return bad(p, "an empty or overlong item");
	if (l->n == BACKUP_ITEMS_MAX)
		return bad(p, "too many items");
	if (l->n % 16 == 0)
		l->items = xreallocarray(l->items, l->n + 16, sizeof *l->items);
	l->items[l->n++] = xstrdup(s);
	return 0;
}

/* [a, b] */
static int flow(struct parser *p, struct backup_list *l, char *s)
{
	char *end = strchr(s, ']'), *rest;
	int r = 0;

	if (!end)
		return bad(p, "a list does not end");
	rest = end + 1;
	*end = '\0';
	trim(&rest);
	if (*rest && *rest != '#')
		return bad(p, "text after a list");
	trim(&s);
	while (r == 0 && *s) {
		char *comma = strchrnul(s, ','), *next = *comma ? comma + 1 : comma;

		*comma = '\0';
		r = add(p, l, s);
		s = next;
	}
	return r;
}

static int put_list(struct parser *p, struct backup_list *l, char *value)
{
	if (l->given)
		return bad(p, "a key comes twice");
	l->given = true;
	trim(&value);
	if (*value == '[')
		return flow(p, l, value + 1);
	if (*value && *value != '#')
		return add(p, l, value);
	p->open = l;
	return 0;
}

static int put_text(struct parser *p, char out[BACKUP_VALUE_MAX], char *value)
{
	int r = scalar(p, &value);

	if (r < 0)
		return r;
	return out[0] ? bad(p, "a key comes twice") : str_copy(out, BACKUP_VALUE_MAX, value) < 0 ? bad(p, "an overlong value") : 0;
}

static int put(struct parser *p, const char *key, char *value)
{
	struct backup_conf *c = p->c;

	p->open = NULL;
	if (streq(key, "include"))
		return put_list(p, &c->include, value);
	if (streq(key, "exclude"))
		return put_list(p, &c->exclude, value);
	if (streq(key, "destination_vm"))
		return put_text(p, c->destination_vm, value);
	if (streq(key, "destination_path"))
		return put_text(p, c->destination_path, value);
	if (streq(key, "compression"))
		return put_text(p, c->compression, value);
	if (streq(key, "passphrase_vm"))
		return put_text(p, c->passphrase_vm, value);
	if (!streq(key, "passphrase_text"))
		return bad(p, "an unknown key");
	trim(&value);
	c->passphrase_text = *value != '\0';
	return 0;
}

static int line(struct parser *p, char *s)
{
	char *colon;

	trim(&s);
	if (!*s || *s == '#' || streq(s, "---"))
		return 0;
	if (s[0] == '-' && (s[1] == ' ' || !s[1]))
		return p->open ? add(p, p->open, s + 1) : bad(p, "an item of no list");
	colon = strchr(s, ':');
	if (!colon || (colon[1] && colon[1] != ' '))
		return bad(p, "neither \"key: value\" nor \"- item\"");
	*colon = '\0';
	return put(p, s, colon + 1);
}

int backup_conf_parse(struct backup_conf *ret, struct rd text, struct err *e)
{
	struct parser p = { .c = ret, .e = e };
	struct rd l;

	*ret = (struct backup_conf){ 0 };
	if (rd_left(&text) > BACKUP_CONF_MAX)
		return err_set(e, EINVAL, "the profile is too long");
	while (rd_line(&text, &l)) {
		_cleanup_free_ char *s = rd_dup(&l, BACKUP_CONF_MAX);
		int r;

		p.line++;
		r = s ? line(&p, s) : bad(&p, "a NUL byte");
		if (r < 0)
			return r;
	}
	return 0;
}

static void list_fini(struct backup_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i]);
	free(l->items);
}

void backup_conf_fini(struct backup_conf *c)
{
	list_fini(&c->include);
	list_fini(&c->exclude);
	*c = (struct backup_conf){ 0 };
}
