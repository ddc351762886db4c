/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dom0 clients: HELLO, one order, the answer, and then an open connection for as long as the call lives. */
#include "daemon.h"

#include <sys/socket.h>

#include "base/str.h"

#define CLIENT_OUT_MARK 4096

static void port_free(struct client *c)
{
	void *owner;

	(void)ports_free(&c->qd->ports, c->peer, c->port, &owner);
	c->port = 0;
}

static void client_free(struct client *c)
{
	struct qd *qd = c->qd;

	/* the agent knows nothing of this port and will not tell its end */
	if (c->connect_port || c->state == CLIENT_GRANT)
		port_free(c);
	ports_forget(&qd->ports, c);
	TAILQ_REMOVE(&qd->clients, c, link);
	qd->n_clients--;
	chan_stream_free(c->stream);
	free(c->command);
	free(c);
}

static void answer(struct client *c, uint32_t type, uint32_t domain, uint32_t port)
{
	uint8_t buf[QX_HDR_LEN + QX_PARAMS_LEN];
	struct wr w = wr_mem(buf, sizeof buf);

	qx_put_params(&w, type, domain, port, NULL, 0);
	(void)chan_stream_send(c->stream, w.buf, w.len);
}

static int on_hello(struct client *c, struct rd body)
{
	uint32_t version;

	if (c->state != CLIENT_HELLO || qx_get_hello(body, &version) < 0 || version < QX_VERSION_CLIENT)
		return -EPROTO;
	c->state = CLIENT_READY;
	return 0;
}

static int on_exec(struct client *c, const struct qx_frame *f)
{
	struct qd *qd = c->qd;
	struct qx_exec x;
	int r;

	if (qx_get_exec(&x, f->body) < 0 || !x.command)
		return -EBADMSG;
	if (!qd->up || chan_stream_full(qd->agent))
		return -ENOBUFS;
	if (x.domain && !qd->wiring->foreign)
		return -EPERM;
	if (x.port) {
		/* it has no say in that: one that means a port of ours is old, one that does not is broken */
		log_warn("a client chose port %u itself", x.port);
		if (x.port < QX_PORT_FIRST || x.port >= QX_PORT_FIRST + QX_PORT_N)
			return -EBADMSG;
	}
	c->type = f->type;
	c->peer = x.domain;
	c->port = ports_alloc(&qd->ports, x.domain, c);
	if (!c->port) {
		log_warn("no data port is free");
		return -EBUSY;
	}
	c->command = xstrndup(x.command, x.command_len);
	c->state = CLIENT_GRANT;
	r = qd->wiring->grant(qd, c);
	return r;
}

void client_granted(struct client *c, int code)
{
	struct qd *qd = c->qd;

	/* The client is told first: it must listen before the call's process in the qube looks for it. */
	if (code == 0) {
		answer(c, c->type, qd->id, c->port);
		code = agent_exec(qd, c->type, c->peer, c->port, c->command);
	}
	if (code < 0) {
		log_warn("a call could not be started: %s", strerror(-code));
		port_free(c);
		/* the end comes from the loop: this may run inside a callback of the stream */
		shutdown(chan_stream_fd(c->stream), SHUT_RDWR);
		return;
	}
	free(STEAL_PTR(c->command));
	c->state = CLIENT_RUNNING;
}

/* The reference's flow: somebody who carried a request of this qube through says where the data channel is. */
static int on_connect(struct client *c, const struct qx_frame *f)
{
	struct qd *qd = c->qd;
	struct qx_connect x;
	uint32_t id;

	if (!qd->wiring->foreign || qx_get_connect(&x, f->body) < 0)
		return -EBADMSG;
	id = requests_by_ident(qd, x.ident);
	if (!id)
		return -ENOENT;
	if (x.port == 0) {
		c->port = ports_alloc(&qd->ports, x.domain, c);
		if (!c->port)
			return -EBUSY;
		c->peer = x.domain;
		c->connect_port = true;
		x.port = c->port;
	}
	requests_connect(qd, id, x.domain, x.port);
	c->state = CLIENT_RUNNING;
	if (c->connect_port)
		answer(c, QX_SERVICE_CONNECT, qd->id, x.port);
	return 0;
}

static ssize_t client_data(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	struct client *c = arg;
	struct qx_frame f;
	int r = qx_frame(&f, p, n, QX_CLIENT_MSG_MAX);

	if (r <= 0)
		return r;
	if (f.type == QX_HELLO)
		r = on_hello(c, f.body);
	else if (c->state != CLIENT_READY)
		r = -EPROTO;
	else if (f.type == QX_EXEC_CMDLINE || f.type == QX_JUST_EXEC)
		r = on_exec(c, &f);
	else if (f.type == QX_SERVICE_CONNECT)
		r = on_connect(c, &f);
	else
		r = -EBADMSG;
	return r < 0 ? r : (ssize_t)f.size;
}

static void client_closed(struct chan_stream *s, int code, void *arg)
{
	if (code)
		log_debug("client: %s", strerror(-code));
	client_free(arg);
}

static const struct chan_stream_ops client_ops = { .data = client_data, .closed = client_closed };

static void on_accept(struct ev_io *io, int fd, int events, void *arg)
{
	_cleanup_fd_ int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	uint8_t buf[QX_HDR_LEN + 4];
	struct wr w = wr_mem(buf, sizeof buf);
	struct qd *qd = arg;
	struct client *c;

	if (got < 0 || qd->n_clients >= CLIENTS_MAX)
		return;
	c = xcalloc(1, sizeof *c);
	c->qd = qd;
	c->stream = chan_stream_new(qd->loop, got, QX_HDR_LEN + QX_CLIENT_MSG_MAX, CLIENT_OUT_MARK, &client_ops, c);
	if (!c->stream) {
		free(c);
		return;
	}
	(void)STEAL_FD(got);
	TAILQ_INSERT_TAIL(&qd->clients, c, link);
	qd->n_clients++;
	qx_put_hello(&w, QX_VERSION_CLIENT);
	(void)chan_stream_send(c->stream, w.buf, w.len);
}

void clients_listen(struct qd *qd, int fd)
{
	qd->listen_fd = fd;
	qd->listen_io = ev_io_new(qd->loop, fd, EV_READ, on_accept, qd);
	if (!qd->listen_io) {
		log_error("cannot watch the socket of clients");
		ev_stop(qd->loop, 1);
	}
}

void clients_end(struct qd *qd)
{
	while (!TAILQ_EMPTY(&qd->clients))
		client_free(TAILQ_FIRST(&qd->clients));
}

bool clients_call_done(struct qd *qd, uint32_t peer, uint32_t port)
{
	void *owner;

	if (!ports_free(&qd->ports, peer, port, &owner))
		return false;
	if (owner)
		client_free(owner);
	return true;
}
