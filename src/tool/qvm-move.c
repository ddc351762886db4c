/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-move: move files of dom0 into a qube, which is asked for when it is not named. */
#include "tool/copy.h"

static const struct tool_opt opts[] = { COPY_OPTS, PICK_OPTS, MOVE_OPTS, { 0 } };

static int run(struct tool *t, int argc, char **argv)
{
	return copy_pick(t, argc, argv, true);
}

const struct verb verb_qvm_move = {
	.name = "qvm-move",
	.summary = "move files of dom0 to a qube",
	.args = "[QUBE] FILE... | --undo | --resume | --forget",
	.desc = "They arrive in the folder QubesIncoming/dom0 of the qube's user. A first word that is\n"
		"no file here is the qube; without one you are asked for it on the terminal.",
	.opts = opts,
	.words = { W_FILE },
	.run = run,
};
