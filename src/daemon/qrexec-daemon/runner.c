/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runners of dom0 services. */
#include "runner.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "proto/ipc.h"

extern char **environ;

static int keeper_start(struct runners *r, struct err *e)
{
	char path[PATH_MAX];
	const char *argv[] = { path_program(path, "svc-runner"), "--keep", NULL };
	struct proc_spec p = { .path = path, .argv = argv, .envp = (const char *const *)environ, .keep_stderr = true };
	_cleanup_fd_ int ours = -1, theirs = -1;
	int fds[2], rc = unix_pair(SOCK_SEQPACKET, fds);

	if (rc < 0)
		return err_errno(e, -rc, "socketpair");
	ours = fds[0];
	theirs = fds[1];
	p.fds[0].fd = theirs;
	p.fds[0].as = 3;
	p.n_fds = 1;
	rc = proc_spawn(&r->keeper, &p, e);
	if (rc == 0)
		r->order = STEAL_FD(ours);
	return rc;
}

static const char *kind_of(const struct runner_call *c)
{
	return c->target[0] == '@' ? "keyword" : "name";
}

/* -ENAMETOOLONG: the message has no room for it. */
static int give_order(struct runners *r, const struct runner_call *c, int held)
{
	struct ipc_sp_dom0_service *m = xcalloc(1, sizeof *m);
	_cleanup_free_ struct ipc_sp_dom0_service *own = m;
	struct ipc_lc_connect place = { .peer = c->source_id, .port = c->port };
	_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);

	m->source_qid = c->source_id;
	if (str_copy(m->source, sizeof m->source, c->source) < 0 || str_copy(m->user, sizeof m->user, c->user) < 0 ||
	    str_copy(m->target_type, sizeof m->target_type, kind_of(c)) < 0 ||
	    str_copy(m->target, sizeof m->target, c->target + (c->target[0] == '@')) < 0 || str_copy(m->service, sizeof m->service, c->service) < 0)
		return -ENAMETOOLONG;
	ipc_put_sp_dom0_service(&w, m);
	ipc_put_lc_connect(&w, &place);
	return msg_send(r->order, IPC_SP_DOM0_SERVICE, 0, 0, &w, &held, 1);
}

/* The rare call with a very long argument is started as the product starts all. */
static int run_by_arguments(struct proc *ret, const struct runner_call *c, int held, struct err *e)
{
	_cleanup_free_ char *place = xasprintf("%u:%u", c->source_id, c->port);
	char path[PATH_MAX];
	const char *argv[] = { path_program(path, "svc-runner"), "--user", c->user, "--source", c->source, "--target-type", kind_of(c),
			       "--target", c->target + (c->target[0] == '@'), "--connect", place, "--", c->service, NULL };
	struct proc_spec p = { .path = path, .argv = argv, .envp = (const char *const *)environ, .keep_stderr = true };

	p.fds[0].fd = held;
	p.fds[0].as = 3;
	p.n_fds = 1;
	return proc_spawn(ret, &p, e);
}

int runners_run(struct runners *r, struct proc *ret, const struct runner_call *call, int *ret_life, struct err *e)
{
	_cleanup_fd_ int life = -1, held = -1;
	int fds[2], rc;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	life = fds[0];
	held = fds[1];
	rc = r->order < 0 ? -EPIPE : give_order(r, call, held);
	/* a keeper that somebody killed is replaced, once */
	if (rc == -EPIPE || rc == -ECONNRESET) {
		runners_fini(r);
		rc = keeper_start(r, e);
		if (rc < 0)
			return rc;
		rc = give_order(r, call, held);
	}
	if (rc == -ENAMETOOLONG)
		rc = run_by_arguments(ret, call, held, e);
	else if (rc < 0)
		(void)err_errno(e, -rc, "ordering a service");
	if (rc < 0)
		return rc;
	*ret_life = STEAL_FD(life);
	return 0;
}

void runners_fini(struct runners *r)
{
	fd_closep(&r->order);
	proc_fini(&r->keeper);
}
