/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-run --dispvm: a disposable for one command. A qvm-run of its own talks to it, so that this process can take the disposable away
 * however that one ends, and also after a signal.
 */
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/proc.h"
#include "tool/run.h"

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Gives the status of the command; passes signals on. */
static int await(struct proc *p, int signals)
{
	struct pollfd fds[] = { { .fd = p->pidfd, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	struct signalfd_siginfo si;
	int status = 0;

	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents && read(signals, &si, sizeof si) == (ssize_t)sizeof si)
			(void)proc_kill(p, (int)si.ssi_signo);
		if (fds[0].revents)
			break;
	}
	return proc_wait(p, -1, &status) < 0 ? RUN_FAILED : proc_exit_code(status);
}

/* A running one is removed by the daemon once it has ended. */
static void dispose(const struct tool *t, const char *name)
{
	struct adm_qubes q;
	struct err e = { 0 };
	bool halted;
	int r;

	if (adm_qubes_get(&q, name, NULL) < 0)
		return;
	halted = q.n == 1 && streq(q.v[0].state, "Halted");
	adm_qubes_fini(&q);
	r = adm_void(name, halted ? "admin.vm.Remove" : "admin.vm.Kill", NULL, NULL, &e);
	if (r < 0 && r != -ADM_EXC_NOT_FOUND && !adm_is_not_started(r))
		(void)tool_fail(t, "removing the disposable '%s': %s; 'qvm-kill %s' or 'qvm-remove %s' takes it away", name, err_text(&e, r), name,
				name);
}

int run_disp(struct tool *t, const char *template, char **cmd)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	_cleanup_fd_ int signals = open_signals();
	_cleanup_proc_ struct proc p = PROC_INIT;
	struct err e = { 0 };
	int r;

	if (signals < 0) {
		(void)tool_fail(t, "signals: %s", strerror(errno));
		return RUN_FAILED;
	}
	r = adm_text(&rep, template ? template : "dom0", "admin.vm.CreateDisposable", NULL, NULL, &e);
	if (r == -ADM_EXC_NOT_FOUND)
		return tool_usage(t, "no such qube: '%s'", template);
	if (r < 0) {
		(void)tool_api(t, r, &e);
		return RUN_FAILED;
	}
	tool_info(t, "running in '%s'", rep.data);
	r = run_spawn(t, rep.data, cmd, true, &p, &e);
	if (r < 0) {
		(void)tool_fail(t, "%s", err_text(&e, r));
		r = RUN_FAILED;
	} else {
		r = await(&p, signals);
	}
	dispose(t, rep.data);
	return r;
}
