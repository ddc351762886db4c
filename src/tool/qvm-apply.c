/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-apply: make the system be as files say. */
#include "tool/conf.h"

#define EXIT_DIFFERS 3

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

static size_t count(const struct conf_plan *p, enum conf_act act)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += p->v[i].act == act;
	return n;
}

static int decide(struct tool *t, const struct conf_plan *p, const struct pf_store *store)
{
	size_t gone = count(p, ACT_REMOVE);
	bool only_show = opt_has(t, 'n') || opt_has(t, KEY_CHECK);
	int r;

	if (opt_has(t, KEY_JSON))
		conf_show_json(&(struct json){ 0 }, NULL, p);
	else
		conf_show(t, p, opt_has(t, 'd'));
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
	r = conf_plan_do(t, p, store, NULL, NULL);
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
