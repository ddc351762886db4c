/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See bare.h. A process of its own, as the real servers are: a thread would spare the change of address spaces. */
#include "bare.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/io.h"

static _noreturn_ void serve(int fd, const void *answer, size_t n, bool until_eof)
{
	static char buf[65536];

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (;;) {
		_cleanup_fd_ int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		ssize_t got;

		if (c < 0)
			_exit(1);
		do {
			got = recv(c, buf, sizeof buf, 0);
		} while (until_eof && got > 0);
		(void)!send(c, answer, n, MSG_NOSIGNAL);
	}
}

pid_t bare_start(const char *path, const void *answer, size_t n, bool until_eof)
{
	_cleanup_fd_ int fd = unix_listen(path, SOCK_STREAM, 0600, NULL);
	pid_t pid;

	if (fd < 0)
		return fd;
	(void)fd_nonblock(fd, false);
	pid = fork();
	if (pid == 0)
		serve(fd, answer, n, until_eof);
	return pid < 0 ? -errno : pid;
}

void bare_stop(pid_t pid)
{
	if (pid <= 0)
		return;
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}
