/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes-startapp: starts the program of a desktop file by its name and leaves it running. */
#include <fcntl.h>

#include "base/fsx.h"
#include "base/proc.h"
#include "base/str.h"
#include "proto/desktop.h"
#include "qrexec/find.h"

#define FILE_MAX (1 << 20)
#define ARGS_MAX 256

extern char **environ;

static int load(const char *id, char **ret, size_t *ret_len, struct err *e)
{
	static const char *const system_dirs[] = { "/usr/local/share/applications", "/usr/share/applications" };
	const char *home = getenv("HOME");
	char path[PATH_MAX];
	int r = -ENOENT;

	if (home && str_printf(path, sizeof path, "%s/.local/share/applications/%s.desktop", home, id) == 0)
		r = fs_read(AT_FDCWD, path, FILE_MAX, ret, ret_len, e);
	for (size_t i = 0; r == -ENOENT && i < ARRAY_SIZE(system_dirs); i++)
		if (str_printf(path, sizeof path, "%s/%s.desktop", system_dirs[i], id) == 0)
			r = fs_read(AT_FDCWD, path, FILE_MAX, ret, ret_len, e);
	return r;
}

static int start(char **argv, struct err *e)
{
	struct proc child = PROC_INIT;
	char path[PATH_MAX];
	struct proc_spec p = { .path = path, .argv = (const char *const *)argv, .envp = (const char *const *)environ, .cwd = getenv("HOME"), .new_session = true };
	int r = find_program(argv[0], path, e);

	if (r == 0)
		r = proc_spawn(&child, &p, e);
	/* it lives on: the descriptor is all that is given up */
	fd_closep(&child.pidfd);
	return r;
}

int main(int argc, char **argv)
{
	_cleanup_free_ char *file = NULL, *text = NULL;
	char *args[ARGS_MAX];
	struct err e = { 0 };
	size_t n = 0;
	int r;

	if (argc != 2 || argv[1][0] == '.' || !str_chars(argv[1], "._-")) {
		fprintf(stderr, "usage: qubes-startapp NAME (of a desktop file, without .desktop)\n");
		return 2;
	}
	r = load(argv[1], &file, &n, &e);
	if (r == 0) {
		text = xmalloc(n + 2);
		r = desktop_exec(rd_mem(file, n), text, n + 2, args, ARGS_MAX, &e);
	}
	if (r >= 0)
		r = start(args, &e);
	if (r >= 0)
		return 0;
	fprintf(stderr, "qubes-startapp: %s\n", err_text(&e, r));
	return r == -ENOENT ? 127 : 125;
}
