/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-features-request [--commit] [NAME[=VALUE]…]: what this qube says about itself to dom0, which decides what of it becomes a feature. */
#include <getopt.h>

#include "agent/services/common.h"
#include "base/str.h"
#include "proto/names.h"
#include "qdb/client.h"

#define QUBESDB_SOCKET "/run/qubes/qubesdb.sock"

static int usage(FILE *f, int code)
{
	fputs("usage: qvm-features-request [--commit] [NAME[=VALUE]...]\n"
	      "Writes down what this qube has (NAME alone means NAME=1) and with --commit tells dom0 to look.\n"
	      "Values may have letters, digits, blanks and - . , _ =\n",
	      f);
	return code;
}

static int write_one(struct qdbc *db, const char *arg, struct err *e)
{
	const char *eq = strchr(arg, '='), *value = eq ? eq + 1 : "1";
	_cleanup_free_ char *name = xstrndup(arg, eq ? (size_t)(eq - arg) : strlen(arg));
	char key[128];

	if (!feature_ok(name) || str_printf(key, sizeof key, "/features-request/%s", name) < 0)
		return err_set(e, EINVAL, "'%s' cannot be the name of a feature", name);
	if (!str_chars(value, "-.,_= ") || strlen(value) > 200)
		return err_set(e, EINVAL, "the value of '%s' has a character that dom0 would refuse", name);
	return qdbc_write(db, key, value, strlen(value), e);
}

static int write_all(const char *path, char **args, int n, struct err *e)
{
	struct qdbc db;
	int r = qdbc_open(&db, path, e);

	if (r < 0)
		return r;
	for (int i = 0; i < n && r == 0; i++)
		r = write_one(&db, args[i], e);
	qdbc_fini(&db);
	return r;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "commit", no_argument, NULL, 'c' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	const char *path = getenv("QUBESDB_SOCKET");
	_cleanup_free_ char *answer = NULL;
	struct err e = { 0 };
	bool commit = false;
	size_t n = 0;
	int c, r = 0;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout, 0);
		if (c != 'c')
			return usage(stderr, 2);
		commit = true;
	}
	if (!commit && optind >= argc)
		return usage(stderr, 2);
	if (optind < argc)
		r = write_all(path ? path : QUBESDB_SOCKET, argv + optind, argc - optind, &e);
	if (r == 0 && commit)
		r = remote_text("dom0", "qubes.FeaturesRequest", "", 4096, &answer, &n, &e);
	return finish("qvm-features-request", r, &e);
}
