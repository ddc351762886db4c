/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-start: start qubes, all at once, and wait until they are usable. */
#include "tool/eol_notes.h"
#include "tool/lifecycle.h"

enum { KEY_SKIP = 340, KEY_DRIVE, KEY_HDDISK, KEY_CDROM, KEY_WINTOOLS };

static const struct tool_opt opts[] = {
	{ KEY_SKIP, "skip-if-running", NULL, "pass over qubes that are running already", 0, W_ANY },
	{ KEY_DRIVE, "drive", "DRIVE", "attach a drive, [hd:|cdrom:]QUBE:DEVICE, for this start (not in this version)", 0, W_ANY },
	{ KEY_HDDISK, "hddisk", "DRIVE", "the same as --drive=hd:DRIVE", 0, W_ANY },
	{ KEY_CDROM, "cdrom", "DRIVE", "the same as --drive=cdrom:DRIVE", 0, W_ANY },
	{ KEY_WINTOOLS, "install-windows-tools", NULL, "attach the Windows tools (not in this version)", 0, W_ANY },
	OPTS_NAMES,
	{ 0 },
};

static bool already(int r)
{
	return r == -ADM_EXC_NOT_HALTED || r == -ADM_EXC_ALREADY_STARTED;
}

static int run(struct tool *t, int argc, char **argv)
{
	bool skip = opt_has(t, KEY_SKIP) || opt_has(t, KEY_ALL);
	_cleanup_free_ bool *picked = NULL;
	struct adm_qubes all;
	int r, failed = 0;
	size_t n = 0;

	if (opt_has(t, KEY_DRIVE) || opt_has(t, KEY_HDDISK) || opt_has(t, KEY_CDROM) || opt_has(t, KEY_WINTOOLS))
		return tool_usage(t, "drives cannot be attached in this version; start the qube without one");
	r = tool_qubes(t, argc, argv, &all, &picked);
	if (r != 0)
		return r;
	for (size_t i = 0; i < all.n; i++) {
		if (!picked[i] || streq(all.v[i].state, "Halted")) {
			n += picked[i];
			continue;
		}
		/* Transient is a start under way: the call waits for its end. */
		if (!skip && !streq(all.v[i].state, "Transient")) {
			(void)tool_fail(t, "'%s' is running already", all.v[i].name);
			failed++;
		}
		if (!streq(all.v[i].state, "Transient"))
			picked[i] = false;
	}
	if (n > 0 && emulated_here())
		tool_note(t, "%s: this host has no usable hardware virtualization", EMULATED_TEXT);
	failed += act_on(t, &all, picked, "admin.vm.Start", NULL, skip ? already : NULL);
	/* Whoever starts something is there to read it. */
	if (n > 0)
		eol_qubes(&all, picked, eol_warn, t);
	adm_qubes_fini(&all);
	return failed ? EXIT_FAIL : 0;
}

const struct verb verb_qvm_start = {
	.name = "qvm-start",
	.summary = "start qubes and wait until they are usable",
	.args = "[--all [--exclude NAME] | QUBE...]",
	.desc = "Several qubes start side by side. The NetVM of a qube is started with it.",
	.opts = opts,
	.words = { W_QUBE },
	.run = run,
};
