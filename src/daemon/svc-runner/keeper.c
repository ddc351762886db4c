/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process that makes the waiting ones. It never reads an order or any byte of a qube; what it forks has read nothing either. A fork
 * without exec: the program would only be started again, which costs more than the rest of an empty call.
 */
#include "keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/io.h"

/* The next one is made when the call has ended, or this long after its start: not while the service is being started. */
#define DELAY_MS 10
/* So many in a row that ended without an order: something is wrong for good, and the next start of the program shows it. */
#define LOST_MAX 16

static bool starter_gone(int order_fd)
{
	struct pollfd p = { .fd = order_fd };

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* Until the waiting process says something or has ended; others are reaped meanwhile. ms: -1 = for ever. */
static void wait_event(int mark, int signals, int ms)
{
	struct pollfd p[] = { { .fd = mark, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	struct signalfd_siginfo si;

	while (poll(p, ARRAY_SIZE(p), ms) >= 0 || errno == EINTR) {
		if (p[1].revents && read(signals, &si, sizeof si) > 0)
			reap();
		if (p[0].revents || !p[1].revents)
			return;
	}
}

static bool wait_mark(int mark, int signals)
{
	char c;

	wait_event(mark, signals, -1);
	if (read(mark, &c, 1) != 1)
		return false;
	wait_event(mark, signals, DELAY_MS);
	return true;
}

/* In the keeper the end of a process is a descriptor's event; the waiting process has the usual state. */
static int block_children(bool on)
{
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	if (sigprocmask(on ? SIG_BLOCK : SIG_UNBLOCK, &chld, NULL) < 0 || !on)
		return -1;
	return signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
}

void keeper_run(int order_fd, int *ret_mark)
{
	int signals = block_children(true);
	unsigned lost = 0;

	if (signals < 0)
		_exit(1);
	while (lost < LOST_MAX) {
		int fds[2];
		pid_t pid;

		if (pipe2(fds, O_CLOEXEC) < 0)
			_exit(1);
		pid = fork();
		if (pid == 0) {
			(void)block_children(false);
			close(signals);
			close(fds[0]);
			*ret_mark = fds[1];
			return;
		}
		close(fds[1]);
		if (pid < 0)
			_exit(1);
		lost = wait_mark(fds[0], signals) ? 0 : lost + 1;
		close(fds[0]);
		if (lost && starter_gone(order_fd))
			_exit(0);
	}
	_exit(1);
}

void keeper_taken(int mark)
{
	if (mark >= 0)
		(void)!write(mark, "", 1);
}
