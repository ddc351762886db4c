/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The start without --direct: this process starts the same program once more, detached and with a log file, and waits until that one has met the
 * qube's agent. It then ends, so that whoever starts qubes knows that calls work.
 */
#include "background.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

#include "base/io.h"
#include "base/paths.h"
#include "base/proc.h"
#include "base/str.h"

#define READY_FD 3
#define EXIT_NO_AGENT 3
#define TIMEOUT_S 60

extern char **environ;

unsigned background_timeout_s(void)
{
	const char *s = getenv("QREXEC_STARTUP_TIMEOUT");
	uint64_t v;

	return s && str_u64(s, 86400, &v) == 0 && v > 0 ? (unsigned)v : TIMEOUT_S;
}

void background_ready(void)
{
	(void)!write(READY_FD, "R", 1);
	close(READY_FD);
}

static int open_log(const char *name, struct err *e)
{
	char path[PATH_MAX];
	int fd = open(path_fmt(path, PATH_LOG, "/qrexec.%s.log", name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0660);

	return fd < 0 ? err_errno(e, errno, "log file '%s'", path) : fd;
}

static int start(struct proc *ret, int argc, char **argv, const char *name, int ready, struct err *e)
{
	_cleanup_free_ const char **args = xcalloc((size_t)argc + 3, sizeof *args);
	_cleanup_fd_ int log = open_log(name, e);
	char self[PATH_MAX];
	struct proc_spec p = { .path = self, .argv = args, .envp = (const char *const *)environ, .new_session = true };
	ssize_t n;

	if (log < 0)
		return log;
	n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n <= 0)
		return err_errno(e, errno, "/proc/self/exe");
	self[n] = 0;
	args[0] = argv[0];
	args[1] = "--direct";
	args[2] = "--tell-ready";
	for (int i = 1; i < argc; i++)
		args[i + 2] = argv[i];
	p.fds[0].fd = log;
	p.fds[0].as = 2;
	p.fds[1].fd = ready;
	p.fds[1].as = READY_FD;
	p.n_fds = 2;
	return proc_spawn(ret, &p, e);
}

/* A dot a second. Gives true when the agent was met, false at the end of the child or of the patience. */
static bool wait_ready(int ready, bool quiet)
{
	struct pollfd f = { .fd = ready, .events = POLLIN };
	char c;

	for (unsigned left = background_timeout_s(); left; left--) {
		int r = poll(&f, 1, 1000);

		if (r > 0)
			return read(ready, &c, 1) == 1;
		if (!quiet)
			(void)!write(STDERR_FILENO, ".", 1);
	}
	return false;
}

int background_start(int argc, char **argv, const char *name, bool quiet)
{
	_cleanup_proc_ struct proc child = PROC_INIT;
	_cleanup_fd_ int ready = -1, theirs = -1;
	struct err e = { 0 };
	int fds[2], r = pipe2(fds, O_CLOEXEC) < 0 ? err_errno(&e, errno, "pipe") : 0;

	if (r == 0) {
		ready = fds[0];
		theirs = fds[1];
		r = start(&child, argc, argv, name, theirs, &e);
	}
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", argv[0], err_text(&e, r));
		return 1;
	}
	fd_closep(&theirs);
	if (!getenv("QREXEC_STARTUP_NOWAIT") && !wait_ready(ready, quiet)) {
		/* a daemon that nobody was promised must not appear later */
		fprintf(stderr, "%s%s: no connection to the agent of '%s'; see the log\n", quiet ? "" : "\n", argv[0], name);
		return EXIT_NO_AGENT;
	}
	fd_closep(&child.pidfd);
	child.pid = 0;
	return 0;
}
