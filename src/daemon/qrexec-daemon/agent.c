/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control vchan: everything that the qube says is read here. */
#include "daemon.h"

#include "base/str.h"

static const char default_prefix[] = "DEFAULT:";

static void agent_lost(struct qd *qd, int code)
{
	bool was_up = qd->up;

	chan_stream_free(STEAL_PTR(qd->agent));
	qd->up = false;
	qd->version = 0;
	if (log_rate_ok(&qd->noise, 10, 60))
		log_warn("agent: %s", code ? strerror(-code) : "closed the control channel");
	requests_drop(qd);
	ports_stale(&qd->ports);
	if (was_up)
		qd->wiring->agent_down(qd);
	qd->wiring->connect_agent(qd);
}

int agent_send(struct qd *qd, const struct wr *w)
{
	if (!qd->agent)
		return -EPIPE;
	if (!wr_ok(w))
		return -EMSGSIZE;
	return chan_stream_send(qd->agent, w->buf, w->len);
}

int agent_exec(struct qd *qd, uint32_t type, uint32_t domain, uint32_t port, const char *command)
{
	_cleanup_wr_ struct wr cmd = wr_grow(QX_COMMAND_MAX), w = wr_grow(QX_HDR_LEN + QX_PARAMS_LEN + QX_COMMAND_MAX);

	if (!qd->up)
		return -EPIPE;
	if (chan_stream_full(qd->agent))
		return -ENOBUFS;
	if (str_starts(command, default_prefix)) {
		wr_str(&cmd, qd->default_user);
		command += strlen(default_prefix) - 1;
	}
	wr_cstr(&cmd, command);
	if (!wr_ok(&cmd))
		return -EMSGSIZE;
	qx_put_params(&w, type, domain, port, cmd.buf, cmd.len);
	return agent_send(qd, &w);
}

/* The vchan's server speaks first. The answer repeats its number: that is what agents expect. */
static int on_hello(struct qd *qd, struct rd body)
{
	uint8_t buf[QX_HDR_LEN + 4];
	struct wr w = wr_mem(buf, sizeof buf);
	uint32_t version;
	int r;

	if (qd->up || qx_get_hello(body, &version) < 0)
		return -EPROTO;
	if (version < QX_VERSION_MIN) {
		log_error("the agent speaks version %u, which is too old", version);
		return -EPROTO;
	}
	qx_put_hello(&w, version);
	r = agent_send(qd, &w);
	if (r < 0)
		return r;
	qd->version = MIN(version, (uint32_t)QX_VERSION);
	qd->up = true;
	log_info("agent connected, version %u", qd->version);
	qd->wiring->agent_up(qd);
	return 0;
}

static int on_terminated(struct qd *qd, struct rd body)
{
	uint32_t domain, port;
	int r = qx_get_params(body, &domain, &port);

	if (r < 0)
		return r;
	if (!clients_call_done(qd, domain, port))
		qd->wiring->call_done(qd, domain, port);
	return 0;
}

static int on_message(struct qd *qd, const struct qx_frame *f)
{
	if (f->type == QX_HELLO)
		return on_hello(qd, f->body);
	if (!qd->up)
		return -EPROTO;
	switch (f->type) {
	case QX_TRIGGER_SERVICE:
	case QX_TRIGGER_SERVICE3:
	case QX_TRIGGER_SERVICE4:
		if (!qx_trigger_allowed(f->type, qd->version))
			return -EPROTO;
		return requests_add(qd, f);
	case QX_CONNECTION_TERMINATED:
		return on_terminated(qd, f->body);
	default:
		return -EBADMSG;
	}
}

static ssize_t agent_data(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	struct qd *qd = arg;
	struct qx_frame f;
	int r = qx_frame(&f, p, n, QX_CONTROL_MSG_MAX);

	if (r > 0) {
		r = on_message(qd, &f);
		/* One that does not take the answers may not ask more. */
		if (r == 0 && chan_stream_full(s))
			chan_stream_pause(s, true);
		if (r == 0)
			return (ssize_t)f.size;
	}
	if (r < 0 && log_rate_ok(&qd->noise, 10, 60))
		log_warn("malformed or unexpected message of the agent: %s", strerror(-r));
	return r;
}

static void agent_drained(struct chan_stream *s, void *arg)
{
	chan_stream_pause(s, false);
}

static void agent_closed(struct chan_stream *s, int code, void *arg)
{
	agent_lost(arg, code);
}

static const struct chan_stream_ops agent_ops = { .data = agent_data, .drained = agent_drained, .closed = agent_closed };

void agent_attach(struct qd *qd, int fd)
{
	qd->agent = chan_stream_new(qd->loop, fd, QX_HDR_LEN + QX_CONTROL_MSG_MAX, AGENT_OUT_MARK, &agent_ops, qd);
	if (!qd->agent) {
		log_error("cannot watch the control channel");
		close(fd);
		ev_stop(qd->loop, 1);
	}
}
