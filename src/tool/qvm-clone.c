/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-clone: copy a qube. */
#include "tool/clone.h"
#include "tool/menus.h"

enum { KEY_IGNORE = 380 };

static const struct tool_opt opts[] = {
	{ 'C', "class", "CLASS", "class of the copy (default: that of the source)", 0, W_CLASS },
	OPTS_POOL,
	{ KEY_IGNORE, "ignore-errors", NULL, "keep the copy when something could not be copied", 0, W_ANY },
	{ 0 },
};

static int run(struct tool *t, int argc, char **argv)
{
	int r = clone_qube(t, &(struct clone_spec){ .src = argv[0], .dst = argv[1], .cls = opt_str(t, 'C'),
						    .ignore_errors = opt_has(t, KEY_IGNORE) });

	(void)argc;
	if (r == 0)
		menus_new(t, argv[1]);
	return r;
}

const struct verb verb_qvm_clone = {
	.name = "qvm-clone",
	.summary = "copy a qube with its settings and data",
	.args = "QUBE NEW-NAME",
	.desc = "Copies the properties that differ from their defaults, tags, features, notes, firewall rules\n"
		"and the volumes that the qube keeps. The source should be halted.",
	.opts = opts,
	.words = { W_QUBE, W_ANY },
	.min_args = 2,
	.max_args = 2,
	.run = run,
};
