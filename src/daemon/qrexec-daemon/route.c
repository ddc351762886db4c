/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking the policy: the policy daemon's socket when it is there, else the policy program. Anything unclear is a refusal. */
#include "route.h"

#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"

extern char **environ;

void route_end(struct route *r)
{
	void *owner;

	requests_refuse(r->qd, r->request);
	prepare_undo(r);
	if (r->port)
		(void)ports_free(&r->qd->ports, 0, r->port, &owner);
	chan_stream_free(r->stream);
	ev_io_free(r->proc_io);
	proc_fini(&r->proc);
	fd_closep(&r->life);
	wr_free(&r->text);
	free(r->service);
	free(r);
}

int route_watch(struct route *r, ev_io_fn fn)
{
	r->proc_io = ev_io_new(r->qd->loop, r->proc.pidfd, EV_READ, fn, r);
	return r->proc_io ? 0 : -EIO;
}

static int ask_program(struct route *r);

static void decide(struct route *r, bool may_fall_back)
{
	struct err e = { 0 };
	int rc = policy_reply_parse(&r->reply, rd_mem(r->text.buf, r->text.len), &e);

	if (rc < 0) {
		log_warn("%s", e.msg);
		if (!may_fall_back || ask_program(r) < 0)
			route_end(r);
		return;
	}
	if (r->reply.unknown)
		log_info("policy reply with %u unknown keys", r->reply.unknown);
	if (!r->reply.allow || !requests_pending(r->qd, r->request))
		route_end(r);
	else
		route_allowed(r);
}

static ssize_t reply_data(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	struct route *r = arg;

	wr_bytes(&r->text, p, n);
	return wr_ok(&r->text) ? (ssize_t)n : -EMSGSIZE;
}

/* The beginning of an answer that was cut off, or went on too long, could be a whole one by its looks. */
static void reply_end(struct route *r, int code)
{
	if (code < 0)
		wr_reset(&r->text);
}

static void daemon_closed(struct chan_stream *s, int code, void *arg)
{
	struct route *r = arg;

	chan_stream_free(STEAL_PTR(r->stream));
	reply_end(r, code);
	decide(r, true);
}

static void program_done(struct route *r)
{
	if (!r->eof || !r->exited)
		return;
	if (r->status != 0)
		route_end(r);
	else
		decide(r, false);
}

static void program_closed(struct chan_stream *s, int code, void *arg)
{
	struct route *r = arg;

	chan_stream_free(STEAL_PTR(r->stream));
	reply_end(r, code);
	r->eof = true;
	program_done(r);
}

static void program_exited(struct ev_io *io, int fd, int events, void *arg)
{
	struct route *r = arg;

	/* The watch goes first: proc_wait closes the descriptor, and a child that is about to exec may still hold a copy of it, which would go on
	   reporting this end under a number that means another route by then. */
	ev_io_free(STEAL_PTR(r->proc_io));
	if (proc_wait(&r->proc, -1, &r->status) < 0)
		r->status = -1;
	r->exited = true;
	program_done(r);
}

static const struct chan_stream_ops daemon_ops = { .data = reply_data, .closed = daemon_closed };
static const struct chan_stream_ops program_ops = { .data = reply_data, .closed = program_closed };

static int ask_program(struct route *r)
{
	const char *argv[] = { r->o->policy_program, "--", r->source, r->target, r->service, NULL };
	struct proc_spec p = { .path = argv[0], .argv = argv, .envp = (const char *const *)environ, .keep_stderr = true };
	_cleanup_fd_ int ours = -1, theirs = -1;
	struct err e = { 0 };
	int fds[2], rc;

	wr_reset(&r->text);
	if (unix_pair(SOCK_STREAM, fds) < 0)
		return -errno;
	ours = fds[0];
	theirs = fds[1];
	p.fds[0].fd = p.fds[1].fd = theirs;
	p.fds[0].as = 0;
	p.fds[1].as = 1;
	p.n_fds = 2;
	rc = proc_spawn(&r->proc, &p, &e);
	if (rc < 0) {
		log_error("policy program: %s", err_text(&e, rc));
		return rc;
	}
	/* its input is empty */
	shutdown(ours, SHUT_WR);
	r->stream = chan_stream_new(r->qd->loop, ours, POLICY_REPLY_MAX, 4096, &program_ops, r);
	if (!r->stream)
		return -EIO;
	(void)STEAL_FD(ours);
	return route_watch(r, program_exited);
}

/* Gives -ENOENT when there is no policy daemon. */
static int ask_daemon(struct route *r)
{
	_cleanup_wr_ struct wr w = wr_grow(2 * QX_SERVICE_CAP);
	_cleanup_fd_ int fd = -1;

	if (access(r->o->policy_socket, F_OK) < 0)
		return -ENOENT;
	fd = unix_connect(r->o->policy_socket, SOCK_STREAM, NULL);
	if (fd < 0)
		return -ENOENT;
	wr_printf(&w, "source=%s\nintended_target=%s\nservice_and_arg=%s\n", r->source, r->target, r->service);
	if (r->requested_source[0])
		wr_printf(&w, "requested_source=%s\n", r->requested_source);
	wr_str(&w, "\n");
	r->stream = chan_stream_new(r->qd->loop, fd, POLICY_REPLY_MAX, 2 * QX_SERVICE_CAP, &daemon_ops, r);
	if (!r->stream)
		return -EIO;
	(void)STEAL_FD(fd);
	return wr_ok(&w) ? chan_stream_send(r->stream, w.buf, w.len) : -EMSGSIZE;
}

int route_start(struct qd *qd, const struct direct_options *o, const struct request *req, const struct qx_trigger *t, const char *service)
{
	struct route *r = xcalloc(1, sizeof *r);
	int rc;

	r->qd = qd;
	r->o = o;
	r->proc = PROC_INIT;
	r->life = -1;
	r->text = wr_grow(POLICY_REPLY_MAX);
	r->service = xstrdup(service);
	rc = str_copy(r->source, sizeof r->source, qd->name);
	if (rc == 0)
		rc = str_copy(r->target, sizeof r->target, t->target);
	if (rc == 0)
		rc = str_copy(r->requested_source, sizeof r->requested_source, t->source);
	if (rc == 0)
		rc = ask_daemon(r);
	if (rc == -ENOENT)
		rc = ask_program(r);
	if (rc < 0)
		route_end(r);
	else
		r->request = req->id;
	return rc;
}
