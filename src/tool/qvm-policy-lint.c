/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-policy lint: reads the policy past its errors, runs the checks, prints what they found. */
#include "tool/qvm-policy-lint.h"

#include <stdarg.h>

#define ERRORS_MAX 100

static const char *const severities[SEV_N] = { "error", "warning", "note" };

void lint_add(struct lint *l, enum severity s, const char *check, const char *file, unsigned line, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = xstrdup(fmt);
	va_end(ap);
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].line == line && streq(l->v[i].file, file) && streq(l->v[i].text, text))
			return;
	l->v = xreallocarray(l->v, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = (struct finding){ s, check, xstrdup(file), line, STEAL_PTR(text) };
}

bool lint_shipped(const struct lint *l, const char *file)
{
	const char *name = pq_short(l->p, file);

	return str_starts(name, "80-") || str_starts(name, "90-") || streq(name, "85-session-uplink.policy") || str_starts(name, "include/admin-");
}

/* Splits "FILE:LINE: text" or "FILE: text" of a load error. */
static bool cut_error(const char *msg, char **ret_file, unsigned *ret_line, const char **ret_text)
{
	const char *end;

	for (const char *s = strchr(msg, ':'); s; s = strchr(s + 1, ':')) {
		size_t n = strspn(s + 1, "0123456789");

		if (n == 0 || n > 7 || !str_starts(s + 1 + n, ": "))
			continue;
		*ret_file = xstrndup(msg, (size_t)(s - msg));
		*ret_line = (unsigned)strtoul(s + 1, NULL, 10);
		*ret_text = s + 1 + n + 2;
		return true;
	}
	end = strstr(msg, ": ");
	if (!end)
		return false;
	*ret_file = xstrndup(msg, (size_t)(end - msg));
	*ret_line = 0;
	*ret_text = end + 2;
	return true;
}

/* Takes one line (0 = all) out of a file, keeping the numbers of the others. False when nothing was there to take out. */
static bool blank(struct pq *p, const char *file, unsigned line)
{
	_cleanup_free_ char *text = NULL;
	bool changed = false;
	unsigned at = 1;
	size_t n = 0;

	if (pf_text(&p->dirs, file, &text, &n, &(struct err){ 0 }) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool end = text[i] == '\n' || text[i] == '\r';

		if (end)
			at += !(text[i] == '\r' && text[i + 1] == '\n');
		else if (line == 0 || at == line) {
			changed = changed || text[i] != ' ';
			text[i] = ' ';
		}
	}
	pf_overlay(&p->dirs, file, text, n);
	return changed;
}

/* Loads, noting each error and going on without the line that has it. */
static void load(struct lint *l)
{
	struct pq *p = l->p;

	p->dirs.missing_ok = p->dirs.bad_names_ok = true;
	for (int i = 0; i < ERRORS_MAX; i++) {
		_cleanup_free_ char *file = NULL;
		struct err e = { 0 };
		const char *text;
		unsigned line;

		if (pf_load(&p->policy, &p->dirs, &e) == 0)
			return;
		if (!cut_error(e.msg, &file, &line, &text)) {
			lint_add(l, SEV_ERROR, "load", pq_edit_dir(p), 0, "%s; every call is refused until this is corrected", e.msg);
			return;
		}
		lint_add(l, SEV_ERROR, "syntax", file, line, "%s; every call is refused until this is corrected", text);
		if (!blank(p, file, line))
			return;
	}
}

static int by_place(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;
	int r = strcmp(x->file, y->file);

	if (r)
		return r;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->severity != y->severity ? (x->severity < y->severity ? -1 : 1) : strcmp(x->text, y->text);
}

static void print(const struct lint *l, const size_t *count)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct finding *f = &l->v[i];

		if (f->severity == SEV_NOTE && l->p->t->verbose <= 0)
			continue;
		out_text(l->p->t, pq_short(l->p, f->file));
		if (f->line)
			printf(":%u", f->line);
		printf(": ");
		if (l->p->t->colour)
			printf("\033[%sm", f->severity == SEV_ERROR ? "31" : f->severity == SEV_WARNING ? "33" : "36");
		printf("%s", severities[f->severity]);
		if (l->p->t->colour)
			printf("\033[0m");
		printf(": ");
		out_text(l->p->t, f->text);
		printf(" [%s]\n", f->check);
	}
	printf("%zu errors, %zu warnings, %zu notes%s\n", count[SEV_ERROR], count[SEV_WARNING], count[SEV_NOTE],
	       count[SEV_NOTE] && l->p->t->verbose <= 0 ? " (--verbose shows notes)" : "");
}

static void print_json(const struct lint *l, const size_t *count)
{
	struct json j = { 0 };

	json_open(&j, NULL, '{');
	json_open(&j, "findings", '[');
	for (size_t i = 0; i < l->n; i++) {
		json_open(&j, NULL, '{');
		json_str(&j, "severity", severities[l->v[i].severity]);
		json_str(&j, "check", l->v[i].check);
		json_str(&j, "file", l->v[i].file);
		json_int(&j, "line", l->v[i].line);
		json_str(&j, "text", l->v[i].text);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_int(&j, "errors", (int64_t)count[SEV_ERROR]);
	json_int(&j, "warnings", (int64_t)count[SEV_WARNING]);
	json_int(&j, "notes", (int64_t)count[SEV_NOTE]);
	json_close(&j, '}');
}

/* Without a daemon and without --system-info the names cannot be checked; the rest can. */
static int table(struct lint *l)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	int r;

	if (!opt_str(l->p->t, KEY_SYSTEM_INFO) && adm_internal(&rep, "dom0", "internal.GetSystemInfo", NULL, NULL, &(struct err){ 0 }) < 0) {
		tool_note(l->p->t, "the daemon does not answer: names of qubes and tags are not checked");
		return 0;
	}
	r = pq_table(l->p);
	l->table = r == 0;
	return r;
}

int pq_lint(struct pq *p, int argc, char **argv)
{
	struct lint l = { .p = p };
	size_t count[SEV_N] = { 0 };
	int r = table(&l);

	(void)argc;
	(void)argv;
	if (r != 0)
		return r;
	load(&l);
	lint_files(&l);
	if (p->policy)
		lint_rules(&l);
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), by_place);
	for (size_t i = 0; i < l.n; i++)
		count[l.v[i].severity]++;
	if (p->json)
		print_json(&l, count);
	else
		print(&l, count);
	for (size_t i = 0; i < l.n; i++) {
		free(l.v[i].file);
		free(l.v[i].text);
	}
	free(l.v);
	return count[SEV_ERROR] ? EXIT_USAGE : count[SEV_WARNING] ? EXIT_FAIL : 0;
}
