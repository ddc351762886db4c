/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-remove: delete qubes and their data. */
#include "client/appmenus.h"
#include "tool/colour.h"
#include "tool/util.h"

static const struct tool_opt opts[] = {
	{ 'f', "force", NULL, "do not ask", 0, W_ANY },
	{ 'f', "force-root", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	OPTS_NAMES,
	{ 0 },
};

/* Properties of qube q (or of the system, q NULL) that name the qube to remove. */
static size_t find_uses(const struct tool *t, const struct adm_props *p, const char *q, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (!streq(p->v[i].type, "vm") || p->v[i].is_default || !streq(p->v[i].value, name))
			continue;
		tool_note(t, "'%s' is %s of %s%s%s", name, p->v[i].name, q ? "'" : "the system", q ? q : "", q ? "'" : "");
		n++;
	}
	return n;
}

/* Says who depends on the qube. The daemon refuses on its own; this is the explanation. */
static void explain_uses(const struct tool *t, const struct adm_qubes *all, const char *name)
{
	struct adm_props p;
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		if (streq(all->v[i].name, name) || adm_props_get(&p, all->v[i].name, false, NULL) < 0)
			continue;
		n += find_uses(t, &p, all->v[i].name, name);
		adm_props_fini(&p);
	}
	if (adm_props_get(&p, "dom0", true, NULL) == 0) {
		n += find_uses(t, &p, NULL, name);
		adm_props_fini(&p);
	}
	if (n)
		tool_note(t, "change %s with qvm-prefs or qubes-prefs first", n == 1 ? "it" : "them");
}

static bool confirm(struct tool *t, const struct adm_qubes *all, const bool *picked)
{
	if (opt_has(t, 'f'))
		return true;
	(void)fprintf(stderr, "This will completely remove the selected qube(s) with all their data:\n");
	for (size_t i = 0; i < all->n; i++)
		if (picked[i]) {
			(void)fputs("  ", stderr);
			put_qube(stderr, t, all->v[i].name);
			(void)fputc('\n', stderr);
		}
	return tool_ask(t, "Are you sure?");
}

/* Qubes that use others (properties, templates) go first: rounds until nothing moves any more. */
static int remove_all(struct tool *t, const struct adm_qubes *all, bool *picked)
{
	bool progress = true;
	int failed = 0;
	struct err e = { 0 };

	while (progress) {
		progress = false;
		for (size_t i = 0; i < all->n; i++) {
			int r;

			if (!picked[i])
				continue;
			r = adm_void(all->v[i].name, "admin.vm.Remove", NULL, NULL, &e);
			if (r == -ADM_EXC_IN_USE)
				continue;
			picked[i] = false;
			progress = true;
			if (r < 0) {
				failed++;
				(void)tool_fail(t, "%s: %s", all->v[i].name, err_text(&e, r));
			} else {
				(void)appmenus_remove(all->v[i].name, NULL);
			}
		}
	}
	for (size_t i = 0; i < all->n; i++) {
		int r;

		if (!picked[i])
			continue;
		r = adm_void(all->v[i].name, "admin.vm.Remove", NULL, NULL, &e);
		failed += r < 0;
		if (r < 0) {
			(void)tool_fail(t, "%s: %s", all->v[i].name, err_text(&e, r));
			explain_uses(t, all, all->v[i].name);
		}
	}
	return failed;
}

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_free_ bool *picked = NULL;
	struct adm_qubes all;
	int r = tool_qubes(t, argc, argv, &all, &picked);

	if (r != 0)
		return r;
	for (size_t i = 0; i < all.n; i++)
		if (picked[i] && streq(all.v[i].name, "dom0"))
			r = tool_usage(t, "dom0 cannot be removed");
	if (r == 0 && !confirm(t, &all, picked))
		r = tool_fail(t, "nothing was removed; --force removes without a question");
	if (r == 0)
		r = remove_all(t, &all, picked) ? EXIT_FAIL : 0;
	adm_qubes_fini(&all);
	return r;
}

const struct verb verb_qvm_remove = {
	.name = "qvm-remove",
	.summary = "delete qubes with all their data",
	.args = "[--all [--exclude NAME] | QUBE...]",
	.desc = "A qube must be halted, and no other may use it as template, NetVM or otherwise.",
	.opts = opts,
	.words = { W_QUBE },
	.run = run,
};
