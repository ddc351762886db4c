/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-show-in-terminal: serves qubes.ShowInTerminal: what the caller sends appears in a terminal window, what is typed there goes back. The window
 * runs this program again, which joins its terminal to the call through a socket in a private folder.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <termios.h>

#include "agent/services/common.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"

#define WINDOW_TIMEOUT_MS 60000

extern char **environ;

/* Moves what is there from a to b; 0 at the end. */
static ssize_t move(int a, int b)
{
	char buf[16384];
	ssize_t n = read(a, buf, sizeof buf);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	return n <= 0 || write_full(b, buf, (size_t)n) < 0 ? 0 : n;
}

/* Until the window is closed or the caller has ended. */
static void join(int in, int out, int sock)
{
	struct pollfd pf[2] = { { .fd = in, .events = POLLIN }, { .fd = sock, .events = POLLIN } };

	for (;;) {
		if (poll(pf, 2, -1) < 0 && errno != EINTR)
			return;
		if (pf[0].revents && move(in, sock) == 0)
			return;
		if (pf[1].revents && move(sock, out) == 0)
			return;
	}
}

static int inside(const char *path, struct err *e)
{
	struct termios raw, old;
	_cleanup_fd_ int fd = unix_connect(path, SOCK_STREAM, e);
	bool tty = tcgetattr(STDIN_FILENO, &old) == 0;

	if (fd < 0)
		return fd;
	if (tty) {
		raw = old;
		cfmakeraw(&raw);
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	join(STDIN_FILENO, STDOUT_FILENO, fd);
	if (tty)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &old);
	return 0;
}

static int window(struct proc *p, const char *path, struct err *e)
{
	static const char *const terminals[] = { "/usr/bin/xterm", "/usr/bin/x-terminal-emulator" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	const char *argv[] = { NULL, "-e", self, "--inside", path, NULL };
	struct proc_spec s = { .envp = (const char *const *)environ, .argv = argv, .keep_stderr = true };

	self[MAX(n, 0)] = '\0';
	if (!getenv("DISPLAY"))
		return err_set(e, ENOTTY, "this qube has no screen");
	for (size_t i = 0; i < ARRAY_SIZE(terminals) && !s.path; i++)
		if (access(terminals[i], X_OK) == 0)
			s.path = argv[0] = terminals[i];
	return s.path ? proc_spawn(p, &s, e) : err_set(e, ENOENT, "no terminal program is installed in this qube (xterm would do)");
}

static int outside(const char *dir, struct err *e)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_fd_ int lis = -1, fd = -1;
	struct pollfd pf[2];
	char path[80];
	int r = str_printf(path, sizeof path, "%s/s", dir);

	if (r < 0)
		return r;
	lis = unix_listen(path, SOCK_STREAM, 0600, e);
	if (lis < 0)
		return lis;
	r = window(&p, path, e);
	if (r < 0)
		return r;
	pf[0] = (struct pollfd){ .fd = lis, .events = POLLIN };
	pf[1] = (struct pollfd){ .fd = p.pidfd, .events = POLLIN };
	if (poll(pf, 2, WINDOW_TIMEOUT_MS) <= 0 || !pf[0].revents)
		return err_set(e, EIO, "the terminal window did not open");
	fd = accept4(lis, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "the terminal window");
	join(STDIN_FILENO, STDOUT_FILENO, fd);
	fd_closep(&fd);
	return 0;
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/terminal-XXXXXX";
	struct err e = { 0 };
	int r;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && streq(argv[1], "--inside"))
		return finish("qubes.ShowInTerminal", inside(argv[2], &e), &e);
	if (!mkdtemp(dir)) {
		err_errno(&e, errno, "'%s'", dir);
		return finish("qubes.ShowInTerminal", -1, &e);
	}
	r = outside(dir, &e);
	(void)fs_rm_rf(AT_FDCWD, dir, NULL);
	return finish("qubes.ShowInTerminal", r, &e);
}
