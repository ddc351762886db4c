/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-template-postprocess: in the reference the second half of a template's package. Templates are no packages here; whoever calls it is told what does the work. */
#include "tool/util.h"

enum { KEY_REALLY = 640, KEY_SKIP_IT };

static const struct tool_opt opts[] = {
	{ KEY_REALLY, "really", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },
	{ KEY_SKIP_IT, "skip-start", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },
	{ KEY_SKIP_IT, "keep-source", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },
	{ KEY_SKIP_IT, "allow-pv", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },
	{ 0 },
};

static const struct tool_sub subs[] = {
	{ "post-install", "NAME DIR", "refused: 'qvm-template install FILE' or 'qvm-template import NAME TAR' installs a template" },
	{ "pre-remove", "NAME DIR", "refused: 'qvm-template remove NAME' removes one" },
	{ 0 },
};

static int run(struct tool *t, int argc, char **argv)
{
	(void)argc;
	if (streq(argv[0], "post-install"))
		return tool_fail(t, "templates are no packages here: 'qvm-template install' takes signed template files, 'qvm-template import %s TAR' the archive of "
				    "a root file system; nothing was changed", argv[1]);
	if (streq(argv[0], "pre-remove"))
		return tool_fail(t, "templates are no packages here: 'qvm-template remove %s' removes one; nothing was changed", argv[1]);
	return tool_usage(t, "no such command: '%s'; there are post-install, pre-remove", argv[0]);
}

const struct verb verb_qvm_template_postprocess = {
	.name = "qvm-template-postprocess",
	.summary = "tell what installs templates here",
	.args = "post-install|pre-remove NAME DIR",
	.desc = "The packages of templates of other systems call it. Here it changes nothing and fails.",
	.opts = opts,
	.subs = subs,
	.words = { W_SUB, W_ANY, W_FILE },
	.min_args = 3,
	.max_args = 3,
	.flags = VERB_NO_JOURNAL,
	.run = run,
};
