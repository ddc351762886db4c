/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-template: the table of its commands, and the face of the builder (src/template). The other commands are tpl_*.c.
 */
#include <fcntl.h>
#include <signal.h>

#include "base/io.h"
#include "template/template.h"
#include "tool/kvlist.h"
#include "tool/template_install.h"
#include "tool/tpl_verb.h"

/* Options of the reference that ask for what is done, or not done, here anyway. */
enum { KEY_NOTHING = 399 };

static const struct tool_opt opts[] = {
	{ KEY_REPO_FILES, "repo-files", "FILE", "repositories described there, instead of the system's (repeatable)", 0, W_FILE },
	{ KEY_ENABLE, "enablerepo", "REPO", "also use this repository (repeatable; * fits)", 0, W_ANY },
	{ KEY_DISABLE, "disablerepo", "REPO", "do not use this repository", 0, W_ANY },
	{ KEY_REPOID, "repoid", "REPO", "use only this repository", 0, W_ANY },
	{ KEY_RELEASEVER, "releasever", "VERSION", "what $releasever in addresses means", 0, W_ANY },
	{ KEY_UPDATEVM, "updatevm", "QUBE", "fetch through this qube; default is the property updatevm", 0, W_QUBE },
	{ KEY_REFRESH, "refresh", NULL, "ask repositories although an answer is kept; build: fetch packages anew", 0, W_ANY },
	{ KEY_CACHE, "cache", "DIR", "where fetched or built files are kept; default below ~/.cache/bulkhead", 0, W_FILE },
	{ KEY_CACHE, "cachedir", "DIR", "the same", OPT_ALIAS, W_FILE },
	{ KEY_KEEP_CACHE, "keep-cache", NULL, "keep fetched files after the installation", 0, W_ANY },
	{ 'y', "yes", NULL, "do not ask", 0, W_ANY },
	{ KEY_POOL, "pool", "POOL", "install: storage pool of the new template", 0, W_POOL },
	{ KEY_NAME, "name", "NAME", "install, build, export: name of the template", 0, W_ANY },
	{ KEY_INSTALLED, "installed", NULL, "list, info: what is installed", 0, W_ANY },
	{ KEY_AVAILABLE, "available", NULL, "list, info: what repositories have", 0, W_ANY },
	{ KEY_EXTRAS, "extras", NULL, "list, info: installed ones that no repository has", 0, W_ANY },
	{ KEY_UPGRADES, "upgrades", NULL, "list, info: newer versions of installed ones", 0, W_ANY },
	{ KEY_ALL_T, "all", NULL, "list: everything; search: descriptions and addresses too; repolist: disabled ones too", 0, W_ANY },
	{ KEY_MACHINE, "machine-readable", NULL, "list, info: STATUS|NAME|EVR|REPOSITORY and more, a line each", 0, W_ANY },
	OPT_JSON,
	{ KEY_JSON, "machine-readable-json", NULL, "the same", OPT_ALIAS, W_ANY },
	{ KEY_DOWNLOADDIR, "downloaddir", "DIR", "download: put files there; default is the current directory", 0, W_FILE },
	{ KEY_SIGN, "key", "FILE", "export, publish: the secret key that signs; default is this machine's own", 0, W_FILE },
	{ KEY_REPO_NAME, "repository", "NAME", "publish: name of the repository", 0, W_ANY },
	{ KEY_EXPIRES, "expires", "DAYS", "publish: the index is good for so long; default 30", 0, W_ANY },
	{ KEY_EPOCH, "epoch", "N", "export: counts before the version", 0, W_ANY },
	{ KEY_VERSION_, "template-version", "VERSION", "export: version; default is that of the distribution", 0, W_ANY },
	{ KEY_RELEASE, "release", "RELEASE", "export: release of that version; default is the time", 0, W_ANY },
	{ KEY_SUMMARY, "summary", "TEXT", "export: one line about it", 0, W_ANY },
	{ KEY_DESCRIPTION, "description", "TEXT", "export: more about it", 0, W_ANY },
	{ KEY_LICENSE, "license", "TEXT", "export: its licence", 0, W_ANY },
	{ KEY_URL, "url", "URL", "export: where to read about it", 0, W_ANY },
	{ KEY_EOL, "eol", "YYYY-MM-DD", "export: last day with security updates", 0, W_ANY },
	{ KEY_AS, "as", "FLAVOUR", "import: check that it has what this flavour has, and describe it so", 0, W_ANY },
	{ KEY_NO_INSTALL, "no-install", NULL, "build: only fill the cache, do not touch the running instance", 0, W_ANY },
	{ KEY_FORCE, "force", NULL, "build: import the image although an equal one is installed; export: write over a file; import: take a system without guest package", 0, W_ANY },
	{ KEY_FULL_KERNEL, "full-kernel", NULL, "build: also install the kernel with USB, sound, graphics and network cards", 0, W_ANY },
	{ KEY_DEB, "deb", "FILE", "build, import: guest package to install into the template", 0, W_FILE },
	{ KEY_NOTHING, "skip-start", NULL, "accepted, without effect: an installation starts no qube", OPT_HIDDEN, W_ANY },
	{ KEY_NOTHING, "allow-pv", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },
	{ KEY_KEYRING, "keyring", "FILE", "refused: keys are trusted one by one, see 'key'", OPT_HIDDEN, W_FILE },
	{ KEY_NO_CHECK, "nogpgcheck", NULL, "refused: signatures are always checked", OPT_HIDDEN, W_ANY },
	{ KEY_INIT, "init", "FILE", "first program of the initramfs", OPT_HIDDEN, W_FILE },
	{ KEY_PROGRESS_FD, "progress-fd", "N", "build: write progress as \"PERMILLE TEXT\" lines to descriptor N", 0, W_ANY },
	{ 0 },
};

