/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-sync-appmenus: ask a qube which programs it has, and make dom0's menu entries from the answer. */
#include "client/appmenus.h"
#include "proto/appmenu.h"
#include "tool/run.h"
#include "tool/service.h"
#include "tool/util.h"

static const struct tool_opt opts[] = {
	{ 'n', "no-autostart", NULL, "do not start the qube", 0, W_ANY },
	{ 0 },
};

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_free_ char *list = NULL;
	const char *qube = argv[0];
	struct appmenus_count count;
	struct err e = { 0 };
	size_t n = 0;
	int r = run_wake(t, qube);

	(void)argc;
	if (r)
		return r;
	r = service_call(qube, "qubes.GetAppmenus", "", APPMENU_STREAM_MAX, &list, &n, &e);
	if (r > 0)
		return tool_fail(t, "%s: the qube could not list its programs (status %d)", qube, r);
	if (r == 0)
		r = appmenus_store(qube, rd_mem(list, n), &count, &e);
	if (r == 0)
		r = appmenus_generate(qube, qube, NULL, &e);
	if (r < 0)
		return tool_fail(t, "%s: %s", qube, err_text(&e, r));
	tool_info(t, "%u programs", count.apps);
	if (count.skipped)
		tool_note(t, "%u programs were left out: their names are not acceptable", count.skipped);
	return 0;
}

const struct verb verb_qvm_sync_appmenus = {
	.name = "qvm-sync-appmenus",
	.summary = "ask a qube for its programs and make menu entries",
	.args = "QUBE",
	.opts = opts,
	.words = { W_QUBE },
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
