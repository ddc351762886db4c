/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes-prefs: properties of the whole system. */
#include "tool/prefs.h"

static const struct tool_opt opts[] = { PREFS_OPTS, { 0 } };

static int run(struct tool *t, int argc, char **argv)
{
	return prefs_run(t, NULL, argc, argv);
}

const struct verb verb_qubes_prefs = {
	.name = "qubes-prefs",
	.summary = "show or change the properties of the system",
	.args = "[PROPERTY [VALUE]]",
	.desc = "Without a property, lists all of them: D marks a default, - a value that was set,\n"
		"U one without a value. The value 'none' means no qube, where a qube is expected.",
	.opts = opts,
	.words = { W_GLOBAL_PROPERTY, W_VALUE },
	.max_args = 2,
	.run = run,
};
