/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-sync-appmenus: ask a qube which programs it has, and make dom0's menu entries from the answer. */
#include "client/appmenus.h"
#include "proto/appmenu.h"
#include "proto/image.h"
#include "tool/run.h"
#include "tool/service.h"
#include "tool/util.h"

enum { KEY_NO_ICONS = 380 };

static const struct tool_opt opts[] = {
	{ KEY_NO_ICONS, "no-icons", NULL, "do not ask for the pictures of the programs", 0, W_ANY },
	{ 'n', "no-autostart", NULL, "do not start the qube", 0, W_ANY },
	{ 0 },
};

/* One call a program. A qube that has no picture of one, or none that it can give, has a plain one in the menu; one that does not answer is not asked again. */
static void get_icons(struct tool *t, const char *qube, const char *list, size_t n, struct appmenus_icons *icons)
{
	struct rd r = rd_mem(list, n);
	unsigned skipped = 0;
	struct appmenu a;

	while (appmenu_next(&r, &a, &skipped) > 0) {
		_cleanup_free_ char *line = xasprintf("xdgicon:%s\n", a.icon), *answer = NULL;
		struct err e = { 0 };
		size_t len = 0;
		int status;

		if (!a.icon[0])
			continue;
		status = service_call_quiet(qube, "qubes.GetImageRGBA", line, IMAGE_ANSWER_MAX, &answer, &len, &e);
		if (status == 0)
			appmenus_icon_add(icons, a.id, rd_mem(answer, len));
		if (status >= 0 || status == -EFBIG)
			continue;
		tool_note(t, "the rest of the pictures is left out: %s", err_text(&e, status));
		return;
	}
}

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_free_ char *list = NULL;
	const char *qube = argv[0];
	_cleanup_(appmenus_icons_fini) struct appmenus_icons icons = { 0 };
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
	if (r == 0 && !opt_has(t, KEY_NO_ICONS)) {
		get_icons(t, qube, list, n, &icons);
		r = appmenus_icons_store(qube, &icons, &e);
	}
	if (r == 0)
		r = appmenus_generate(qube, qube, NULL, &e);
	if (r < 0)
		return tool_fail(t, "%s: %s", qube, err_text(&e, r));
	tool_info(t, "%u programs, %zu with a picture", count.apps, icons.n);
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
