/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-tags: tags of a qube, by which policy can name groups of qubes. */
#include "proto/names.h"
#include "tool/util.h"

static const struct tool_opt opts[] = { OPT_JSON, { 0 } };

static const struct tool_sub subs[] = {
	{ "list", "[TAG]", "list the tags, or check that TAG is there (status 1 when not)" },
	{ "add", "TAG...", "add tags" },
	{ "del", "TAG...", "remove tags" },
	{ 0 },
};

static int list(struct tool *t, const char *qube)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct json j = { 0 };
	struct err e = { 0 };
	char *text, *line;
	int r = adm_text(&rep, qube, "admin.vm.tag.List", NULL, NULL, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	if (!opt_has(t, KEY_JSON)) {
		(void)fputs(rep.data, stdout);
		return 0;
	}
	text = rep.data;
	json_open(&j, NULL, '[');
	while ((line = adm_line(&text)))
		json_str(&j, NULL, line);
	json_close(&j, ']');
	return 0;
}

static int check(struct tool *t, const char *qube, const char *tag)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	int r = adm_text(&rep, qube, "admin.vm.tag.Get", tag, NULL, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	if (!streq(rep.data, "1"))
		return EXIT_FAIL;
	printf("%s\n", tag);
	return 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	const char *qube = argv[0], *cmd = argc > 1 ? argv[1] : "list";
	struct err e = { 0 };
	bool add = streq(cmd, "add") || streq(cmd, "set") || streq(cmd, "a");
	int r;

	for (int i = 2; i < argc; i++)
		if (!tag_ok(argv[i]))
			return tool_usage(t, "'%s' is no tag: letters, digits, '_' and '-' are allowed", argv[i]);
	if (streq(cmd, "list") || streq(cmd, "ls") || streq(cmd, "l"))
		return argc > 3 ? tool_usage(t, "list takes one tag at most") : argc == 3 ? check(t, qube, argv[2]) : list(t, qube);
	if (!add && !streq(cmd, "del") && !streq(cmd, "unset") && !streq(cmd, "d"))
		return tool_usage(t, "no such command: '%s'; there are list, add, del", cmd);
	if (argc < 3)
		return tool_usage(t, "%s needs a tag", cmd);
	for (int i = 2; i < argc; i++) {
		r = adm_void(qube, add ? "admin.vm.tag.Set" : "admin.vm.tag.Remove", argv[i], NULL, &e);
		if (r < 0)
			return tool_api(t, r, &e);
	}
	return 0;
}

const struct verb verb_qvm_tags = {
	.name = "qvm-tags",
	.summary = "show or change the tags of a qube",
	.args = "QUBE [list|add|del] [TAG...]",
	.opts = opts,
	.subs = subs,
	.words = { W_QUBE, W_SUB, W_TAG },
	.min_args = 1,
	.run = run,
};
