/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-prefs: properties of a qube. */
#include "tool/prefs.h"

static const struct tool_opt opts[] = { PREFS_OPTS, { 0 } };

static int run(struct tool *t, int argc, char **argv)
{
	if (argc == 0 && !opt_has(t, KEY_HELP_PROPS))
		return tool_usage(t, "name a qube; usage: qvm-prefs [OPTION...] QUBE [PROPERTY [VALUE]]");
	return prefs_run(t, argc ? argv[0] : "dom0", argc ? argc - 1 : 0, argv + 1);
}

const struct verb verb_qvm_prefs = {
	.name = "qvm-prefs",
	.summary = "show or change the properties of a qube",
	.args = "QUBE [PROPERTY [VALUE]]",
	.desc = "Without a property, lists all of them: D marks a default, - a value that was set,\n"
		"U one without a value. The value 'none' means no qube, where a qube is expected.",
	.opts = opts,
	.words = { W_QUBE, W_PROPERTY, W_VALUE },
	.max_args = 3,
	.run = run,
};
