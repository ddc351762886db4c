/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Loading of a policy: directories, files, directives. Includes are bounded in depth and number, and a file that includes itself is an error,
 * so that no policy text can keep the loader busy for long.
 */
#include "base/str.h"
#include "proto/policy.h"
#include "proto/policy_lex.h"

struct load {
	const struct pol_loader *l;
	struct policy *p;
	unsigned depth, n_read;
	bool in_compat;
	const char *stack[POL_DEPTH_MAX]; /* display names of the files being read */
};

/* One file being read. service set = three-column form for that service and argument. */
struct file {
	int dir;
	const char *shown;
	const char *service, *argument;
	unsigned line;
};

static int load_text(struct load *x, const struct file *from, int dir, const char *path, const char *service, const char *argument,
		     struct err *e);

static int fail(const struct file *f, struct err *e)
{
	struct err inner = e ? *e : (struct err){ 0 };

	return err_set(e, EBADMSG, "%s:%u: %s", f->shown, f->line, inner.msg);
}

static int fail_text(const struct file *f, struct err *e, const char *text)
{
	return err_set(e, EBADMSG, "%s:%u: %s", f->shown, f->line, text);
}

static int name_cmp(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static void names_free(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

int pol_file_name_ok(const char *name)
{
	if (name[0] == '.' || !str_ends(name, ".policy"))
		return 0;
	for (const char *s = name; *s; s++)
		if (!((*s >= 'a' && *s <= 'z') || ch_digit(*s) || strchr("_.-", *s)))
			return -EBADMSG;
	return 1;
}

/* Keeps the policy files of a listing, sorted. */
static int filter_names(const char *shown, char **v, size_t *n, struct err *e)
{
	size_t out = 0;
	int r = 0;

	for (size_t i = 0; i < *n; i++) {
		int ok = pol_file_name_ok(v[i]);
		char esc[100];

		if (ok < 0)
			r = err_set(e, EBADMSG, "%s/%s: the name of a policy file may only have a-z 0-9 _ . -", shown,
				    str_escape(esc, sizeof esc, v[i], strlen(v[i])));
		if (ok > 0)
			v[out++] = v[i];
		else
			free(v[i]);
	}
	*n = out;
	if (out)
		qsort(v, out, sizeof(*v), name_cmp);
	return r;
}

static const char *dir_name(const struct load *x, int dir)
{
	const char *s = x->l->dir_name ? x->l->dir_name(x->l->arg, dir) : NULL;

	return s ? s : "";
}

static const char *show(struct load *x, int dir, const char *path)
{
	const char *d = path[0] == '/' ? "" : dir_name(x, dir);
	char *s = d[0] ? xasprintf("%s/%s", d, path) : xstrdup(path);

	for (size_t i = 0; i < x->p->n_files; i++)
		if (streq(x->p->files[i], s)) {
			free(s);
			return x->p->files[i];
		}
	x->p->files = xreallocarray(x->p->files, x->p->n_files + 1, sizeof(*x->p->files));
	x->p->files[x->p->n_files++] = s;
	return s;
}

static int add_rule(struct load *x, const struct file *f, struct pol_rule *r, struct err *e)
{
	struct policy *p = x->p;

	if (p->n_rules == POL_RULES_MAX) {
		pol_rule_fini(r);
		return fail_text(f, e, "the policy has too many rules");
	}
	if (p->n_rules == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 64;
		p->rules = xreallocarray(p->rules, p->cap, sizeof(*p->rules));
	}
	r->file = f->shown;
	r->line = f->line;
	p->rules[p->n_rules++] = *r;
	return 0;
}

static int include_dir(struct load *x, const struct file *f, const char *path, struct err *e)
{
	char **names = NULL;
	size_t n = 0;
	int r;

	e = e ? e : &(struct err){ 0 };
	r = x->l->list(x->l->arg, f->dir, path, &names, &n, e);
	if (r < 0) {
		if (!e->msg[0])
			err_errno(e, -r, "'%s'", path);
		return fail(f, e);
	}
	r = filter_names(path, names, &n, e);
	if (r < 0)
		r = fail(f, e);
	for (size_t i = 0; i < n && r == 0; i++) {
		_cleanup_free_ char *full = xasprintf("%s/%s", path, names[i]);

		r = load_text(x, f, f->dir, full, NULL, NULL, e);
	}
	names_free(names, n);
	return r;
}

static bool legacy_skipped(const char *name)
{
	return name[0] == '.' || str_ends(name, ".rpmsave") || str_ends(name, ".rpmnew") || str_ends(name, ".swp") || !str_chars(name, "+._-");
}

/* By service; a service's files with an argument in order, its general file last. */
static int legacy_cmp(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	size_t n = strcspn(*x, "+"), m = strcspn(*y, "+");
	int r = memcmp(*x, *y, MIN(n, m));

	if (r == 0 && n != m)
		return n < m ? -1 : 1;
	if (r == 0 && ((*x)[n] == '\0') != ((*y)[m] == '\0'))
		return (*x)[n] ? -1 : 1;
	return r ? r : strcmp(*x, *y);
}

static int implied_deny(struct load *x, const struct file *f, const char *service, const char *argument, struct err *e)
{
	static const char *const lines[] = { "@anyvm @anyvm deny", "@anyvm @adminvm deny" };
	struct file at = { .shown = f->shown };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct pol_rule rule;
		int r = pol_rule_parse_40(&rule, service, argument, lines[i], e);

		if (r == 0)
			r = add_rule(x, &at, &rule, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int legacy_file(struct load *x, const struct file *f, const char *name, struct err *e)
{
	size_t n = strcspn(name, "+");
	_cleanup_free_ char *service = xstrndup(name, n);
	const char *argument = name[n] ? name + n : "*";
	struct file at = { .shown = show(x, POL_DIR_LEGACY, name) };
	int r;

	if (!service[0])
		return fail_text(f, e, "a file of the old policy directory has no service in its name");
	r = load_text(x, f, POL_DIR_LEGACY, name, service, argument, e);
	if (r == 0 && name[n])
		r = implied_deny(x, &at, service, argument, e);
	return r;
}

static int compat(struct load *x, const struct file *f, struct err *e)
{
	char **names = NULL;
	size_t n = 0, out = 0;
	int r;

	e = e ? e : &(struct err){ 0 };
	if (x->in_compat)
		return fail_text(f, e, "!compat-4.0 inside itself");
	r = x->l->list(x->l->arg, POL_DIR_LEGACY, ".", &names, &n, e);
	if (r < 0) {
		if (!e->msg[0])
			err_errno(e, -r, "the directory of the old policy");
		return fail(f, e);
	}
	for (size_t i = 0; i < n; i++) {
		if (legacy_skipped(names[i]))
			free(names[i]);
		else
			names[out++] = names[i];
	}
	if (out)
		qsort(names, out, sizeof(*names), legacy_cmp);
	x->in_compat = true;
	for (size_t i = 0; i < out && r == 0; i++)
		r = legacy_file(x, f, names[i], e);
	x->in_compat = false;
	names_free(names, out);
	return r;
}

static int include_service(struct load *x, const struct file *f, char **w, struct err *e)
{
	struct pol_rule probe;
	int r = pol_rule_parse_40(&probe, w[1], w[2], "* * deny", e);

	if (r < 0)
		return fail(f, e);
	pol_rule_fini(&probe);
	return load_text(x, f, f->dir, w[3], w[1], w[2], e);
}

/* A line that begins with '!'. */
static int directive(struct load *x, const struct file *f, const char *p, size_t n, struct err *e)
{
	static const struct {
		const char *name;
		size_t words;
		bool legacy;
	} table[] = { { "!include", 2, true }, { "!include-dir", 2, false }, { "!include-service", 4, false }, { "!compat-4.0", 1, false } };
	struct pol_words w;
	size_t k = 0;
	int r;

	pol_split(&w, p, n, false);
	while (k < ARRAY_SIZE(table) && !streq(w.v[0], table[k].name))
		k++;
	if (k == ARRAY_SIZE(table) || (f->service && !table[k].legacy))
		r = fail_text(f, e, f->service ? "only !include is possible in an old-style file" : "unknown directive");
	else if (w.n != table[k].words || w.more)
		r = fail_text(f, e, "wrong number of parameters of a directive");
	else if (k == 0)
		r = load_text(x, f, f->dir, w.v[1], f->service, f->argument, e);
	else if (k == 1)
		r = include_dir(x, f, w.v[1], e);
	else if (k == 2)
		r = include_service(x, f, w.v, e);
	else
		r = compat(x, f, e);
	pol_words_fini(&w);
	return r;
}

static int one_line(struct load *x, const struct file *f, const char *p, size_t n, struct err *e)
{
	static const char old_include[] = "$include:";
	_cleanup_free_ char *line = NULL;
	struct pol_rule rule;
	int r;

	pol_trim(&p, &n);
	if (n == 0 || p[0] == '#')
		return 0;
	if (p[0] == '!')
		return directive(x, f, p, n, e);
	line = xstrndup(p, n);
	if (f->service && str_starts(line, old_include)) {
		const char *path = line + strlen(old_include);
		size_t len = strlen(path);

		pol_trim(&path, &len);
		return load_text(x, f, f->dir, path, f->service, f->argument, e);
	}
	r = f->service ? pol_rule_parse_40(&rule, f->service, f->argument, line, e) : pol_rule_parse(&rule, line, e);
	return r < 0 ? fail(f, e) : add_rule(x, f, &rule, e);
}

/* May this file be read now? Names the reason in e when not. */
static int may_read(struct load *x, const char *shown, struct err *e)
{
	if (x->depth == POL_DEPTH_MAX)
		return err_set(e, EBADMSG, "%s: more than %d nested includes", shown, POL_DEPTH_MAX);
	if (++x->n_read > POL_FILES_MAX)
		return err_set(e, EBADMSG, "%s: more than %d files", shown, POL_FILES_MAX);
	for (unsigned i = 0; i < x->depth; i++)
		if (streq(x->stack[i], shown))
			return err_set(e, EBADMSG, "%s includes itself", shown);
	return 0;
}

/* Reads one file; from is the file and line that asked for it, or NULL. */
static int load_text(struct load *x, const struct file *from, int dir, const char *path, const char *service, const char *argument,
		     struct err *e)
{
	struct file f = { .dir = dir, .shown = show(x, dir, path), .service = service, .argument = argument };
	_cleanup_free_ char *text = NULL;
	const char *p, *line;
	size_t len = 0, n;
	struct err inner = { 0 };
	int r = may_read(x, f.shown, e);

	if (r == 0) {
		r = x->l->text(x->l->arg, dir, path, &text, &len, &inner);
		if (r < 0)
			r = err_set(e, EBADMSG, "%s: %s", f.shown, err_text(&inner, r));
		else if (len > POL_FILE_MAX || !pol_text_ok(text, len))
			r = err_set(e, EBADMSG, "%s: %s", f.shown, len > POL_FILE_MAX ? "too long" : "not UTF-8 text");
	}
	if (r < 0)
		return from ? fail(from, e) : r;
	x->stack[x->depth++] = f.shown;
	for (p = text; r == 0 && pol_line(&p, text + len, &line, &n);) {
		f.line++;
		r = one_line(x, &f, line, n, e);
	}
	x->depth--;
	return r;
}

void policy_free(struct policy *p)
{
	if (p->refs) {
		p->refs--;
		return;
	}
	for (size_t i = 0; i < p->n_rules; i++)
		pol_rule_fini(&p->rules[i]);
	free(p->rules);
	names_free(p->files, p->n_files);
	free(p);
}

struct top {
	char *name;
	int dir;
};

static int top_cmp(const void *a, const void *b)
{
	const struct top *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : x->dir - y->dir;
}

/* The union of all directories, each name once, from the first directory that has it. */
static int top_files(struct load *x, int n_dirs, struct top **ret, size_t *ret_n, struct err *e)
{
	struct top *v = NULL;
	size_t n = 0, out = 0;

	for (int d = 0; d < n_dirs; d++) {
		char **names = NULL;
		size_t k = 0;
		int r = x->l->list(x->l->arg, d, ".", &names, &k, e);
		bool listed = r == 0;

		if (listed)
			r = filter_names(dir_name(x, d), names, &k, e);
		for (size_t i = 0; i < k && listed; i++) {
			v = xreallocarray(v, n + 1, sizeof(*v));
			v[n++] = (struct top){ names[i], d };
		}
		free(names);
		if (r < 0) {
			*ret = v;
			*ret_n = n;
			return r;
		}
	}
	if (n)
		qsort(v, n, sizeof(*v), top_cmp);
	for (size_t i = 0; i < n; i++) {
		if (out && streq(v[out - 1].name, v[i].name))
			free(v[i].name);
		else
			v[out++] = v[i];
	}
	*ret = v;
	*ret_n = out;
	return 0;
}

int policy_load(struct policy **ret, const struct pol_loader *l, int n_dirs, struct err *e)
{
	_cleanup_(policy_freep) struct policy *p = xcalloc(1, sizeof *p);
	struct load x = { .l = l, .p = p };
	struct top *tops = NULL;
	size_t n = 0;
	int r = top_files(&x, n_dirs, &tops, &n, e);

	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = load_text(&x, NULL, tops[i].dir, tops[i].name, NULL, NULL, e);
		free(tops[i].name);
	}
	free(tops);
	if (r < 0)
		return r;
	*ret = STEAL_PTR(p);
	return 0;
}

int policy_load_file(struct policy **ret, const struct pol_loader *l, const char *name, struct err *e)
{
	_cleanup_(policy_freep) struct policy *p = xcalloc(1, sizeof *p);
	struct load x = { .l = l, .p = p };
	int r = load_text(&x, NULL, 0, name, NULL, NULL, e);

	if (r < 0)
		return r;
	*ret = STEAL_PTR(p);
	return 0;
}
