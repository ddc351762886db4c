/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One call, service side. */
#include "qrexec/serve.h"

#include <fcntl.h>

#include "base/log.h"
#include "base/str.h"
#include "qrexec/pump.h"

/* What was found out about a call before it starts. */
struct call {
	struct qx_command cmd;
	struct rpc_config cfg;
	struct svc svc;
	struct user user;
	struct start start;
};

/* What a configuration says that means nothing for this service: the call goes on without it. */
static void warn_config(const struct call *c)
{
	if (c->cfg.unknown)
		log_warn("service %s: %u unknown keys in its configuration", c->cmd.name, c->cfg.unknown);
	if (c->svc.kind == SVC_EXEC && rpc_config_socket_keys(&c->cfg))
		log_warn("service %s is a program: keys for socket services are ignored", c->cmd.name);
}

static int resolve(struct call *c, const struct serve *v, struct err *e)
{
	const char *user = c->cmd.user;
	int r = 0;

	c->start = (struct start){ .cmd = &c->cmd, .user = &c->user, .just_exec = v->just_exec, .keep_stderr = v->keep_stderr, .own_dir = v->own_dir };
	c->cfg.exit_on_service_eof = v->stream > 0;
	if (c->cmd.rpc && v->stream <= 0) {
		/* a broken configuration fails the call before anybody learns whether the service exists */
		r = svc_config(&c->cfg, v->config_path, &c->cmd, e);
		if (r == 0)
			r = svc_lookup(&c->svc, v->service_path, &c->cmd, e);
		if (r < 0)
			return r;
		warn_config(c);
		c->start.svc = &c->svc;
		c->start.cfg = &c->cfg;
		if (c->cfg.force_user[0])
			user = c->cfg.force_user;
	}
	r = v->identity(v->arg, user, &c->user, &c->start, e);
	if (r < 0)
		return r == -ENOENT ? -EINVAL : r;
	if (v->just_exec && c->start.svc && c->svc.kind != SVC_EXEC)
		return err_set(e, ENOTSUP, "a socket service cannot be started without its caller");
	return 0;
}

static int data_phase(int chan, uint32_t version, struct call *c, struct started *st, const struct serve *v, struct err *e)
{
	struct pump_cfg p = {
		.role = PUMP_SERVICE,
		.flags = PUMP_OURS,
		.chan = chan,
		.version = version,
		.to = STEAL_FD(st->to),
		.from = STEAL_FD(st->from),
		.err = STEAL_FD(st->err),
		.child = st->socket ? NULL : &st->child,
		.err_copy = v->err_copy,
		.err_arg = v->arg,
	};

	if (st->socket) {
		p.flags |= PUMP_SHARED | (v->stream > 0 ? PUMP_CUT : 0);
		p.flags |= c->cfg.exit_on_service_eof ? PUMP_END_SERVICE_EOF : 0;
		p.flags |= c->cfg.exit_on_client_eof ? PUMP_END_CLIENT_EOF : 0;
	} else {
		p.flags |= PUMP_SIGUSR1;
	}
	return pump_run(&p, e);
}

/* The service is there already. */
static int take_stream(struct started *ret, int fd, struct err *e)
{
	*ret = (struct started){ .to = fd, .from = fcntl(fd, F_DUPFD_CLOEXEC, 3), .err = -1, .child = PROC_INIT, .socket = true };
	return ret->from < 0 ? err_errno(e, errno, "dup") : 0;
}

/* JUST_EXEC: the program goes on without us. */
static void let_go(struct proc *p)
{
	fd_closep(&p->pidfd);
	p->pid = 0;
}

/* A call that may run in the user's session. Socket services belong to the qube, not to a session. */
static bool may_forward(const struct call *c, const struct serve *v)
{
	return v->forward && !c->cmd.nogui && !(c->start.svc && c->svc.kind != SVC_EXEC) && !rpc_config_socket_keys(&c->cfg);
}

static bool must_wait(const struct call *c, const struct serve *v)
{
	return c->cfg.wait_for_session && !c->cmd.nogui && !v->dom0 && !v->waited;
}

/* Starts what was resolved (r) and serves it; whatever failed is told to the caller. */
static int serve_here(int chan, uint32_t version, struct call *c, const struct serve *v, int r, struct err *e)
{
	_cleanup_(started_fini) struct started st = STARTED_INIT;

	if (r == 0)
		r = v->stream > 0 ? take_stream(&st, v->stream, e) : start_call(&st, &c->start, e);
	if (r < 0) {
		int code = exit_of_start(r);

		(void)pump_send_exit(chan, !v->just_exec, code);
		return err_add(e, r, "code %d", code);
	}
	if (v->just_exec) {
		let_go(&st.child);
		return pump_send_exit(chan, false, 0);
	}
	r = v->confine ? v->confine(v->arg, e) : 0;
	if (r < 0)
		return r;
	return data_phase(chan, version, c, &st, v, e);
}

/* From the open channel on. */
static int serve_open(int chan, struct call *c, const struct serve *v, int r, struct err *e)
{
	uint32_t version = v->version;
	struct err hello_err = { 0 };
	int h = version ? 0 : pump_hello(chan, false, v->hello_timeout_ms, &version, &hello_err);

	if (h < 0)
		return err_set(e, -h, "%s", hello_err.msg);
	if (r == 0 && must_wait(c, v)) {
		start_wait_session(v->service_path, &c->start);
		if (may_forward(c, v) && v->forward(v->arg, &c->user, &c->cmd, chan, version))
			return 0;
	}
	return serve_here(chan, version, c, v, r, e);
}

int serve_call(int chan, const struct serve *v, struct err *e)
{
	_cleanup_(qx_command_fini) struct qx_command cmd = { 0 };
	_cleanup_fd_ int signal_fd = pump_block_signal(), own = -1;
	struct call c = { 0 };
	int r = qx_command_parse(&cmd, v->command, v->command_len, e);

	/* who it runs as is settled before the first byte of the peer is read */
	if (r == 0) {
		c.cmd = cmd;
		r = resolve(&c, v, e);
	}
	/* A session that takes calls is there: only where none does it is waited for, which costs an emulated qube a third of a second. */
	if (r == 0 && may_forward(&c, v) && v->forward(v->arg, &c.user, &cmd, -1, 0))
		return 0;
	if (chan < 0) {
		struct err open_err = { 0 };

		/* the text about the call itself is kept */
		chan = own = v->open(v->arg, &open_err);
		if (chan < 0)
			return err_set(e, -chan, "%s", err_text(&open_err, chan));
	}
	return serve_open(chan, &c, v, r, e);
}