/* A sub-command that asks the daemon: what a killed installation left is taken back first. */
#define RECOVER 1u

enum cmd { T_LIST, T_INFO, T_SEARCH, T_INSTALL, T_REINSTALL, T_UPGRADE, T_DOWNGRADE, T_REMOVE,
	   T_PURGE, T_DOWNLOAD, T_VERIFY, T_REPOLIST, T_CLEAN, T_BUILD, T_LIST_FLAVOURS,
	   T_IMPORT, T_EXPORT, T_PUBLISH, T_KEYGEN, T_KEY };

static const struct tool_sub subs[] = {
	[T_LIST] = { "list", "[TEMPLATE...]", "show installed and available templates", 0, SUB_MANY, NULL, RECOVER },
	[T_INFO] = { "info", "[TEMPLATE...]", "show all that is known about them", 0, SUB_MANY, NULL, RECOVER },
	[T_SEARCH] = { "search", "WORD...", "look for words in names and summaries", 1, SUB_MANY, NULL, RECOVER },
	[T_INSTALL] = { "install", "TEMPLATE|FILE...", "install new templates from repositories or template files", 1, SUB_MANY, NULL, RECOVER },
	[T_REINSTALL] = { "reinstall", "TEMPLATE|FILE...", "bring the same version's root back; private data and settings stay", 1, SUB_MANY, NULL, RECOVER },
	[T_UPGRADE] = { "upgrade", "[TEMPLATE|FILE...]", "replace the root by that of a newer version; all templates when none is named", 0, SUB_MANY, NULL, RECOVER },
	[T_DOWNGRADE] = { "downgrade", "TEMPLATE|FILE...", "replace the root by that of an older version", 1, SUB_MANY, NULL, RECOVER },
	[T_REMOVE] = { "remove", "TEMPLATE...", "remove templates", 1, SUB_MANY, NULL, RECOVER },
	[T_PURGE] = { "purge", "TEMPLATE...", "remove templates although qubes use them; those get an empty template", 1, SUB_MANY, NULL, RECOVER },
	[T_DOWNLOAD] = { "download", "TEMPLATE...", "fetch and check template files", 1, SUB_MANY, NULL, RECOVER },
	[T_VERIFY] = { "verify", "FILE...", "check template files", 1, SUB_MANY, NULL, 0 },
	[T_REPOLIST] = { "repolist", "", "show the repositories", 0, 0, NULL, 0 },
	[T_CLEAN] = { "clean", "", "remove fetched files", 0, 0, NULL, 0 },
	[T_BUILD] = { "build", "FLAVOUR", "make a template from Debian packages and install it", 1, 1, NULL, 0 },
	[T_LIST_FLAVOURS] = { "list-flavours", "", "show what can be built", 0, 0, NULL, 0 },
	[T_IMPORT] = { "import", "NAME TAR", "make a template of the archive of a root file system", 2, 2, NULL, RECOVER },
	[T_EXPORT] = { "export", "QUBE FILE", "make a signed template file of a template", 2, 2, NULL, RECOVER },
	[T_PUBLISH] = { "publish", "DIR", "make the signed index of a directory of template files", 1, 1, NULL, 0 },
	[T_KEYGEN] = { "keygen", "FILE", "make a pair of keys: FILE signs, FILE.pub checks", 1, 1, NULL, 0 },
	[T_KEY] = { "key", "list|trust|remove", "whose signatures count: list, trust NAME FILE, remove NAME", 1, 3, NULL, 0 },
	{ 0 },
};

