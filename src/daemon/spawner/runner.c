/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Services of dom0, one svc-runner a call. One that waits is kept ready from the first call on: a call then costs a message and no start of a
 * program. It has read nothing before its order and serves one call; it ends when our end of its channel closes, so none outlives the spawner.
 */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/spawner/spawner.h"
#include "daemon/svc-runner/fds.h"
#include "proto/names.h"

/* The next one is made when a call has ended, or this long after its start: not while the service itself is being started. */
#define REFILL_MS 10
/* One that ended without an order: somebody killed it, or something is wrong for longer. */
#define LOST_MS 1000

extern char **environ;

struct ready_runner {
	struct spawner *s;
	struct proc p;
	struct ev_io *io;
	struct ev_timer *timer;
	int order; /* our end; -1 = none waits */
};

static int check_service(const struct ipc_sp_dom0_service *q, struct err *e)
{
	struct qname name;
	int r = qname_parse(&name, q->source, e);

	if (r < 0)
		return r;
	if (!q->user[0] || q->user[0] == '-' || !str_chars(q->user, "_-."))
		return err_set(e, EINVAL, "user is not valid");
	if (!str_chars(q->target_type, "@_-") || !str_chars(q->target, "@:_-.") || q->target_type[0] == '-' || q->target[0] == '-')
		return err_set(e, EINVAL, "target is not valid");
	if (!q->service[0] || q->service[0] == '-' || !str_chars(q->service, "_-.+"))
		return err_set(e, EINVAL, "service is not valid");
	return 0;
}

static int runner_spawn(struct proc *ret, const char *const *argv, const struct fd_place *fds, size_t n, struct err *e)
{
	_cleanup_fd_ int log = log_open("svc-runner", NULL, e);
	char path[PATH_MAX];
	/* A service of a desktop session is a program of its user: it has that user's environment. */
	struct proc_spec spec = { .path = path_program(path, "svc-runner"), .argv = argv, .new_session = true,
				  .envp = paths_system_mode() ? spawner_env() : (const char *const *)environ };

	if (log < 0)
		return log;
	for (size_t i = 0; i < n; i++) {
		spec.fds[spec.n_fds].fd = fds[i].fd;
		spec.fds[spec.n_fds++].as = fds[i].as;
	}
	spec.fds[spec.n_fds].fd = log;
	spec.fds[spec.n_fds++].as = STDERR_FILENO;
	return proc_spawn(ret, &spec, e);
}

/* The process stays as it is; nobody waits for orders any more. */
static void forget(struct ready_runner *w)
{
	ev_io_free(w->io);
	w->io = NULL;
	fd_closep(&w->order);
}

static void on_lost(struct ev_io *io, int fd, int events, void *arg)
{
	struct ready_runner *w = arg;
	int status = 0;

	if (proc_wait(&w->p, 0, &status) == -ETIMEDOUT)
		return;
	log_warn("the waiting svc-runner ended, code %d", proc_exit_code(status));
	forget(w);
	proc_fini(&w->p);
	ev_timer_start(w->timer, LOST_MS);
}

