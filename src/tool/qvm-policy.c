/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-policy: the qrexec policy understood. Options, loading, and what all sub-commands print; each sub-command has its own file. */
#include "tool/qvm-policy.h"

#include <fcntl.h>
#include <jansson.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "policyfile/sysjson.h"
#include "tool/kvlist.h"

#define SYSTEM_INFO_MAX (64u << 20)

static const struct tool_opt opts[] = {
	{ KEY_POLICY_DIR, "policy-dir", "DIR", "policy directory instead of this instance's (repeatable; the first has precedence)", 0, W_FILE },
	{ KEY_SYSTEM_INFO, "system-info", "FILE", "table of qubes (JSON of internal.GetSystemInfo) instead of the running daemon's", 0, W_FILE },
	{ KEY_WITH, "with", "PATH", "simulate: an edited copy of the policy directory, or edited files (repeatable)", 0, W_FILE },
	{ KEY_PSERVICE, "service", "SERVICE", "graph, log: only this service", 0, W_ANY },
	{ KEY_DOT, "dot", NULL, "graph: write DOT", 0, W_ANY },
	{ KEY_SVG, "svg", NULL, "graph: write SVG (the default)", 0, W_ANY },
	{ KEY_ALLOW_ONLY, "allowed", NULL, "graph: leave out what is asked each time", 0, W_ANY },
	{ KEY_MERGE, "merge", NULL, "graph: draw qubes that the policy cannot tell apart as one", 0, W_ANY },
	{ KEY_SINCE, "since", "TIME", "log: from then on: 30m, 2h, 3d, today, or a date such as 2026-01-31 or 2026-01-31T08:00", 0, W_ANY },
	{ KEY_SOURCE, "source", "QUBE", "log: only calls of this qube", 0, W_QUBE },
	{ KEY_TARGET, "target", "QUBE", "log: only calls to this qube, as asked for or as decided", 0, W_QUBE },
	{ KEY_DENIED, "denied", NULL, "log: only refusals", 0, W_ANY },
	{ KEY_FOLLOW, "follow", NULL, "log: go on printing what is decided", 0, W_ANY },
	{ 'f', "follow", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	{ KEY_BY_RULE, "by-rule", NULL, "log: one line a rule: how often it decided, since when, and when last", 0, W_ANY },
	{ KEY_LOG_FILE, "log-file", "FILE", "log: read this file instead of the instance's log", 0, W_FILE },
	{ 'n', "lines", "N", "log: only the last N", 0, W_ANY },
	{ KEY_TOKEN, "token", "TOKEN", "put, remove: only if the file still is this one: any, new or sha256:…", 0, W_ANY },
	{ 'y', "yes", NULL, "edit, put, remove, undo, always: do not ask", 0, W_ANY },
	OPT_JSON,
	{ 0 },
};

/* COMMAND(name, function, fewest and most words behind it, those words, what it does) */
#define COMMANDS(COMMAND) \
	COMMAND("explain", pq_explain, 3, 3, "SOURCE TARGET SERVICE[+ARG]", "show what is decided, by which rule, and what would change it") \
	COMMAND("simulate", pq_simulate, 0, SUB_MANY, "[--with] PATH...", "show every decision that an edited policy would change") \
	COMMAND("lint", pq_lint, 0, 0, "", "find errors, rules that never decide, unknown names and dangerous rules") \
	COMMAND("graph", pq_graph, 0, 0, "[--service SERVICE] [--dot|--svg]", "draw which qube may reach which") \
	COMMAND("log", pq_log, 0, 0, "[--since TIME] [--follow]", "show decisions that were made") \
	COMMAND("edit", pq_edit, 0, 1, "[FILE]", "edit a policy file, checked and compared before it replaces the old one") \
	COMMAND("list", pq_list, 0, 0, "", "list the policy files") \
	COMMAND("get", pq_get, 1, 1, "FILE", "print a policy file") \
	COMMAND("put", pq_put, 1, 1, "FILE", "replace a policy file by standard input") \
	COMMAND("remove", pq_remove, 1, 1, "FILE", "remove a policy file") \
	COMMAND("undo", pq_undo, 0, 1, "[FILE]", "take the last change back") \
	COMMAND("always", pq_always, 0, SUB_MANY, "[revoke N...]", "list the answers \"always\" to questions, or revoke some")

static const struct tool_sub subs[] = {
#define COMMAND(name, run, min, max, args, summary) { name, args, summary, min, max },
	COMMANDS(COMMAND)
#undef COMMAND
	{ 0 },
};

static int (*const runs[])(struct pq *p, int argc, char **argv) = {
#define COMMAND(name, run, min, max, args, summary) run,
	COMMANDS(COMMAND)
#undef COMMAND
};

static const struct tool_exit exits[] = {
	{ 0, "done; explain: allowed; simulate: no decision changes; lint: nothing found but notes" },
	{ 1, "failure; simulate: decisions change; lint: warnings" },
	{ 2, "wrong usage, no such qube; simulate: one of the policies has an error; lint: errors" },
	{ EXIT_ASK, "explain: the user is asked" },
	{ EXIT_DENY, "explain: refused" },
	{ 0, NULL },
};

static int table_of(struct pq *p, const char *text, size_t n, const char *from)
{
	json_error_t je;
	json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &je);
	struct err e = { 0 };
	int r;

	if (!root)
		return tool_fail(p->t, "%s: %s", from, je.text);
	r = sysjson_table(&p->si, root, &e);
	json_decref(root);
	return r < 0 ? tool_fail(p->t, "%s: %s", from, err_text(&e, r)) : 0;
}

