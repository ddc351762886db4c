/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-pause: stop the processors of qubes. */
#include "tool/lifecycle.h"

static const struct tool_opt opts[] = {
	{ 'S', "suspend", NULL, "suspend to memory instead: the qube is told, its devices sleep", 0, W_ANY },
	OPTS_NAMES,
	{ 0 },
};

static int run(struct tool *t, int argc, char **argv)
{
	return act_simple(t, argc, argv, opt_has(t, 'S') ? "admin.vm.Suspend" : "admin.vm.Pause", "Running");
}

const struct verb verb_qvm_pause = {
	.name = "qvm-pause",
	.summary = "stop the processors of running qubes",
	.args = "[--all [--exclude NAME] | QUBE...]",
	.opts = opts,
	.words = { W_QUBE },
	.run = run,
};
