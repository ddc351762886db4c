/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-create: make a new qube. */
#include <fcntl.h>
#include <sys/stat.h>

#include "tool/clone.h"
#include "tool/menus.h"
#include "tool/prefs.h"

enum { KEY_STANDALONE = 390, KEY_DISP, KEY_PROP, KEY_CLASSES };

static const struct tool_opt opts[] = {
	{ 'C', "class", "CLASS", "class of the qube (default AppVM)", 0, W_CLASS },
	{ KEY_STANDALONE, "standalone", NULL, "the same as --class=StandaloneVM", 0, W_ANY },
	{ KEY_DISP, "disp", NULL, "the same as --class=DispVM --label=red", 0, W_ANY },
	{ 't', "template", "QUBE", "template; a StandaloneVM or TemplateVM becomes a copy of it", 0, W_QUBE },
	{ 'l', "label", "LABEL", "label: the colour of its windows (needed)", 0, W_LABEL },
	{ KEY_PROP, "property", "NAME=VALUE", "set a property (repeatable)", 0, W_PROPERTY },
	{ KEY_PROP, "prop", "NAME=VALUE", NULL, OPT_ALIAS, W_PROPERTY },
	OPTS_POOL,
	{ 'r', "root-copy-from", "FILE", "fill the root volume from an image file", 0, W_FILE },
	{ 'R', "root-move-from", "FILE", "the same, and delete the file afterwards", 0, W_FILE },
	{ KEY_CLASSES, "help-classes", NULL, "list the classes of qubes, then end", 0, W_ANY },
	{ KEY_JSON, "json", NULL, "with --help-classes: print JSON", 0, W_ANY },
	{ 0 },
};

struct create {
	const char *cls, *tmpl, *label, *name;
};

static int classes(struct tool *t)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct json j = { 0 };
	struct err e = { 0 };
	char *text, *line;
	int r = adm_text(&rep, "dom0", "admin.vmclass.List", NULL, NULL, &e);

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

/* NAME=VALUE: gives VALUE, the name in out. NULL when malformed. */
static const char *split(const char *s, char *out, size_t cap)
{
	const char *eq = strchr(s, '=');

	if (!eq || eq == s || str_printf(out, cap, "%.*s", (int)(eq - s), s) < 0)
		return NULL;
	return eq + 1;
}

/* label, template and name may come as properties as well. */
static int from_props(struct tool *t, struct create *c)
{
	char key[100];
	const char *s, *v;

	for (size_t i = 0; (s = opt_nth(t, KEY_PROP, i)); i++) {
		v = split(s, key, sizeof key);
		if (!v)
			return tool_usage(t, "'%s' is not NAME=VALUE", s);
		if (streq(key, "label"))
			c->label = v;
		else if (streq(key, "template"))
			c->tmpl = v;
		else if (streq(key, "name"))
			c->name = v;
	}
	return 0;
}

static int set_props(struct tool *t, const struct create *c)
{
	struct err e = { 0 };
	char key[100];
	const char *s, *v;

	for (size_t i = 0; (s = opt_nth(t, KEY_PROP, i)); i++) {
		int r;

		v = split(s, key, sizeof key);
		if (!v || streq(key, "label") || streq(key, "template") || streq(key, "name"))
			continue;
		r = prop_set(c->name, key, v, &e);
		if (r < 0)
			return tool_fail(t, "setting %s to '%s': %s; the qube was not created", key, v, err_text(&e, r));
	}
	return 0;
}

static int import_root(struct tool *t, const struct create *c, int fd, const char *path)
{
	struct stat st;
	struct err e = { 0 };
	int r;

	if (fstat(fd, &st) < 0)
		return tool_fail(t, "'%s': %s", path, strerror(errno));
	r = adm_import(c->name, "root", fd, (uint64_t)st.st_size, true, &e);
	if (r < 0)
		return tool_fail(t, "importing '%s': %s; the qube was not created", path, err_text(&e, r));
	return 0;
}

static int create(struct tool *t, const struct create *c, int root_fd, const char *root_path)
{
	bool copies = c->tmpl && (streq(c->cls, "StandaloneVM") || streq(c->cls, "TemplateVM"));
	struct err e = { 0 };
	int r;

	if (copies)
		r = clone_qube(t, &(struct clone_spec){ .src = c->tmpl, .dst = c->name, .cls = c->cls, .label = c->label });
	else
		r = create_qube(t, c->cls, c->tmpl, c->name, c->label);
	if (r != 0)
		return r;
	r = set_props(t, c);
	if (r == 0 && root_path)
		r = import_root(t, c, root_fd, root_path);
	if (r != 0 && adm_void(c->name, "admin.vm.Remove", NULL, NULL, &e) < 0)
		(void)tool_fail(t, "removing the unfinished '%s' failed too: %s", c->name, e.msg);
	return r;
}

static int run(struct tool *t, int argc, char **argv)
{
	struct create c = { .cls = opt_str(t, 'C'), .tmpl = opt_str(t, 't'), .label = opt_str(t, 'l'), .name = argc ? argv[0] : NULL };
	const char *copy = opt_str(t, 'r'), *move = opt_str(t, 'R'), *root = copy ? copy : move;
	_cleanup_fd_ int fd = -1;
	int r;

	if (opt_has(t, KEY_CLASSES))
		return classes(t);
	if ((c.cls != NULL) + opt_has(t, KEY_STANDALONE) + opt_has(t, KEY_DISP) > 1)
		return tool_usage(t, "one of --class, --standalone, --disp at a time");
	if (copy && move)
		return tool_usage(t, "one of --root-copy-from, --root-move-from at a time");
	if (opt_has(t, KEY_DISP))
		c.label = c.label ? c.label : "red";
	if (!c.cls)
		c.cls = opt_has(t, KEY_STANDALONE) ? "StandaloneVM" : opt_has(t, KEY_DISP) ? "DispVM" : "AppVM";
	r = from_props(t, &c);
	if (r != 0)
		return r;
	if (!c.name)
		return tool_usage(t, "name the new qube; usage: qvm-create --label=LABEL [OPTION...] NAME");
	if (!c.label)
		return tool_usage(t, "choose a label for '%s', for example --label=red", c.name);
	if (root) {
		fd = open(root, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return tool_fail(t, "opening '%s': %s", root, strerror(errno));
	}
	r = create(t, &c, fd, root);
	if (r == 0)
		menus_new(t, c.name);
	if (r == 0 && move && unlink(move) < 0)
		return tool_fail(t, "the qube was created, but '%s' could not be deleted: %s", move, strerror(errno));
	return r;
}

const struct verb verb_qvm_create = {
	.name = "qvm-create",
	.summary = "make a new qube",
	.args = "NAME",
	.opts = opts,
	.max_args = 1,
	.run = run,
};