int pq_table(struct pq *p)
{
	const char *path = opt_str(p->t, KEY_SYSTEM_INFO);
	_cleanup_reply_ struct adm_reply rep = { 0 };
	_cleanup_free_ char *text = NULL;
	struct err e = { 0 };
	size_t n = 0;
	int r;

	if (path) {
		r = fs_read(AT_FDCWD, path, SYSTEM_INFO_MAX, &text, &n, &e);
		return r < 0 ? tool_fail(p->t, "%s", err_text(&e, r)) : table_of(p, text, n, path);
	}
	r = adm_internal(&rep, "dom0", "internal.GetSystemInfo", NULL, NULL, &e);
	if (r < 0)
		return tool_api(p->t, r, &e);
	return table_of(p, rep.data, rep.len, "the table of qubes");
}

void pq_policy(struct pq *p)
{
	if (pf_load(&p->policy, &p->dirs, &p->error) < 0)
		p->policy = NULL;
}

const char *pq_edit_dir(const struct pq *p)
{
	return p->dirs.dirs[p->dirs.n_dirs - 1];
}

const char *pq_short(const struct pq *p, const char *path)
{
	for (int i = 0; path && i < p->dirs.n_dirs; i++) {
		size_t n = strlen(p->dirs.dirs[i]);

		if (strncmp(path, p->dirs.dirs[i], n) == 0 && path[n] == '/')
			return path + n + 1;
	}
	return path;
}

uint32_t pq_rgb(const struct pq *p, const char *name, bool *ret_known)
{
	const struct pol_qube *q = pol_sysinfo_find(&p->si, str_starts(name, "@dispvm:") ? name + strlen("@dispvm:") : name);
	uint32_t rgb = 0;

	*ret_known = q && q->label && label_rgb(q->label, &rgb) == 0;
	return rgb;
}

static void paint(const struct tool *t, uint32_t rgb, const char *text)
{
	unsigned r = rgb >> 16 & 0xff, g = rgb >> 8 & 0xff, b = rgb & 0xff;

	/* As in tables: black cannot be read on a dark terminal. */
	if (r + g + b < 60)
		printf("\033[1m");
	else
		printf("\033[38;2;%u;%u;%um", r, g, b);
	out_text(t, text);
	printf("\033[0m");
}

void pq_name(const struct pq *p, const char *name)
{
	bool known = false;
	uint32_t rgb = p->t->colour ? pq_rgb(p, name, &known) : 0;

	if (known)
		paint(p->t, rgb, name);
	else
		out_text(p->t, name);
}

void pq_word(const struct pq *p, const char *text)
{
	if (!p->t->colour)
		out_text(p->t, text);
	else
		paint(p->t, str_starts(text, "allow") ? 0x33a852 : str_starts(text, "ask") ? 0xd9a400 : 0xd93025, text);
}

char *pq_rule_text(const struct pol_rule *r)
{
	struct wr w = wr_grow(1u << 20);
	char *text;

	pol_rule_format(&w, r);
	text = wr_take(&w, NULL);
	return text ? text : xstrdup("");
}

const char *pq_outcome(const struct pol_decision *d)
{
	return d->outcome == POL_O_ALLOW ? "allow" : d->outcome == POL_O_ASK ? "ask" : "deny";
}

bool pq_split(const char *text, char **ret_service, const char **ret_argument)
{
	size_t n = strcspn(text, "+");

	if (n == 0 || !str_chars(text, "+._-"))
		return false;
	*ret_service = xstrndup(text, n);
	*ret_argument = text[n] ? text + n : "+";
	return true;
}

static int run(struct tool *t, int argc, char **argv)
{
	struct pq p = { .t = t, .json = opt_has(t, KEY_JSON) };
	size_t n = opt_count(t, KEY_POLICY_DIR);
	int r, i = sub_find(t, argc, argv);

	if (i < 0)
		return EXIT_USAGE;
	if (n > PF_DIRS_MAX)
		return tool_usage(t, "at most %d policy directories", PF_DIRS_MAX);
	pf_dirs_default(&p.dirs);
	for (size_t k = 0; k < n; k++)
		p.dirs.dirs[k] = opt_nth(t, KEY_POLICY_DIR, k);
	if (n)
		p.dirs.n_dirs = (int)n;
	r = runs[i](&p, argc - 1, argv + 1);
	if (p.policy)
		policy_free(p.policy);
	pol_sysinfo_clear(&p.si);
	pf_dirs_fini(&p.dirs);
	return r;
}

const struct verb verb_qvm_policy = {
	.name = "qvm-policy",
	.summary = "explain, check and change the qrexec policy",
	.args = "COMMAND [ARGUMENT...]",
	.desc = "Which qube may call which service of which other one, and why. The decisions\n"
		"shown are those of policyd: the same evaluator, the same files.",
	.opts = opts,
	.subs = subs,
	.exits = exits,
	.words = { W_SUB, W_QUBE },
	.min_args = 1,
	.run = run,
};
