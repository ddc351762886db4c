/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-startapp: starts the program of a desktop file by its name and leaves it running. In a disposable with windows it stays until the last window is closed,
 * because the disposable ends with this call.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "proto/desktop.h"
#include "qrexec/find.h"

#define FILE_MAX (1 << 20)
#define ARGS_MAX 256
#define DISPOSABLE "/run/qubes/persistent-none"
#define GUI_AGENT "/run/qubes/gui-agent.sock"
#define WINDOW_WAIT_MS 60000 /* for the first window after the program itself has ended: it may have handed over to another one */

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

/* The agent is asked before the program starts, so that no window is missed. -1: not a disposable, or one without windows. */
static int ask_last(void)
{
	const char *agent = secure_getenv("BULKHEAD_GUI_AGENT");
	int fd;

	if (!agent && access(DISPOSABLE, F_OK) < 0)
		return -1;
	fd = unix_connect(agent ? agent : GUI_AGENT, SOCK_STREAM, NULL);
	if (fd >= 0 && write_full(fd, "wait-last\n", 10) < 0)
		fd_closep(&fd);
	return fd;
}

/* Gives whether there is a window now; the answer to wait-last may come instead, and says that there is none. */
static bool any_window(int fd)
{
	char line[512];
	ssize_t n = write_full(fd, "status\n", 7) < 0 ? -1 : read(fd, line, sizeof line - 1);

	line[n > 0 ? n : 0] = 0;
	return strstr(line, " managed=") && !strstr(line, " managed=0 ");
}

static void wait_last(int fd, struct proc *child)
{
	int status, wait = -1;

	for (;;) {
		struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = child->pidfd, .events = POLLIN } };
		int n = poll(p, 2, wait);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || p[0].revents || (n == 0 && !any_window(fd)))
			return;
		if (n == 0)
			wait = -1;
		if (p[1].revents && proc_wait(child, -1, &status) == 0) {
			fd_closep(&child->pidfd);
			/* one that failed shows nothing any more */
			wait = proc_exit_code(status) ? 1 : WINDOW_WAIT_MS;
		}
	}
}

static int start(char **argv, struct err *e)
{
	_cleanup_fd_ int agent = ask_last();
	struct proc child = PROC_INIT;
	char path[PATH_MAX];
	struct proc_spec p = { .path = path, .argv = (const char *const *)argv, .envp = (const char *const *)environ, .cwd = getenv("HOME"), .new_session = true };
	int r = find_program(argv[0], path, e);

	if (r == 0)
		r = proc_spawn(&child, &p, e);
	if (r == 0 && agent >= 0)
		wait_last(agent, &child);
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
