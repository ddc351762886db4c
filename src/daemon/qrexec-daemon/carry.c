/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An allowed call of the direct flow: through the target's daemon, or to a service runner of dom0. */
#include "route.h"
#include "runner.h"

#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"

static const char *service_of(const struct route *r)
{
	return r->reply.service[0] ? r->reply.service : r->service;
}

static const char *source_of(const struct route *r)
{
	return r->reply.policy_source[0] ? r->reply.policy_source : r->source;
}

/* --- a qube: its daemon runs the service and says on which port --- */

static int send_exec(struct route *r)
{
	_cleanup_wr_ struct wr cmd = wr_grow(QX_COMMAND_MAX), w = wr_grow(QX_HDR_LEN + QX_PARAMS_LEN + QX_COMMAND_MAX);

	qx_put_hello(&w, QX_VERSION_CLIENT);
	qx_put_command(&cmd, r->reply.user, service_of(r), source_of(r));
	if (!wr_ok(&cmd))
		return -EMSGSIZE;
	qx_put_params(&w, QX_EXEC_CMDLINE, r->qd->id, 0, cmd.buf, cmd.len);
	return wr_ok(&w) ? chan_stream_send(r->stream, w.buf, w.len) : -EMSGSIZE;
}

static ssize_t target_data(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	struct route *r = arg;
	uint32_t a, b;
	struct qx_frame f;
	int rc = qx_frame(&f, p, n, QX_PARAMS_LEN);

	if (rc <= 0)
		return rc;
	if (!r->hello) {
		if (f.type != QX_HELLO || qx_get_hello(f.body, &a) < 0 || a < QX_VERSION_CLIENT)
			return -EPROTO;
		r->hello = true;
		return (ssize_t)f.size;
	}
	if (f.type != QX_EXEC_CMDLINE || qx_get_params(f.body, &a, &b) < 0)
		return -EPROTO;
	requests_connect(r->qd, r->request, a, b);
	return (ssize_t)f.size;
}

static void target_closed(struct chan_stream *s, int code, void *arg)
{
	route_end(arg);
}

static const struct chan_stream_ops target_ops = { .data = target_data, .closed = target_closed };

static int to_qube(struct route *r)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fd_ int fd = -1;
	struct err e = { 0 };

	path = xasprintf("%s/qrexec.%s", r->o->socket_dir, r->reply.target);
	fd = unix_connect(path, SOCK_STREAM, &e);
	if (fd < 0) {
		log_warn("%s", e.msg);
		return fd;
	}
	r->stream = chan_stream_new(r->qd->loop, fd, QX_HDR_LEN + QX_PARAMS_LEN, QX_COMMAND_MAX * 2, &target_ops, r);
	if (!r->stream)
		return -EIO;
	(void)STEAL_FD(fd);
	/* HELLO and the order go out together: a daemon of another version hangs up */
	return send_exec(r);
}

/* --- dom0 --- */

static void runner_ended(struct ev_io *io, int fd, int events, void *arg)
{
	route_end(arg);
}

/* The runner looks up the service while the caller makes the data channel, and connects to it and gives up in time. */
static int to_dom0(struct route *r)
{
	struct runner_call call = { r->reply.user, source_of(r), r->reply.requested_target, service_of(r), r->qd->id, 0 };
	struct err e = { 0 };
	int rc;

	call.port = r->port = ports_alloc(&r->qd->ports, 0, NULL);
	if (!r->port)
		return -EBUSY;
	requests_connect(r->qd, r->request, 0, r->port);
	rc = runners_run(r->o->runners, &r->proc, &call, &r->life, &e);
	if (rc == 0) {
		r->proc_io = ev_io_new(r->qd->loop, r->life, EV_READ, runner_ended, r);
		rc = r->proc_io ? 0 : -EIO;
	}
	if (rc < 0)
		log_error("%s", err_text(&e, rc));
	return rc;
}

void route_ready(struct route *r)
{
	if (to_qube(r) < 0)
		route_end(r);
}

void route_allowed(struct route *r)
{
	bool dom0 = streq(r->reply.target, "dom0") || streq(r->reply.target, "@adminvm");
	int rc;

	r->exited = r->eof = false;
	rc = dom0 ? to_dom0(r) : prepare(r);
	if (rc < 0)
		route_end(r);
}
