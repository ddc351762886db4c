/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-check: whether qubes exist, or are in a given condition; the answer is the exit status. */
#include "tool/util.h"

enum { KEY_RUNNING = 330, KEY_PAUSED, KEY_TEMPLATE, KEY_NETWORKED };

static const struct tool_opt opts[] = {
	{ KEY_RUNNING, "running", NULL, "they run (paused counts)", 0, W_ANY },
	{ KEY_PAUSED, "paused", NULL, "they are paused", 0, W_ANY },
	{ KEY_TEMPLATE, "template", NULL, "they are templates", 0, W_ANY },
	{ KEY_NETWORKED, "networked", NULL, "they have a NetVM or provide network", 0, W_ANY },
	OPTS_NAMES,
	{ 0 },
};

static const struct tool_exit exits[] = {
	{ 0, "all named qubes match" },
	{ 1, "none matches, or a name does not exist" },
	{ 3, "only some match" },
	{ 0, NULL },
};

static int networked(const char *name, struct err *e)
{
	char v[64];
	int r = prop_get(name, "netvm", v, sizeof v, e);

	if (r == -ADM_EXC_NO_PROP)
		return 0;
	if (r < 0 || v[0])
		return r < 0 ? r : 1;
	r = prop_get(name, "provides_network", v, sizeof v, e);
	return r < 0 && r != -ADM_EXC_NO_PROP ? r : r >= 0 && streq(v, "True");
}

static int matches(const struct tool *t, const struct adm_qube *q, struct err *e)
{
	bool halted = streq(q->state, "Halted");

	if (opt_has(t, KEY_RUNNING) && halted)
		return 0;
	if (opt_has(t, KEY_PAUSED) && !streq(q->state, "Paused"))
		return 0;
	if (opt_has(t, KEY_TEMPLATE) && !streq(q->cls, "TemplateVM"))
		return 0;
	return opt_has(t, KEY_NETWORKED) ? networked(q->name, e) : 1;
}

/* What was asked for, for one qube and for several. */
static const char *condition(const struct tool *t, bool one)
{
	if (opt_has(t, KEY_PAUSED))
		return one ? "is paused" : "are paused";
	if (opt_has(t, KEY_RUNNING))
		return one ? "is running" : "are running";
	if (opt_has(t, KEY_TEMPLATE))
		return one ? "is a template" : "are templates";
	if (opt_has(t, KEY_NETWORKED))
		return one ? "is networked" : "are networked";
	return one ? "exists" : "exist";
}

static int verdict(const struct tool *t, size_t named, size_t matched)
{
	if (matched == named) {
		tool_note(t, "%s %s", named == 1 ? "the qube" : "all qubes", condition(t, named == 1));
		return 0;
	}
	if (matched == 0) {
		tool_note(t, named == 1 ? "no: a qube that %s was asked for" : "none of the qubes %s", condition(t, true));
		return 1;
	}
	tool_note(t, "only some of the qubes %s", condition(t, false));
	return 3;
}

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_free_ bool *picked = NULL;
	size_t named = 0, matched = 0;
	struct adm_qubes all;
	struct err e = { 0 };
	int r;

	for (int i = 0; i < argc; i++) {
		r = adm_qubes_get(&all, argv[i], &e);
		if (r == -ADM_EXC_NOT_FOUND) {
			tool_note(t, "no such qube: '%s'", argv[i]);
			return 1;
		}
		if (r < 0)
			return tool_api(t, r, &e);
		r = all.n == 1 || streq(argv[i], "dom0") ? matches(t, &all.v[0], &e) : 0;
		adm_qubes_fini(&all);
		if (r < 0)
			return tool_api(t, r, &e);
		named++;
		matched += r > 0;
	}
	if (argc > 0 && !opt_has(t, KEY_ALL))
		return verdict(t, named, matched);
	r = tool_qubes(t, argc, argv, &all, &picked);
	if (r != 0)
		return r;
	for (size_t i = 0; i < all.n; i++) {
		if (!picked[i])
			continue;
		r = matches(t, &all.v[i], &e);
		named++;
		matched += r > 0;
		if (r < 0)
			break;
	}
	adm_qubes_fini(&all);
	return r < 0 ? tool_api(t, r, &e) : verdict(t, named, matched);
}

const struct verb verb_qvm_check = {
	.name = "qvm-check",
	.summary = "check whether qubes exist, run, are paused, templates or networked",
	.args = "[--all [--exclude NAME] | QUBE...]",
	.desc = "Says the result on standard error (not with -q) and by the exit status.",
	.opts = opts,
	.exits = exits,
	.words = { W_QUBE },
	.run = run,
};
