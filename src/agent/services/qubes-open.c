/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes-open FILE|URL: opens it with the program that this qube has for it, and ends when that ends. */
#include <limits.h>
#include <signal.h>

#include "agent/services/common.h"
#include "agent/services/opener.h"
#include "base/proc.h"
#include "base/str.h"

extern char **environ;

static int usage(FILE *f, int code)
{
	fputs("usage: qubes-open [--type] FILE|URL\n"
	      "Opens a file or an address with this qube's program for it and waits for that to end.\n"
	      "  --type  only print the type by which the program is chosen\n",
	      f);
	return code;
}

static int open_it(const char *what, struct err *e)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	struct opener o;
	struct proc_spec s = { .path = o.path, .argv = (const char *const *)o.argv, .envp = (const char *const *)environ,
			       .cwd = getenv("HOME"), .keep_stderr = true, .death_signal = SIGTERM };
	int r = opener_find(&o, what, e), status = 0;

	if (r == 0 && s.cwd && access(s.cwd, X_OK) < 0)
		s.cwd = NULL;
	if (r == 0)
		r = proc_spawn(&p, &s, e);
	if (r == 0)
		r = proc_wait(&p, -1, &status);
	opener_fini(&o);
	return r < 0 ? r : proc_exit_code(status);
}

int main(int argc, char **argv)
{
	bool only_type = argc > 1 && streq(argv[1], "--type");
	const char *what = argc == 2 + only_type ? argv[1 + only_type] : NULL;
	char path[PATH_MAX], type[128];
	struct err e = { 0 };
	int r;

	if (argc == 2 && (streq(argv[1], "--help") || streq(argv[1], "-h")))
		return usage(stdout, 0);
	if (!what || what[0] == '-')
		return usage(stderr, 2);
	if (!strstr(what, "://")) {
		if (!realpath(what, path)) {
			err_errno(&e, errno, "'%s'", what);
			return finish("qubes-open", -e.code, &e);
		}
		what = path;
	}
	if (only_type) {
		opener_type(what, type, sizeof type);
		return puts(type) < 0;
	}
	r = open_it(what, &e);
	return r < 0 ? finish("qubes-open", r, &e) : r;
}