static const struct tool_exit exits[] = {
	{ 130, "interrupted; finished steps are kept" },
	{ 0, NULL },
};

static void on_build(void *arg, const char *text, unsigned step, unsigned n_steps, unsigned permille)
{
	(void)step;
	(void)n_steps;
	/* The last tenth belongs to the import. */
	tpl_face_show(arg, permille * 9 / 10, text);
}

static void on_import(uint64_t done, uint64_t total, void *arg)
{
	unsigned permille = 900 + (total ? (unsigned)(done * 99 / total) : 0);
	struct tpl_face *f = arg;

	if (permille != f->last)
		tpl_face_show(f, MIN(permille, 999u), "importing");
}

static void on_signal(int signum)
{
	(void)signum;
	template_cancel();
}

static int install(struct tpl_face *f, const struct flavour *flavour, const struct template_result *res, struct err *e)
{
	bool changed = false;
	const struct template_install ti = {
		.name = res->name, .root_img = res->root_img, .kernel_dir = res->kernel_dir, .full_kernel_dir = res->full_kernel_dir, .digest = res->digest,
		.suite = res->suite, .summary = flavour->summary, .feature = flavour->feature, .x11 = flavour->x11, .force = opt_has(f->t, KEY_FORCE), .progress = on_import, .arg = f,
	};
	int r = template_install(&ti, &changed, e);

	if (r >= 0)
		tpl_face_show(f, 1000, changed ? "installed" : "installed already");
	return r;
}

/* On standard output, so that a script can take it. */
static void say_kernel(const struct tool *t, const struct template_result *res)
{
	const char *name = strrchr(res->full_kernel_dir, '/') + 1;

	if (t->verbose < 0)
		printf("%s\n", name);
	else
		printf("full kernel: %s (qvm-prefs QUBE kernel %s)\n", name, name);
}

static int build(struct tool *t, const char *name)
{
	struct tpl_face f;
	struct template_req req = {
		.flavour = flavour_find(name), .name = opt_str(t, KEY_NAME), .cache = opt_str(t, KEY_CACHE), .deb = opt_str(t, KEY_DEB),
		.init = opt_str(t, KEY_INIT), .full_kernel = opt_has(t, KEY_FULL_KERNEL), .refresh = opt_has(t, KEY_REFRESH),
		.progress = on_build, .arg = &f,
	};
	const char *fd = opt_str(t, KEY_PROGRESS_FD);
	struct sigaction sa = { .sa_handler = on_signal };
	struct template_result res;
	struct err e = { 0 };
	uint64_t n;
	int r;

	tpl_face_init(&f, t);
	if (!req.flavour)
		return tool_usage(t, "there is no flavour '%s'; see qvm-template list-flavours", name);
	if (fd && (str_u64(fd, 1024, &n) < 0 || fcntl((int)n, F_GETFD) < 0))
		return tool_usage(t, "--progress-fd wants an open descriptor");
	if (fd)
		f.fd = (int)n;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	r = template_build(&req, &res, &e);
	if (r >= 0 && opt_has(t, KEY_NO_INSTALL))
		tpl_face_show(&f, 1000, "built");
	else if (r >= 0)
		r = install(&f, req.flavour, &res, &e);
	if (r < 0) {
		if (f.bar)
			fputc('\n', stderr);
		tool_fail(t, "%s", err_text(&e, r));
		return r == -EINTR ? 130 : EXIT_FAIL;
	}
	if (res.full_kernel_dir[0] && !opt_has(t, KEY_JSON))
		say_kernel(t, &res);
	if (opt_has(t, KEY_JSON)) {
		struct json j = { 0 };

		json_open(&j, NULL, '{');
		json_str(&j, "name", res.name);
		json_str(&j, "root_img", res.root_img);
		json_str(&j, "kernel_dir", res.kernel_dir);
		if (res.full_kernel_dir[0])
			json_str(&j, "full_kernel_dir", res.full_kernel_dir);
		json_str(&j, "digest", res.digest);
		json_close(&j, '}');
	}
	return 0;
}

