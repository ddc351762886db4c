/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-policy always: the rules that the prompt wrote when the user chose "always". One rule a line, each behind a comment that tells when; they
 * are numbered in the order of the file.
 */
#include "policyfile/store.h"
#include "tool/qvm-policy.h"

struct always {
	char *text;
	size_t len;
	char token[PF_TOKEN_MAX];
	char **lines;
	size_t n_lines;
	size_t *rules; /* line of each rule */
	size_t n;
};

static void always_fini(struct always *a)
{
	free(a->text);
	free(a->lines);
	free(a->rules);
}

static bool is_rule(const char *line)
{
	line += strspn(line, " \t");
	return *line && *line != '#';
}

static int read_rules(struct pq *p, const struct pf_store *s, struct always *a)
{
	struct err e = { 0 };
	int r = pf_store_get(s, ALWAYS_FILE, &a->text, &a->len, a->token, &e);

	if (r == -ENOENT) {
		a->text = xstrdup("");
		return 0;
	}
	if (r < 0)
		return tool_fail(p->t, "%s", err_text(&e, r));
	for (char *rest = a->text, *line; (line = adm_line(&rest));) {
		a->lines = xreallocarray(a->lines, a->n_lines + 1, sizeof(*a->lines));
		a->lines[a->n_lines] = line;
		if (is_rule(line)) {
			a->rules = xreallocarray(a->rules, a->n + 1, sizeof(*a->rules));
			a->rules[a->n++] = a->n_lines;
		}
		a->n_lines++;
	}
	return 0;
}

/* The comment that belongs to a rule: the line before it. */
static const char *comment(const struct always *a, size_t rule)
{
	const char *s = a->rules[rule] ? a->lines[a->rules[rule] - 1] : "";

	return s[0] == '#' ? s + 1 + strspn(s + 1, " ") : "";
}

static int list(struct pq *p, const struct always *a)
{
	struct json j = { 0 };

	if (p->json)
		json_open(&j, NULL, '[');
	for (size_t i = 0; i < a->n; i++) {
		if (p->json) {
			json_open(&j, NULL, '{');
			json_int(&j, "number", (int64_t)i + 1);
			json_str(&j, "rule", a->lines[a->rules[i]]);
			json_str(&j, "comment", comment(a, i));
			json_close(&j, '}');
			continue;
		}
		printf("%zu  ", i + 1);
		out_text(p->t, a->lines[a->rules[i]]);
		printf("%s", comment(a, i)[0] ? "\n   " : "");
		out_text(p->t, comment(a, i));
		(void)putchar('\n');
	}
	if (p->json)
		json_close(&j, ']');
	else if (!a->n)
		tool_note(p->t, "no question was answered with \"always\"");
	return 0;
}

static int marked(struct pq *p, const struct always *a, int argc, char **argv, bool *gone)
{
	uint64_t n;

	for (int i = 0; i < argc; i++) {
		if (str_u64(argv[i], a->n, &n) < 0 || n == 0)
			return tool_usage(p->t, "there is no rule number %s; 'qvm-policy always' lists them", argv[i]);
		gone[a->rules[n - 1]] = true;
		if (comment(a, n - 1)[0])
			gone[a->rules[n - 1] - 1] = true;
	}
	return 0;
}

static int revoke_rules(struct pq *p, const struct pf_store *s, const struct always *a, int argc, char **argv)
{
	_cleanup_free_ bool *gone = xcalloc(a->n_lines + 1, sizeof(*gone));
	_cleanup_wr_ struct wr w = wr_grow(POL_FILE_MAX);
	struct err e = { 0 };
	int r = marked(p, a, argc, argv, gone);

	if (r != 0)
		return r;
	for (size_t i = 0; i < a->n_lines; i++)
		if (!gone[i])
			wr_printf(&w, "%s\n", a->lines[i]);
	r = pf_store_replace(s, ALWAYS_FILE, a->token, w.len ? (const char *)w.buf : "", w.len, &e);
	if (r < 0)
		return tool_fail(p->t, "%s", err_text(&e, r));
	if (p->json)
		return pq_report(p, "revoked", ALWAYS_FILE);
	tool_note(p->t, argc == 1 ? "revoked: the user is asked again" : "revoked: the user is asked again about these");
	return 0;
}

int pq_always(struct pq *p, int argc, char **argv)
{
	_cleanup_(always_fini) struct always a = { 0 };
	_cleanup_store_ struct pf_store s = { 0 };
	struct err e = { 0 };
	int r;

	if (argc && (!streq(argv[0], "revoke") || argc == 1))
		return tool_usage(p->t, "always takes no argument, or: revoke NUMBER...");
	r = pf_store_open(&s, &p->dirs, argc > 0, &e);
	if (r < 0)
		return tool_fail(p->t, "%s", err_text(&e, r));
	r = read_rules(p, &s, &a);
	if (r != 0)
		return r;
	return argc ? revoke_rules(p, &s, &a, argc - 1, argv + 1) : list(p, &a);
}
