/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An allowed call of the direct flow: through the target's daemon, or to a service runner of dom0. */
#include "route.h"
#include "runner.h"

#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"

#define DOM0_CONNECT_MS 5000

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

static void runner_exited(struct ev_io *io, int fd, int events, void *arg)
{
	struct route *r = arg;

	if (proc_wait(&r->proc, 0, &r->status) < 0)
		return;
	runners_prepare(r->o->runners);
	route_end(r);
}

static int start_runner(struct route *r, int chan)
{
	struct runner_call call = { r->reply.user, source_of(r), r->reply.requested_target, service_of(r), r->qd->id };
	struct err e = { 0 };
	int rc = runners_run(r->o->runners, &r->proc, &call, chan, &e);

	if (rc < 0) {
		log_error("%s", err_text(&e, rc));
		return rc;
	}
	return route_watch(r, runner_exited);
}

static void on_chan(struct ev_io *io, int fd, int events, void *arg)
{
	_cleanup_fd_ int chan = -1;
	struct route *r = arg;
	struct err e = { 0 };

	chan = chan_req_finish(r->req, &e);
	if (chan == -EAGAIN)
		return;
	ev_timer_stop(r->timer);
	ev_io_free(STEAL_PTR(r->req_io));
	chan_req_free(STEAL_PTR(r->req));
	if (chan < 0 || start_runner(r, chan) < 0)
		route_end(r);
}

static void on_timeout(struct ev_timer *t, void *arg)
{
	log_warn("the caller did not offer its data channel in time");
	route_end(arg);
}

static int to_dom0(struct route *r)
{
	struct err e = { 0 };

	r->port = ports_alloc(&r->qd->ports, 0, NULL);
	if (!r->port)
		return -EBUSY;
	requests_connect(r->qd, r->request, 0, r->port);
	r->req = chan_connect_start(NULL, r->qd->id, r->port, &e);
	if (r->req)
		r->req_io = ev_io_new(r->qd->loop, chan_req_fd(r->req), EV_READ, on_chan, r);
	if (!r->req_io) {
		log_error("%s", err_text(&e, -EIO));
		return -EIO;
	}
	r->timer = ev_timer_new(r->qd->loop, on_timeout, r);
	ev_timer_start(r->timer, DOM0_CONNECT_MS);
	return 0;
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
