/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One method on many qubes. */
#include "tool/lifecycle.h"

struct act {
	const struct tool *t;
	bool (*harmless)(int r);
	int failed;
};

static void report(struct bulk_call *c, void *arg)
{
	struct act *a = arg;

	if (c->r >= 0) {
		tool_info(a->t, "%s: done", c->dest);
		return;
	}
	if (a->harmless && a->harmless(c->r))
		return;
	a->failed++;
	(void)tool_fail(a->t, "%s: %s", c->dest, err_text(&c->e, c->r));
}

int act_on(const struct tool *t, const struct adm_qubes *all, const bool *picked, const char *method, const char *arg,
	   bool (*harmless)(int r))
{
	struct act a = { .t = t, .harmless = harmless };
	_cleanup_free_ struct bulk_call *calls = xcalloc(all->n + 1, sizeof *calls);
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++)
		if (picked[i])
			calls[n++] = (struct bulk_call){ .dest = all->v[i].name, .method = method, .arg = arg };
	calls_run(calls, n, report, &a);
	calls_fini(calls, n);
	return a.failed;
}

int act_simple(struct tool *t, int argc, char **argv, const char *method, const char *wanted_state)
{
	_cleanup_free_ bool *picked = NULL;
	struct adm_qubes all;
	int r = tool_qubes(t, argc, argv, &all, &picked);

	if (r != 0)
		return r;
	for (size_t i = 0; i < all.n && opt_has(t, KEY_ALL); i++)
		if (wanted_state ? !streq(all.v[i].state, wanted_state) : streq(all.v[i].state, "Halted"))
			picked[i] = false;
	r = act_on(t, &all, picked, method, NULL, NULL);
	adm_qubes_fini(&all);
	return r ? EXIT_FAIL : 0;
}
