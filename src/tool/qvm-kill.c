/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-kill: end qubes at once, without asking them. */
#include "tool/lifecycle.h"

static const struct tool_opt opts[] = { OPTS_NAMES, { 0 } };

static int run(struct tool *t, int argc, char **argv)
{
	return act_simple(t, argc, argv, "admin.vm.Kill", NULL);
}

const struct verb verb_qvm_kill = {
	.name = "qvm-kill",
	.summary = "end qubes at once, as by pulling the plug",
	.args = "[--all [--exclude NAME] | QUBE...]",
	.desc = "What the qube has not written to its disk is lost; 'qvm-shutdown' asks it to end by itself.",
	.opts = opts,
	.words = { W_QUBE },
	.run = run,
};
