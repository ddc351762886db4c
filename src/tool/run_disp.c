/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-run --dispvm: a disposable for one command. A qvm-run of its own talks to it, so that this process can take the disposable away
 * however that one ends, and also after a signal. It holds the disposable (internal.vm.Hold): should this process be killed, the daemon takes it away.
 */
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/proc.h"
#include "proto/appmenu.h"
#include "tool/run.h"

#define HOLD_AGAIN_MS 250

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

/* Held again after a restart of the daemon, which waits a while for its holders. */
static void hold_again(struct adm_events *hold, const char *name)
{
	struct adm_event ev;
	struct err e = { 0 };

	if (hold->fd >= 0 && adm_events_next(hold, 0, &ev, &e) != 0)
		return;
	adm_events_close(hold);
	(void)adm_hold(hold, name, &e);
}

/* Gives the status of the command; passes signals on. */
static int await(struct proc *p, int signals, struct adm_events *hold, const char *name)
{
	struct signalfd_siginfo si;
	int status = 0;

	for (;;) {
		struct pollfd fds[] = { { .fd = p->pidfd, .events = POLLIN }, { .fd = signals, .events = POLLIN }, { .fd = hold->fd, .events = POLLIN } };

		if (poll(fds, ARRAY_SIZE(fds), hold->fd < 0 ? HOLD_AGAIN_MS : -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents && read(signals, &si, sizeof si) == (ssize_t)sizeof si)
			(void)proc_kill(p, (int)si.ssi_signo);
		if (fds[0].revents)
			break;
		if (hold->fd < 0 || fds[2].revents)
			hold_again(hold, name);
	}
	return proc_wait(p, -1, &status) < 0 ? RUN_FAILED : proc_exit_code(status);
}

/* A running one is removed by the daemon once it has ended. */
void disp_remove(const struct tool *t, const char *name)
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

int disp_make(struct tool *t, const char *target, const char *app, char name[DISP_NAME_CAP])
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	const char *template = streq(target, "@dispvm") ? "dom0" : str_starts(target, "@dispvm:") ? target + strlen("@dispvm:") : NULL;
	char body[APPMENU_ID_CAP + 8] = "";
	struct err e = { 0 };
	int r;

	if (!template || !*template)
		return tool_usage(t, "'%s' is neither a qube nor @dispvm nor @dispvm:TEMPLATE", target);
	if (app && str_printf(body, sizeof body, "app=%s", app) < 0)
		body[0] = '\0';
	r = adm_text(&rep, template, "admin.vm.CreateDisposable", NULL, body[0] ? body : NULL, &e);
	if (r == -ADM_EXC_NOT_FOUND)
		return tool_usage(t, "no such qube: '%s'", template);
	if (r == 0 && str_copy(name, DISP_NAME_CAP, rep.data) < 0)
		r = err_set(&e, EBADMSG, "the daemon's name of the disposable is too long");
	if (r < 0) {
		(void)tool_api(t, r, &e);
		return RUN_FAILED;
	}
	return 0;
}

/* The daemon may keep a disposable in which that program is open already. */
static const char *started_app(const struct tool *t, char **cmd)
{
	static const char starts[] = "qubes.StartApp+";

	return opt_has(t, KEY_SERVICE) && cmd[0] && str_starts(cmd[0], starts) && appmenu_id_ok(cmd[0] + sizeof starts - 1) ? cmd[0] + sizeof starts - 1 : NULL;
}

int run_disp(struct tool *t, const char *target, char **cmd)
{
	_cleanup_fd_ int signals = open_signals();
	_cleanup_proc_ struct proc p = PROC_INIT;
	struct adm_events hold = { .fd = -1 };
	char name[DISP_NAME_CAP];
	struct err e = { 0 };
	int r;

	if (signals < 0) {
		(void)tool_fail(t, "signals: %s", strerror(errno));
		return RUN_FAILED;
	}
	r = disp_make(t, target, started_app(t, cmd), name);
	if (r != 0)
		return r;
	tool_info(t, "running in '%s'", name);
	r = adm_hold(&hold, name, &e);
	if (r == 0)
		r = run_spawn(t, name, cmd, true, &p, &e);
	if (r < 0) {
		(void)tool_fail(t, "%s", err_text(&e, r));
		r = RUN_FAILED;
	} else {
		r = await(&p, signals, &hold, name);
	}
	disp_remove(t, name);
	adm_events_close(&hold);
	return r;
}
