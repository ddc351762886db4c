/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Qubes are told of monitors, by their service qubes.SetMonitorLayout, and the system of the keyboard. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "gui/desktop/desktop.h"

#define CALL_MS 60000

struct service_call {
	struct desk *d;
	char name[32];
	bool again; /* the layout has changed since: once more at its end */
	struct proc p;
	struct ev_io *ev;
	struct ev_timer *limit;
	LIST_ENTRY(service_call) all;
};

static void call_free(struct service_call *c)
{
	LIST_REMOVE(c, all);
	ev_io_free(c->ev);
	ev_timer_free(c->limit);
	proc_fini(&c->p);
	free(c);
}

static void on_end(struct ev_io *io, int fd, int events, void *arg)
{
	struct service_call *c = arg;
	struct dqube *q = c->again ? watch_find(c->d, c->name) : NULL;
	int status = 0;

	(void)proc_wait(&c->p, -1, &status);
	if (status)
		log_info("%s: was not told of the monitors: code=%d", c->name, proc_exit_code(status));
	call_free(c);
	if (q && q->usable)
		layout_send(q);
}

static void on_limit(struct ev_timer *t, void *arg)
{
	(void)proc_kill(&((struct service_call *)arg)->p, SIGKILL);
}

static int input_of(const char *text)
{
	_cleanup_fd_ int fd = memfd_create("layout", MFD_CLOEXEC);

	if (fd < 0 || write_full(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -EIO;
	return STEAL_FD(fd);
}

void layout_send(struct dqube *q)
{
	const char *argv[] = { "qrexec-client", "-d", q->name, "DEFAULT:QUBESRPC qubes.SetMonitorLayout dom0", NULL };
	struct proc_spec s = { .argv = argv, .envp = desk_env(), .death_signal = SIGTERM };
	_cleanup_fd_ int input = -1;
	struct service_call *c;
	struct err e = { 0 };
	char path[PATH_MAX];

	if (!q->d->layout[0] || !facts_layout(q))
		return;
	LIST_FOREACH(c, &q->d->calls, all)
		if (streq(c->name, q->name)) {
			c->again = true;
			return;
		}
	input = input_of(q->d->layout);
	if (input < 0)
		return;
	s.path = path_program(path, "qrexec-client");
	s.fds[0].fd = input;
	s.fds[0].as = STDIN_FILENO;
	s.n_fds = 1;
	c = xcalloc(1, sizeof *c);
	c->d = q->d;
	c->p = PROC_INIT;
	(void)!str_copy(c->name, sizeof c->name, q->name);
	LIST_INSERT_HEAD(&q->d->calls, c, all);
	if (proc_spawn(&c->p, &s, &e) < 0) {
		log_warn("%s: %s", q->name, e.msg);
		call_free(c);
		return;
	}
	c->ev = ev_io_new(q->d->loop, c->p.pidfd, EV_READ, on_end, c);
	c->limit = ev_timer_new(q->d->loop, on_limit, c);
	ev_timer_start(c->limit, CALL_MS);
}

void layout_changed(struct desk *d)
{
	struct dqube *q;

	TAILQ_FOREACH(q, &d->qubes, all)
		if (q->usable && q->wanted)
			layout_send(q);
}

void layout_fini(struct desk *d)
{
	while (d->calls.lh_first)
		call_free(d->calls.lh_first);
}

void keyboard_changed(struct desk *d, const char *layout)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct adm_prop now;
	struct err e = { 0 };
	int r;

	/* One that shows a few qubes only is no owner of the keyboard. */
	if (!d->all || !d->watch)
		return;
	r = adm_text(&rep, "dom0", "admin.vm.property.Get", "keyboard_layout", NULL, &e);
	if (r == 0)
		r = adm_prop_parse(&now, rep.data, &e);
	if (r == 0 && streq(now.value, layout))
		return;
	if (r == 0)
		r = adm_void("dom0", "admin.vm.property.Set", "keyboard_layout", layout, &e);
	if (r < 0)
		log_warn("keyboard layout %s: %s", layout, err_text(&e, r));
	else
		log_info("keyboard layout is %s", layout);
}
