/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes-vm-update: qvm-update by the name that it has in the reference. */
#include "tool/update.h"

const struct verb verb_qubes_vm_update = {
	.name = "qubes-vm-update",
	.summary = UPDATE_SUMMARY,
	.args = UPDATE_ARGS,
	.desc = UPDATE_DESC,
	.opts = update_opts,
	.subs = update_subs,
	.exits = update_exits,
	.words = { W_QUBE },
	.flags = VERB_NO_JOURNAL,
	.run = update_run,
};