static int make_ready(struct ready_runner *w, struct err *e)
{
	static const char *const argv[] = { "svc-runner", "--wait", NULL };
	_cleanup_fd_ int ours = -1, theirs = -1;
	struct fd_place place;
	int pair[2], r;

	if (unix_pair(SOCK_SEQPACKET, pair) < 0)
		return err_errno(e, errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	place = (struct fd_place){ theirs, SVC_RUNNER_FD_DATA };
	r = runner_spawn(&w->p, argv, &place, 1, e);
	if (r < 0)
		return r;
	w->io = ev_io_new(w->s->loop, w->p.pidfd, EV_READ, on_lost, w);
	if (!w->io) {
		proc_fini(&w->p);
		return err_set(e, EBADF, "cannot watch svc-runner");
	}
	w->order = STEAL_FD(ours);
	return 0;
}

static void on_timer(struct ev_timer *t, void *arg)
{
	runner_refill(((struct ready_runner *)arg)->s);
}

void runner_refill(struct spawner *s)
{
	struct ready_runner *w = s->runner;
	struct err e = { 0 };
	int r;

	if (!w || w->order >= 0)
		return;
	ev_timer_stop(w->timer);
	r = make_ready(w, &e);
	if (r < 0)
		log_warn("no svc-runner is kept ready: %s", err_text(&e, r));
}

void runner_fini(struct spawner *s)
{
	struct ready_runner *w = s->runner;

	if (!w)
		return;
	forget(w);
	proc_fini(&w->p);
	ev_timer_free(w->timer);
	free(w);
	s->runner = NULL;
}

/* false: none waits, or it has just ended. */
static bool order_ready(struct spawner *s, struct proc *ret, const struct msg *m)
{
	struct ready_runner *w = s->runner;
	struct wr payload = { .buf = m->data, .len = m->len, .cap = m->len };

	if (!w || w->order < 0)
		return false;
	if (msg_send(w->order, IPC_SP_DOM0_SERVICE, 0, 0, &payload, m->fds, m->n_fds) < 0)
		return false;
	*ret = w->p;
	w->p = PROC_INIT;
	forget(w);
	return true;
}

static int start_cold(struct proc *ret, const struct ipc_sp_dom0_service *q, const struct msg *m, struct err *e)
{
	bool stream = m->n_fds > 1;
	const char *argv[] = { "svc-runner", "--user", q->user, "--source", q->source, "--target-type", q->target_type,
			       "--target", q->target, stream ? "--stream" : "--", stream ? "--" : q->service, stream ? q->service : NULL, NULL };
	const struct fd_place places[] = { { m->fds[0], SVC_RUNNER_FD_DATA }, { stream ? m->fds[1] : -1, SVC_RUNNER_FD_STREAM } };

	return runner_spawn(ret, argv, places, m->n_fds, e);
}

int on_dom0_service(struct spawner *s, struct msg *m, struct err *e)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	struct ipc_sp_dom0_service q;
	struct rd rd = msg_rd(m);
	int r;

	if (ipc_get_sp_dom0_service(&rd, &q) < 0 || !rd_done(&rd))
		return err_set(e, EBADMSG, "malformed request");
	r = check_service(&q, e);
	if (r < 0)
		return r;
	if (!order_ready(s, &p, m)) {
		r = start_cold(&p, &q, m, e);
		if (r < 0)
			return r;
	}
	child_add(s, &p, (uint32_t)p.pid, q.source_qid, ROLE_SVC_RUNNER);
	reply(s, m, NULL, NULL, 0);
	if (!s->runner) {
		s->runner = xcalloc(1, sizeof *s->runner);
		*s->runner = (struct ready_runner){ .s = s, .p = PROC_INIT, .order = -1, .timer = ev_timer_new(s->loop, on_timer, s->runner) };
	}
	if (s->runner->order < 0)
		ev_timer_start(s->runner->timer, REFILL_MS);
	return 0;
}

int on_call(struct spawner *s, struct msg *m, struct err *e)
{
	static const char *const argv[] = { "svc-runner", "--call", NULL };
	const struct fd_place places[] = { { m->fds[0], SVC_RUNNER_FD_DATA }, { m->fds[1], SVC_RUNNER_FD_STREAM } };
	_cleanup_proc_ struct proc p = PROC_INIT;
	struct ipc_sp_call q;
	struct qname name;
	struct rd rd = msg_rd(m);
	int r;

	if (ipc_get_sp_call(&rd, &q) < 0 || !rd_done(&rd) || q.qid == 0 || q.qid > 0xffff)
		return err_set(e, EBADMSG, "malformed request");
	r = qname_parse(&name, q.name, e);
	if (r == 0)
		r = role_spawn(&p, "svc-runner", argv, ID_QUBE + q.qid, places, ARRAY_SIZE(places), log_open("svc-runner", name.s, e), e);
	if (r < 0)
		return r;
	child_add(s, &p, (uint32_t)p.pid, q.qid, ROLE_SVC_RUNNER);
	reply(s, m, NULL, NULL, 0);
	return 0;
}
