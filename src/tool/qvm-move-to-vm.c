/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-move-to-vm: move files of dom0 into a qube. */
#include "tool/copy.h"

static const struct tool_opt opts[] = { COPY_OPTS, MOVE_OPTS, { 0 } };

static int run(struct tool *t, int argc, char **argv)
{
	return copy_run(t, argc, argv, true);
}

const struct verb verb_qvm_move_to_vm = {
	.name = "qvm-move-to-vm",
	.summary = "move files of dom0 to a qube",
	.args = "QUBE FILE... | --undo | --resume | --forget",
	.desc = "They arrive in the folder QubesIncoming/dom0 of the qube's user.",
	.opts = opts,
	.words = { W_QUBE, W_FILE },
	.run = run,
};
