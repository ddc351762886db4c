/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Command lines and layouts as text. */
#include "gui/desktop/args.h"

#include <stdarg.h>

#include "base/rd.h"
#include "base/str.h"
#include "gui/guid/opts.h"

enum kind { K_BOOL, K_TEXT, K_LIST };

static const struct {
	const char *key;
	enum kind kind;
} rows[] = {
#define BOOL(key, def) { #key, K_BOOL },
#define NUM(key, min, max, def) { #key, K_TEXT },
#define COLOUR(key, def) { #key, K_TEXT },
#define WORD(key, def, ...) { #key, K_TEXT },
#define CHORD(key, def) { #key, K_TEXT },
#define LIST(key) { #key, K_LIST },
#include "gui/guid/opts.def"
#undef BOOL
#undef NUM
#undef COLOUR
#undef WORD
#undef CHORD
#undef LIST
};

static void take(struct guid_args *a, char *s)
{
	if (a->n < GUID_ARGS_MAX)
		a->v[a->n++] = s;
	else
		free(s);
}

static _printf_(3, 4) void opt(struct guid_args *a, const char *name, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	va_end(ap);
	take(a, xstrdup(name));
	take(a, s);
}

struct build {
	struct guid_args *a;
	struct opts checked; /* what guid would make of it */
	feature_fn own, defaults;
	void *arg;
	void (*warn)(const char *text, void *arg);
};

static const char *value_of(struct build *b, const char *key, enum kind kind)
{
	const struct {
		feature_fn fn;
		const char *prefix;
	} from[] = { { b->own, "gui-" }, { b->defaults, "gui-default-" } };

	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		char name[96];
		const char *v;

		if (str_printf(name, sizeof name, "%s%s", from[i].prefix, key) < 0)
			continue;
		for (char *c = name; *c; c++)
			*c = *c == '_' ? '-' : *c;
		v = from[i].fn(name, b->arg);
		if (v && (v[0] || kind == K_BOOL))
			return v;
	}
	return NULL;
}

static void add(struct build *b, const char *key, const char *value)
{
	_cleanup_free_ char *text = xasprintf("%s=%s", key, value);
	struct err e = { 0 };

	if (opts_set(&b->checked, text, &e) < 0)
		b->warn(e.msg, b->arg);
	else
		opt(b->a, "--option", "%s", text);
}

static void add_list(struct build *b, const char *key, const char *value)
{
	while (*(value += strspn(value, ", ")) != '\0') {
		size_t n = strcspn(value, ", ");
		_cleanup_free_ char *one = xasprintf("%.*s", (int)MIN(n, (size_t)OPTS_NAME_CAP), value);

		add(b, key, one);
		value += n;
	}
}

void guid_args_build(struct guid_args *a, const struct guid_facts *f, feature_fn own, feature_fn defaults, void *arg, void (*warn)(const char *text, void *arg))
{
	struct build b = { .a = a, .own = own, .defaults = defaults, .arg = arg, .warn = warn };

	memset(a, 0, sizeof *a);
	opts_default(&b.checked);
	take(a, xstrdup("guid"));
	opt(a, "--qid", "%u", f->qid);
	opt(a, "--name", "%s", f->name);
	opt(a, "--label-index", "%u", f->label_index);
	opt(a, "--colour", "%s", f->colour);
	opt(a, "--icon", "%s", f->icon);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *v = value_of(&b, rows[i].key, rows[i].kind);

		if (!v)
			continue;
		if (rows[i].kind == K_BOOL)
			add(&b, rows[i].key, v[0] ? "true" : "false");
		else if (rows[i].kind == K_LIST)
			add_list(&b, rows[i].key, v);
		else
			add(&b, rows[i].key, v);
	}
	a->clipboard_max = b.checked.max_clipboard_size;
}

bool guid_args_same(const struct guid_args *a, const struct guid_args *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!streq(a->v[i], b->v[i]))
			return false;
	return true;
}

void guid_args_fini(struct guid_args *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i]);
	memset(a, 0, sizeof *a);
}

/* --- monitors -------------------------------------------------------------------------------------------------------- */

#define DPI_PLAIN 96u

unsigned monitor_scale(const struct monitor *m)
{
	/* What desktops do by themselves: an ordinary laptop of 160 dots an inch is not enlarged. */
	static const struct {
		unsigned dpi, quarters;
	} steps[] = { { 165, 4 }, { 190, 6 }, { 250, 8 }, { 300, 10 }, { UINT32_MAX, 12 } };
	unsigned quarters, i = 0;
	uint64_t dpi;

	if (m->dpi) {
		quarters = (m->dpi * 4 + DPI_PLAIN / 2) / DPI_PLAIN;
		return quarters < 4 ? 4 : quarters > 12 ? 12 : quarters;
	}
	/* Projectors and televisions say all kinds of things. */
	if (m->w_mm < 50 || m->h_mm < 30 || m->w == 0)
		return 4;
	dpi = (uint64_t)m->w * 254 / (10u * m->w_mm);
	while (dpi >= steps[i].dpi)
		i++;
	return steps[i].quarters;
}

void layout_put(struct wr *w, const struct monitor *m, size_t n)
{
	for (size_t i = 0; i < n && i < MONITORS_MAX; i++) {
		unsigned scale = monitor_scale(&m[i]);

		wr_printf(w, "%u %u %d %d", m[i].w, m[i].h, m[i].x, m[i].y);
		if (scale > 4)
			wr_printf(w, " %u %u", (unsigned)((uint64_t)m[i].w * 254 * 4 / (DPI_PLAIN * 10u * scale)),
				  (unsigned)((uint64_t)m[i].h * 254 * 4 / (DPI_PLAIN * 10u * scale)));
		wr_str(w, "\n");
	}
}

/* --- keyboard --------------------------------------------------------------------------------------------------------- */

int keyboard_put(const void *p, size_t n, char *out, size_t cap)
{
	const char *s = p, *part[5];

	for (size_t i = 0; i < ARRAY_SIZE(part); i++) {
		const char *end = n ? memchr(s, '\0', n) : NULL;

		if (!end)
			return -EINVAL;
		part[i] = s;
		n -= (size_t)(end - s) + 1;
		s = end + 1;
	}
	for (size_t i = 2; i < ARRAY_SIZE(part); i++)
		if (!str_chars(part[i], "_-,:()"))
			return -EINVAL;
	return part[2][0] && str_printf(out, cap, "%s+%s+%s", part[2], part[3], part[4]) == 0 ? 0 : -EINVAL;
}
