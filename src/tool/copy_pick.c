/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-copy and qvm-move in dom0: as in a qube only the files are named, and whoever sits there is asked for the qube. Sending is copy.c's. */
#include "tool/copy.h"

#include <sys/stat.h>

#include "proto/names.h"

static bool is_file(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void print_names(const struct tool *t)
{
	struct adm_qubes q;
	size_t col = 0;

	if (adm_qubes_get(&q, "dom0", NULL) < 0)
		return;
	(void)fprintf(stderr, "%s: to which qube?\n", t->verb->name);
	for (size_t i = 0; i < q.n; i++) {
		if (streq(q.v[i].cls, "AdminVM") || streq(q.v[i].cls, "RemoteVM"))
			continue;
		(void)fprintf(stderr, "  %s", q.v[i].name);
		col += strlen(q.v[i].name) + 2;
		if (col > 70) {
			(void)fputc('\n', stderr);
			col = 0;
		}
	}
	if (col)
		(void)fputc('\n', stderr);
	adm_qubes_fini(&q);
}

/* 0, or an exit status (printed). An empty line takes the whole copy back. */
static int ask(struct tool *t, char *out, size_t cap)
{
	if (!isatty(STDIN_FILENO))
		return tool_usage(t, "name the qube: '%s QUBE FILE...' or --target=QUBE; it is asked for on a terminal only", t->verb->name);
	print_names(t);
	(void)fputs("qube: ", stderr);
	if (!fgets(out, (int)cap, stdin) || !out[strspn(out, " \t\n")])
		return tool_fail(t, "nothing was sent");
	out[strcspn(out, " \t\n")] = '\0';
	return 0;
}

/* The whole tool; a first word that is no file here is the qube, as in the names with -to-vm. */
int copy_pick(struct tool *t, int argc, char **argv, bool move)
{
	_cleanup_free_ char **words = xcalloc((size_t)argc + 2, sizeof *words);
	char target[200];
	const char *given = opt_str(t, KEY_TARGET);
	struct qname name;
	int r;

	if (opt_has(t, KEY_SENDER) || opt_has(t, KEY_UNDO) || opt_has(t, KEY_RESUME) || opt_has(t, KEY_FORGET) || argc == 0)
		return copy_run(t, argc, argv, move);
	if (!given && argc > 1 && !is_file(argv[0]) && (argv[0][0] == '@' || qname_parse(&name, argv[0], NULL) == 0))
		return copy_run(t, argc, argv, move);
	for (int i = 0; i < argc; i++) {
		if (!is_file(argv[i]))
			return tool_fail(t, "no such file: '%s'", argv[i]);
		words[i + 1] = argv[i];
	}
	if (!given)
		r = ask(t, target, sizeof target);
	else
		r = str_copy(target, sizeof target, given) < 0 ? tool_usage(t, "no such qube: '%s'", given) : 0;
	if (r == 0 && target[0] != '@')
		r = tool_qube(t, target);
	if (r != 0)
		return r;
	words[0] = target;
	return copy_run(t, argc + 1, words, move);
}
