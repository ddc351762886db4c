/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables, JSON and foreign text on standard output. */
#include "tool/tool.h"

#include <stdarg.h>

struct cell {
	char *s;
	uint32_t rgb; /* with the top byte set when there is a colour */
};

struct table {
	size_t n_cols, n, cap;
	struct cell *cells;
	bool *right;
};

#define HAS_RGB 0x80000000u

struct table *table_new(size_t n_cols)
{
	struct table *tb = xcalloc(1, sizeof *tb);

	tb->n_cols = n_cols ? n_cols : 1;
	tb->right = xcalloc(tb->n_cols, sizeof *tb->right);
	return tb;
}

void table_free(struct table *tb)
{
	for (size_t i = 0; i < tb->n; i++)
		free(tb->cells[i].s);
	free(tb->cells);
	free(tb->right);
	free(tb);
}

void table_add(struct table *tb, const char *s)
{
	char *own = xstrdup(s ? s : "-");

	for (char *p = own; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '_';
	if (tb->n == tb->cap) {
		tb->cap = tb->cap ? tb->cap * 2 : 64;
		tb->cells = xreallocarray(tb->cells, tb->cap, sizeof *tb->cells);
	}
	tb->cells[tb->n++] = (struct cell){ .s = own };
}

void table_addf(struct table *tb, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	table_add(tb, text);
}

void table_colour(struct table *tb, uint32_t rgb)
{
	if (tb->n)
		tb->cells[tb->n - 1].rgb = (rgb & 0xffffff) | HAS_RGB;
}

void table_right(struct table *tb, size_t c)
{
	if (c < tb->n_cols)
		tb->right[c] = true;
}

/* Columns on a terminal: characters, so continuation bytes of UTF-8 do not count. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void pad(size_t n)
{
	while (n--)
		(void)putchar(' ');
}

bool colour_of(FILE *f)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(fileno(f)) == 1 && !(no && *no) && term && !streq(term, "dumb");
}

const char *sgr_of(char out[SGR_MAX], uint32_t rgb)
{
	unsigned r = rgb >> 16 & 0xff, g = rgb >> 8 & 0xff, b = rgb & 0xff;

	if (r + g + b < 60 || str_printf(out, SGR_MAX, "\033[38;2;%u;%u;%um", r, g, b) < 0)
		memcpy(out, "\033[1m", sizeof "\033[1m");
	return out;
}

static void print_cell(const struct tool *t, const struct cell *c)
{
	char on[SGR_MAX];

	if (!(c->rgb & HAS_RGB) || !t->colour)
		(void)fputs(c->s, stdout);
	else
		printf("%s%s\033[0m", sgr_of(on, c->rgb), c->s);
}

void table_print(const struct table *tb, const struct tool *t, bool header)
{
	_cleanup_free_ size_t *w = xcalloc(tb->n_cols, sizeof *w);
	size_t first = header ? 0 : tb->n_cols;

	for (size_t i = first; i < tb->n; i++)
		w[i % tb->n_cols] = MAX(w[i % tb->n_cols], width(tb->cells[i].s));
	for (size_t i = first; i < tb->n; i++) {
		size_t c = i % tb->n_cols, gap = w[c] - width(tb->cells[i].s);
		bool last = c + 1 == tb->n_cols;

		if (tb->right[c])
			pad(gap);
		print_cell(t, &tb->cells[i]);
		if (!last && !tb->right[c])
			pad(gap);
		if (last)
			(void)putchar('\n');
		else
			pad(2);
	}
}

void out_text(const struct tool *t, const char *s)
{
	if (!t->tty) {
		(void)fputs(s, stdout);
		return;
	}
	for (; *s; s++) {
		bool control = ((unsigned char)*s < ' ' && *s != '\n' && *s != '\t') || *s == 0x7f;

		(void)putchar(control ? '_' : *s);
	}
}

static void json_text(const char *s)
{
	(void)putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char)*s < ' ' || *s == 0x7f)
			printf("\\u%04x", (unsigned)(unsigned char)*s);
		else
			(void)putchar(*s);
	}
	(void)putchar('"');
}

static void json_key(struct json *j, const char *key)
{
	if (j->more)
		(void)putchar(',');
	if (j->depth) {
		(void)putchar('\n');
		pad((size_t)j->depth * 2);
	}
	if (key) {
		json_text(key);
		(void)fputs(": ", stdout);
	}
	j->more = true;
}

void json_open(struct json *j, const char *key, char bracket)
{
	json_key(j, key);
	(void)putchar(bracket);
	j->depth++;
	j->more = false;
}

void json_close(struct json *j, char bracket)
{
	j->depth--;
	if (j->more) {
		(void)putchar('\n');
		pad((size_t)j->depth * 2);
	}
	(void)putchar(bracket);
	j->more = true;
	if (j->depth == 0)
		(void)putchar('\n');
}

void json_str(struct json *j, const char *key, const char *v)
{
	json_key(j, key);
	if (v)
		json_text(v);
	else
		(void)fputs("null", stdout);
}

void json_int(struct json *j, const char *key, int64_t v)
{
	json_key(j, key);
	printf("%lld", (long long)v);
}

void json_bool(struct json *j, const char *key, bool v)
{
	json_key(j, key);
	(void)fputs(v ? "true" : "false", stdout);
}
