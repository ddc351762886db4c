/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-appmenus: the menu entries that dom0 has for the programs of qubes. */
#include "client/appmenus.h"
#include "proto/appmenu.h"
#include "tool/menus.h"
#include "tool/util.h"

enum { KEY_UPDATE = 380, KEY_REMOVE, KEY_AVAILABLE };

static const struct tool_opt opts[] = {
	{ KEY_UPDATE, "update", NULL, "make the entries again (the default)", 0, W_ANY },
	{ KEY_UPDATE, "create", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	{ KEY_REMOVE, "remove", NULL, "remove the entries and the list", 0, W_ANY },
	{ KEY_AVAILABLE, "get-available", NULL, "print the programs that could be in the menu", 0, W_ANY },
	{ KEY_JSON, "json", NULL, "with --get-available: print JSON, an object a qube", 0, W_ANY },
	OPTS_NAMES,
	{ 0 },
};

static int update(struct tool *t, const char *qube)
{
	struct err e = { 0 };
	char from[MENUS_NAME];
	int n = menus_update(qube, from, &e);

	if (n < 0)
		return tool_fail(t, "%s: %s", qube, err_text(&e, n));
	tool_info(t, "%s: %d entries from the list of '%s'", qube, n, from);
	return 0;
}

/* j: the open object of all qubes; NULL = text. */
static int available(struct tool *t, const char *qube, struct json *j)
{
	_cleanup_free_ char *text = NULL;
	struct appmenu a;
	unsigned skipped = 0;
	struct err e = { 0 };
	size_t n = 0;
	struct rd list;
	char from[MENUS_NAME];
	int r;

	menus_source(qube, from);
	r = appmenus_list(from, &text, &n, &e);
	if (r == -ENOENT)
		return tool_fail(t, "'%s' has not said which programs it has; 'qvm-sync-appmenus %s' asks", qube, from);
	if (r < 0)
		return tool_fail(t, "%s: %s", qube, err_text(&e, r));
	list = rd_mem(text, n);
	if (j)
		json_open(j, qube, '{');
	while (appmenu_next(&list, &a, &skipped) > 0) {
		char file[300];

		if (!j)
			printf("%s.desktop - %s\n", a.id, a.name);
		else if (str_printf(file, sizeof file, "%s.desktop", a.id) == 0)
			json_str(j, file, a.name);
	}
	if (j)
		json_close(j, '}');
	return 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_(adm_qubes_fini) struct adm_qubes all = { 0 };
	_cleanup_free_ bool *picked = NULL;
	bool json = opt_has(t, KEY_JSON) && opt_has(t, KEY_AVAILABLE);
	struct json j = { 0 };
	struct err e = { 0 };
	int r, status = 0;

	if (opt_has(t, KEY_UPDATE) + opt_has(t, KEY_REMOVE) + opt_has(t, KEY_AVAILABLE) > 1)
		return tool_usage(t, "one of --update, --remove, --get-available at a time");
	r = tool_qubes(t, argc, argv, &all, &picked);
	if (r)
		return r;
	if (json)
		json_open(&j, NULL, '{');
	for (size_t i = 0; i < all.n; i++) {
		const char *name = all.v[i].name;

		if (!picked[i] || streq(name, "dom0"))
			continue;
		if (opt_has(t, KEY_AVAILABLE))
			r = available(t, name, json ? &j : NULL);
		else if (opt_has(t, KEY_REMOVE))
			r = appmenus_remove(name, &e) < 0 ? tool_fail(t, "%s: %s", name, err_text(&e, -EIO)) : 0;
		else
			r = update(t, name);
		status = MAX(status, r);
	}
	if (json)
		json_close(&j, '}');
	return status;
}

const struct verb verb_qvm_appmenus = {
	.name = "qvm-appmenus",
	.summary = "keep the menu entries for the programs of qubes",
	.args = "[QUBE...]",
	.opts = opts,
	.words = { W_QUBE },
	.run = run,
};
