/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-unpause: let paused or suspended qubes go on. */
#include "tool/lifecycle.h"

static const struct tool_opt opts[] = { OPTS_NAMES, { 0 } };

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_free_ bool *picked = NULL, *suspended = NULL;
	struct adm_qubes all;
	int r = tool_qubes(t, argc, argv, &all, &picked);

	if (r != 0)
		return r;
	suspended = xcalloc(all.n + 1, sizeof *suspended);
	for (size_t i = 0; i < all.n; i++) {
		bool asleep = streq(all.v[i].state, "Suspended");

		suspended[i] = picked[i] && asleep;
		picked[i] = picked[i] && !asleep && (!opt_has(t, KEY_ALL) || streq(all.v[i].state, "Paused"));
	}
	r = act_on(t, &all, picked, "admin.vm.Unpause", NULL, NULL);
	r += act_on(t, &all, suspended, "admin.vm.Resume", NULL, NULL);
	adm_qubes_fini(&all);
	return r ? EXIT_FAIL : 0;
}

const struct verb verb_qvm_unpause = {
	.name = "qvm-unpause",
	.summary = "let paused qubes go on",
	.args = "[--all [--exclude NAME] | QUBE...]",
	.opts = opts,
	.words = { W_QUBE },
	.run = run,
};