static int list_flavours(struct tool *t)
{
	struct table *tb __attribute__((cleanup(table_freep))) = table_new(3);
	const struct flavour *f;
	struct json j = { 0 };

	if (opt_has(t, KEY_JSON)) {
		json_open(&j, NULL, '[');
		for (size_t i = 0; (f = flavour_at(i)); i++) {
			json_open(&j, NULL, '{');
			json_str(&j, "name", f->name);
			json_str(&j, "suite", f->suite);
			json_str(&j, "summary", f->summary);
			json_close(&j, '}');
		}
		json_close(&j, ']');
		return 0;
	}
	table_add(tb, "FLAVOUR");
	table_add(tb, "SUITE");
	table_add(tb, "CONTENT");
	for (size_t i = 0; (f = flavour_at(i)); i++) {
		table_add(tb, f->name);
		table_add(tb, f->suite);
		table_add(tb, f->summary);
	}
	table_print(tb, t, true);
	return 0;
}

static void on_recovered(const char *text, void *arg)
{
	tool_note(arg, "%s", text);
}

static int act(struct tool *t, enum cmd cmd, int argc, char **argv)
{
	switch (cmd) {
	case T_LIST:
	case T_INFO:
		return tpl_list(t, cmd == T_INFO, argc, argv);
	case T_SEARCH:
		return tpl_search(t, argc, argv);
	case T_INSTALL:
		return tpl_change(t, TPL_INSTALL, argc, argv);
	case T_REINSTALL:
		return tpl_change(t, TPL_REINSTALL, argc, argv);
	case T_UPGRADE:
		return tpl_change(t, TPL_UPGRADE, argc, argv);
	case T_DOWNGRADE:
		return tpl_change(t, TPL_DOWNGRADE, argc, argv);
	case T_REMOVE:
	case T_PURGE:
		return tpl_remove(t, cmd == T_PURGE, argc, argv);
	case T_DOWNLOAD:
		return tpl_download(t, argc, argv);
	case T_VERIFY:
		return tpl_verify(t, argc, argv);
	case T_REPOLIST:
		return tpl_repolist(t);
	case T_CLEAN:
		return tpl_clean(t);
	case T_BUILD:
		return build(t, argv[0]);
	case T_LIST_FLAVOURS:
		return list_flavours(t);
	case T_IMPORT:
		return tpl_import(t, argv[0], argv[1]);
	case T_EXPORT:
		return tpl_export(t, argv[0], argv[1]);
	case T_PUBLISH:
		return tpl_publish(t, argv[0]);
	case T_KEYGEN:
		return tpl_keygen(t, argv[0]);
	case T_KEY:
		return tpl_key(t, argc, argv);
	}
	return EXIT_USAGE;
}

static int run(struct tool *t, int argc, char **argv)
{
	int i;

	if (opt_has(t, KEY_KEYRING))
		return tool_usage(t, "--keyring: whose signatures count is said once, by 'qvm-template key trust NAME FILE'");
	if (opt_has(t, KEY_NO_CHECK))
		return tool_usage(t, "--nogpgcheck: signatures cannot be switched off; 'qvm-template import NAME TAR' takes what nobody has signed");
	if (streq(argv[0], "migrate-from-rpmdb")) {
		tool_info(t, "there is nothing to migrate: no template comes from a package here");
		return argc == 1 ? 0 : tool_usage(t, "'%s' takes no words", argv[0]);
	}
	i = sub_find(t, argc, argv);
	if (i < 0)
		return EXIT_USAGE;
	tpl_signals();
	if (subs[i].flags & RECOVER)
		tpl_recover(on_recovered, t);
	return act(t, (enum cmd)i, argc - 1, argv + 1);
}

const struct verb verb_qvm_template = {
	.name = "qvm-template",
	.summary = "install, build and manage templates",
	.args = "COMMAND [ARGUMENT...]",
	.desc = "A template file is signed; it is installed only when a trusted key (see 'key')\n"
		"made it and every byte is as it was signed.",
	.opts = opts,
	.subs = subs,
	.exits = exits,
	.words = { W_SUB, W_FILE },
	.min_args = 1,
	.run = run,
};
