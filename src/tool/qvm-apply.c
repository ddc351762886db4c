/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-apply: make the system be as files say. */
#include "tool/conf.h"

#define EXIT_DIFFERS 3
#define DIFF_LINES_MAX 4000

enum { KEY_CHECK = 780, KEY_PLAN, KEY_DIFF, KEY_REMOVE };

static const struct tool_opt opts[] = {
	{ 'n', "plan", NULL, "show what would change, and change nothing", 0, W_ANY },
	{ 'n', "dry-run", NULL, NULL, OPT_ALIAS, W_ANY },
	{ KEY_CHECK, "check", NULL, "like --plan, with exit status 3 when something differs", 0, W_ANY },
	{ 'd', "diff", NULL, "show the lines that change in policy files, firewalls and notes", 0, W_ANY },
	{ 'y', "yes", NULL, "do not ask", 0, W_ANY },
	{ KEY_REMOVE, "allow-remove", NULL, "carry out `remove = true`, which deletes qubes with their data", 0, W_ANY },
	OPT_JSON,
	{ 0 },
};

static const struct tool_exit exits[] = {
	{ EXIT_DIFFERS, "with --check: the system is not as the files say" },
	{ 0 },
};

static const char *const signs[] = { "\033[32m", "\033[33m", "\033[31m" };

static void sign_line(const struct tool *t, char sign, const char *text)
{
	const char *colour = signs[sign == '+' ? 0 : sign == '~' ? 1 : 2];

	printf("  %s%c%s ", t->colour ? colour : "", sign, t->colour ? "\033[0m" : "");
	out_text(t, text);
	(void)putchar('\n');
}

/* The lines of a that are not in b, each after mark. Order of equal lines does not matter to a reader of the change. */
static void missing_lines(const struct tool *t, const char *a, const char *b, char mark)
{
	while (a && *a) {
		size_t n = strcspn(a, "\n");
		_cleanup_free_ char *line = xasprintf("    %c %.*s\n", mark, (int)n, a);
		bool found = false;

		for (const char *x = b; x && *x && !found; x += strcspn(x, "\n"), x += *x == '\n')
			found = strcspn(x, "\n") == n && memcmp(x, a, n) == 0;
		if (!found)
			out_text(t, line);
		a += n + (a[n] == '\n');
	}
}

static bool has_text(const struct conf_step *s)
{
	return s->act == ACT_POLICY || s->act == ACT_POLICY_RM || s->act == ACT_FIREWALL || s->act == ACT_NOTES;
}

static const char *heading(const struct conf_step *s)
{
	bool policy = s->act == ACT_POLICY || s->act == ACT_POLICY_RM;

	return policy ? "policy" : streq(s->dest, "dom0") ? "the system" : s->dest;
}

/* Grouped by qube, in the order of the files; steps are executed in another order. */
static void show(const struct tool *t, const struct conf_plan *p)
{
	_cleanup_free_ bool *done = xcalloc(p->n + 1, sizeof *done);
	char text[400];

	for (size_t i = 0; i < p->n; i++) {
		if (done[i])
			continue;
		printf("%s\n", heading(&p->v[i]));
		for (size_t k = i; k < p->n; k++) {
			if (done[k] || !streq(heading(&p->v[k]), heading(&p->v[i])))
				continue;
			done[k] = true;
			conf_step_text(text, sizeof text, &p->v[k]);
			sign_line(t, conf_step_sign(&p->v[k]), text);
			if (opt_has(t, 'd') && has_text(&p->v[k])) {
				missing_lines(t, p->v[k].old, p->v[k].new, '-');
				missing_lines(t, p->v[k].new, p->v[k].old, '+');
			}
		}
	}
}

static void show_json(const struct conf_plan *p)
{
	struct json j = { 0 };

	json_open(&j, NULL, '[');
	for (size_t i = 0; i < p->n; i++) {
		json_open(&j, NULL, '{');
		json_str(&j, "qube", p->v[i].dest);
		json_str(&j, "change", conf_act_name(p->v[i].act));
		json_str(&j, "name", p->v[i].name);
		json_str(&j, "old", p->v[i].old);
		json_str(&j, "new", p->v[i].new);
		json_close(&j, '}');
	}
	json_close(&j, ']');
}

static size_t count(const struct conf_plan *p, enum conf_act act)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += p->v[i].act == act;
	return n;
}

static int apply(struct tool *t, const struct conf_plan *p, const struct pf_store *store)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct conf_step *s = &p->v[i];
		struct err e = { 0 };
		char text[400];
		int r = conf_step_do(t, s, store, &e);

		conf_step_text(text, sizeof text, s);
		if (r < 0)
			return tool_fail(t, "%s: %s: %s; %zu of %zu changes were made, run it again after solving this", heading(s), text,
					 err_text(&e, r), i, p->n);
		tool_info(t, "%s: %s", heading(s), text);
	}
	return 0;
}

static int decide(struct tool *t, const struct conf_plan *p, const struct pf_store *store)
{
	size_t gone = count(p, ACT_REMOVE);
	bool only_show = opt_has(t, 'n') || opt_has(t, KEY_CHECK);
	int r;

	if (opt_has(t, KEY_JSON))
		show_json(p);
	else
		show(t, p);
	if (!p->n) {
		tool_note(t, "everything is as the files say");
		return 0;
	}
	if (only_show)
		return opt_has(t, KEY_CHECK) ? EXIT_DIFFERS : 0;
	if (gone && !opt_has(t, KEY_REMOVE))
		return tool_fail(t, "%zu qube%s would be removed with all data; --allow-remove permits it", gone, gone == 1 ? "" : "s");
	if (fflush(stdout) != 0 || (!opt_has(t, 'y') && !tool_ask(t, "Make %zu change%s?", p->n, p->n == 1 ? "" : "s")))
		return tool_fail(t, "nothing was changed; --yes does not ask");
	r = apply(t, p, store);
	if (r == 0)
		tool_note(t, "%zu change%s made", p->n, p->n == 1 ? "" : "s");
	return r;
}

static int with_store(struct tool *t, const struct conf *c, bool write)
{
	_cleanup_(pf_dirs_fini) struct pf_dirs dirs = { .n_dirs = 0 };
	_cleanup_store_ struct pf_store store = { .fd = -1 };
	struct conf_plan plan;
	struct err e = { 0 };
	int r;

	pf_dirs_default(&dirs);
	r = pf_store_open(&store, &dirs, write, &e);
	if (r < 0)
		return tool_fail(t, "%s", err_text(&e, r));
	r = conf_plan_make(&plan, c, &store, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	r = decide(t, &plan, &store);
	conf_plan_fini(&plan);
	return r;
}

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_(conf_fini) struct conf c = { .n = 0 };
	struct err e = { 0 };

	for (int i = 0; i < argc; i++) {
		int r = conf_read(&c, argv[i], &e);

		if (r < 0)
			return tool_fail(t, "%s", err_text(&e, r));
	}
	return with_store(t, &c, c.policy.n && !opt_has(t, 'n') && !opt_has(t, KEY_CHECK));
}

const struct verb verb_qvm_apply = {
	.name = "qvm-apply",
	.summary = "make qubes, settings and policy be as files say",
	.args = "FILE...",
	.desc = "Shows the changes, asks, and makes them. What the files do not name stays as it\n"
		"is; nothing is removed unless a file says so. Running it again changes nothing.\n"
		"'-' reads standard input. qvm-export prints the present state in this format.",
	.opts = opts,
	.exits = exits,
	.words = { W_FILE },
	.min_args = 1,
	.run = run,
};
