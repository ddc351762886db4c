/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-db: the database of the daemon while the daemon is stopped. The work is done by db-worker; this is its face. */
#include <limits.h>

#include "base/paths.h"
#include "base/proc.h"
#include "tool/kvlist.h"
#include "tool/util.h"

enum { KEY_DRY = 840, KEY_XML };

static const struct tool_opt opts[] = {
	{ 'n', "dry-run", NULL, "import, restore: check everything and change nothing", 0, W_ANY },
	{ KEY_XML, "qubes-xml", "FILE", "import: add what is in a qubes.xml of the reference", 0, W_FILE },
	{ 'o', "output", "FILE", "export: write to this file, as a whole or not at all", 0, W_FILE },
	OPT_JSON,
	{ 0 },
};

static const struct tool_sub subs[] = {
	{ "check", "[SNAPSHOT]", "is the database, or a snapshot, whole, and does every value make sense?", 0, 1 },
	{ "export", "[-o FILE]", "print the whole state as JSON", 0, 0 },
	{ "import", "FILE", "replace the state by an export; everything is checked first", 0, 1 },
	{ "snapshots", "", "list the snapshots, newest first", 0, 0 },
	{ "snapshot", "", "make a snapshot now", 0, 0 },
	{ "restore", "SNAPSHOT", "go back to a snapshot, or to the newest good one: latest", 1, 1 },
	{ 0 },
};

static int worker(struct tool *t, const char *const *argv)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	const char *vars[] = { "QUBES_ROOT", "HOME", "XDG_DATA_HOME" };
	char program[PATH_MAX], cwd[PATH_MAX], *env[ARRAY_SIZE(vars) + 1] = { NULL };
	struct proc_spec s = { .path = path_program(program, "db-worker"), .argv = argv, .envp = (const char *const *)env, .cwd = getcwd(cwd, sizeof cwd),
			       .keep_stderr = true, .fds = { { 1, 1 } }, .n_fds = 1 };
	struct err e = { 0 };
	size_t n = 0;
	int status = 0, r;

	for (size_t i = 0; i < ARRAY_SIZE(vars); i++)
		if (getenv(vars[i]))
			env[n++] = xasprintf("%s=%s", vars[i], getenv(vars[i]));
	r = proc_spawn(&p, &s, &e);
	if (r >= 0)
		r = proc_wait(&p, -1, &status);
	for (size_t i = 0; i < n; i++)
		free(env[i]);
	return r < 0 ? tool_fail(t, "%s", err_text(&e, r)) : proc_exit_code(status);
}

static int run(struct tool *t, int argc, char **argv)
{
	const char *xml = opt_str(t, KEY_XML), *args[8] = { "db-worker", argv[0] };
	bool import = streq(argv[0], "import");
	size_t n = 2;

	if (sub_find(t, argc, argv) < 0)
		return EXIT_USAGE;
	if (import && (argc == 2) == (xml != NULL))
		return tool_usage(t, "'import' takes one file, or --qubes-xml FILE");
	if (xml && !import)
		return tool_usage(t, "--qubes-xml belongs to import");
	if (opt_has(t, 'n'))
		args[n++] = "--dry-run";
	if (opt_has(t, KEY_JSON))
		args[n++] = "--json";
	if (xml)
		args[n++] = "--qubes-xml";
	args[n++] = "--";
	if (xml || argc == 2)
		args[n++] = xml ? xml : argv[1];
	else if (opt_str(t, 'o'))
		args[n++] = opt_str(t, 'o');
	return worker(t, args);
}

const struct verb verb_qvm_db = {
	.name = "qvm-db",
	.summary = "Check, export, import and restore the database of qubesd",
	.args = "COMMAND [ARGUMENT]",
	.desc = "Works while qubesd is stopped (snapshots can be listed at any time). Whatever\n"
		"replaces the state is checked as a whole first, and the former state stays as a\n"
		"snapshot.",
	.opts = opts,
	.subs = subs,
	.words = { W_SUB, W_FILE },
	.min_args = 1,
	.max_args = 2,
	.run = run,
};
