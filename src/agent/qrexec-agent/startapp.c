/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-startapp: starts the program of a desktop file by its name and leaves it running. In a disposable with windows it stays until the last window is closed,
 * because the disposable ends with this call. With --preload the program is started ahead, its windows withheld by the agent of the windows; the next start by
 * that name shows them.
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
#define AGENT_MS 10000
#define PRELOAD_MS 200000
#define SETTLE_MS 1500
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

/* Reads what the agent says within ms (-1: whenever that is). Gives the number of whole lines, 0 when nothing comes or it is an error. */
static unsigned says_ok(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[512] = "";
	unsigned n = 0;
	int r;

	do {
		r = poll(&p, 1, ms);
	} while (r < 0 && errno == EINTR);
	if (r != 1 || read(fd, text, sizeof text - 1) <= 0 || !str_starts(text, "ok"))
		return 0;
	for (const char *c = text; (c = strchr(c, '\n')); c++)
		n++;
	return n;
}

static bool ask(int fd, const char *what, const char *name)
{
	char line[256];

	return str_printf(line, sizeof line, "%s %s\n", what, name) == 0 && write_full(fd, line, strlen(line)) == 0;
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

/* The program is open already, and its windows are shown now: the end of the last one is waited for. */
static bool open_ahead(int agent, const char *name)
{
	unsigned n = agent >= 0 && ask(agent, "open", name) ? says_ok(agent, AGENT_MS) : 0;

	/* the second line is the answer to wait-last, and may have come with the first */
	if (n == 1)
		(void)says_ok(agent, -1);
	return n > 0;
}

static int start(char **argv, int agent, struct err *e)
{
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

/* The answer to "preload" comes with the first window. What the program still draws then, and the translation of that by an emulator, are over soon. */
static int preload(char **argv, const char *name, struct err *e)
{
	const char *path = secure_getenv("BULKHEAD_GUI_AGENT");
	_cleanup_fd_ int agent = unix_connect(path ? path : GUI_AGENT, SOCK_STREAM, e);
	int r;

	if (agent < 0)
		return agent;
	if (!ask(agent, "preload", name))
		return err_set(e, EPIPE, "the agent of the windows does not listen");
	r = start(argv, -1, e);
	if (r == 0 && !says_ok(agent, PRELOAD_MS))
		r = err_set(e, ETIMEDOUT, "'%s' shows no window", name);
	if (r == 0)
		(void)poll(NULL, 0, SETTLE_MS);
	return r;
}

int main(int argc, char **argv)
{
	_cleanup_free_ char *file = NULL, *text = NULL;
	bool ahead = argc == 3 && streq(argv[1], "--preload");
	const char *name = argc == 2 + ahead ? argv[1 + ahead] : "";
	_cleanup_fd_ int agent = -1;
	char *args[ARGS_MAX];
	struct err e = { 0 };
	size_t n = 0;
	int r;

	if (!*name || *name == '.' || *name == '-' || !str_chars(name, "._-")) {
		fprintf(stderr, "usage: qubes-startapp [--preload] NAME (of a desktop file, without .desktop)\n");
		return 2;
	}
	agent = ahead ? -1 : ask_last();
	if (open_ahead(agent, name))
		return 0;
	r = load(name, &file, &n, &e);
	if (r == 0) {
		text = xmalloc(n + 2);
		r = desktop_exec(rd_mem(file, n), text, n + 2, args, ARGS_MAX, &e);
	}
	if (r >= 0)
		r = ahead ? preload(args, name, &e) : start(args, agent, &e);
	if (r >= 0)
		return 0;
	fprintf(stderr, "qubes-startapp: %s\n", err_text(&e, r));
	return r == -ENOENT ? 127 : 125;
}
