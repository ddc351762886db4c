/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The product's wiring: channels inherited from the spawner, the core and (through it) policyd. What the qube asks goes to
 * policyd as PQ_ASK; what may be done comes from the core as QD_ messages. Nothing here opens a path.
 */
#include "daemon.h"
#include "fds.h"

#include <sys/socket.h>

#include "base/io.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "chan/chan.h"
#include "chan/lc.h"
#include "proto/ipc.h"

/* dom0 clients get the lower half of the ports; the core chooses the ports of tickets from the upper half. */
#define CLIENT_PORTS 128
#define TICKETS_MAX 512
#define TRACES_PER_S 200

struct ticket {
	uint32_t peer, port;
};

struct wires {
	struct qd *qd;
	struct lc *lc;
	struct ev_io *lc_io, *listen_io, *core_io, *policy_io;
	int core, policy;
	struct ev_timer *retry;
	struct ticket tickets[TICKETS_MAX]; /* calls that the core ordered and that run */
	size_t n_tickets;
	struct log_rate traces;
};

/* --- to linkd --- */

static void on_agent(int fd, int code, const char *text, void *arg)
{
	struct wires *x = arg;

	if (fd >= 0) {
		agent_attach(x->qd, fd);
		return;
	}
	log_warn("control channel: %s", text ? text : strerror(-code));
	ev_timer_start(x->retry, 1000);
}

static void connect_agent(struct qd *qd)
{
	struct wires *x = qd->wired;

	if (lc_connect(x->lc, CHAN_PORT_QREXEC, on_agent, x) < 0)
		ev_timer_start(x->retry, 1000);
}

static void on_retry(struct ev_timer *t, void *arg)
{
	struct wires *x = arg;

	connect_agent(x->qd);
}

static void on_lc(struct ev_io *io, int fd, int events, void *arg)
{
	struct wires *x = arg;
	struct err e = { 0 };
	int r = lc_dispatch(x->lc, &e);

	if (r < 0) {
		log_info("linkd: %s", err_text(&e, r));
		ev_stop(x->qd->loop, 0);
	}
}

/* The client may have gone when the answer comes: it is looked up by its port. */
struct grant {
	struct wires *wires;
	uint32_t port;
};

static void on_grant(int fd, int code, const char *text, void *arg)
{
	_cleanup_free_ struct grant *g = arg;
	struct client *c;

	TAILQ_FOREACH(c, &g->wires->qd->clients, link) {
		if (c->state == CLIENT_GRANT && c->port == g->port) {
			client_granted(c, code);
			return;
		}
	}
}

static int grant(struct qd *qd, struct client *c)
{
	struct wires *x = qd->wired;
	struct grant *g = xcalloc(1, sizeof *g);
	int r;

	*g = (struct grant){ x, c->port };
	r = lc_grant(x->lc, c->port, on_grant, g);
	if (r < 0)
		free(g);
	return r < 0 ? r : 0;
}

/* --- to the core --- */

static void core_end(struct wires *x)
{
	if (x->core < 0)
		return;
	ev_io_free(STEAL_PTR(x->core_io));
	fd_closep(&x->core);
}

static void core_send(struct wires *x, uint32_t type, const struct wr *w)
{
	if (x->core >= 0 && msg_send(x->core, type, 0, 0, w, NULL, 0) < 0) {
		log_warn("the core does not take its messages");
		core_end(x);
	}
}

static void event(struct wires *x, enum qd_event what, uint32_t peer, uint32_t port)
{
	struct ipc_qd_event m = { .event = (uint8_t)what, .peer = peer, .port = port, .agent_version = x->qd->version };
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_qd_event(&w, &m);
	core_send(x, IPC_QD_EVENT, &w);
}

static void hello(struct wires *x)
{
	struct ipc_qd_hello m = {
		.version = IPC_VERSION,
		.qid = x->qd->id,
		.pid = (uint32_t)getpid(),
		.agent_version = (uint8_t)x->qd->version,
		.policy_chan = x->policy >= 0,
	};
	uint8_t buf[128];
	struct wr w = wr_mem(buf, sizeof buf);

	(void)!str_copy(m.name, sizeof m.name, x->qd->name);
	ipc_put_qd_hello(&w, &m);
	core_send(x, IPC_QD_HELLO, &w);
}

static void agent_up(struct qd *qd)
{
	event(qd->wired, QD_EV_AGENT_UP, 0, 0);
}

static void agent_down(struct qd *qd)
{
	struct wires *x = qd->wired;

	clients_end(qd);
	event(x, QD_EV_AGENT_DOWN, 0, 0);
	x->n_tickets = 0;
}

static void call_done(struct qd *qd, uint32_t peer, uint32_t port)
{
	struct wires *x = qd->wired;

	for (size_t i = 0; i < x->n_tickets; i++) {
		if (x->tickets[i].peer != peer || x->tickets[i].port != port)
			continue;
		x->tickets[i] = x->tickets[--x->n_tickets];
		event(x, QD_EV_CALL_DONE, peer, port);
		return;
	}
	if (log_rate_ok(&qd->noise, 10, 60))
		log_warn("the agent ended a call that does not run");
}

/* --- policy channel --- */

static void policy_end(struct wires *x)
{
	if (x->policy < 0)
		return;
	ev_io_free(STEAL_PTR(x->policy_io));
	fd_closep(&x->policy);
	/* who would decide has gone: what is pending is refused */
	while (!TAILQ_EMPTY(&x->qd->requests))
		requests_refuse(x->qd, TAILQ_FIRST(&x->qd->requests)->id);
}

static void on_policy(struct ev_io *io, int fd, int events, void *arg)
{
	_cleanup_msg_ struct msg m = { 0 };
	struct wires *x = arg;
	struct ipc_pq_deny d;
	int r = msg_recv(fd, &m);
	struct rd body;

	if (r == -EAGAIN)
		return;
	if (r > 0) {
		body = msg_rd(&m);
		if (m.type == IPC_PQ_DENY && m.n_fds == 0 && ipc_get_pq_deny(&body, &d) == 0 && rd_done(&body)) {
			requests_refuse(x->qd, d.request);
			return;
		}
		log_error("unexpected message of policyd");
	}
	policy_end(x);
}

/* For the trace of the call (src/daemon/qubesd/run_trace.c). A qube that asks too often, or a core that is busy, costs only that. */
static void tell_request(struct wires *x, uint32_t id)
{
	struct ipc_qd_event m = { .event = QD_EV_REQUEST, .peer = id, .port = (uint32_t)now_us(), .agent_version = x->qd->version };
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);

	if (x->core < 0 || !log_rate_ok(&x->traces, TRACES_PER_S, 1))
		return;
	ipc_put_qd_event(&w, &m);
	(void)msg_send(x->core, IPC_QD_EVENT, 0, 0, &w, NULL, 0);
}

static int ask(struct qd *qd, const struct request *req, const struct qx_trigger *t, const char *service)
{
	_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);
	struct wires *x = qd->wired;
	struct ipc_pq_ask m = { .request = req->id };

	if (x->policy < 0)
		return -ENOTCONN;
	if (str_copy(m.requested_source, sizeof m.requested_source, t->source) < 0 ||
	    str_copy(m.target, sizeof m.target, t->target) < 0 || str_copy(m.service, sizeof m.service, service) < 0)
		return -ENAMETOOLONG;
	ipc_put_pq_ask(&w, &m);
	tell_request(x, req->id);
	return msg_send(x->policy, IPC_PQ_ASK, 0, 0, &w, NULL, 0);
}

/* --- from the core --- */

static int on_policy_chan(struct wires *x, struct msg *m)
{
	if (m->n_fds != 1 || fd_nonblock(m->fds[0], true) < 0)
		return -EBADMSG;
	policy_end(x);
	x->policy = STEAL_FD(m->fds[0]);
	x->policy_io = ev_io_new(x->qd->loop, x->policy, EV_READ, on_policy, x);
	return x->policy_io ? 0 : -EIO;
}

static int on_exec(struct wires *x, struct rd *body)
{
	struct ipc_qd_exec *m = xcalloc(1, sizeof *m);
	_cleanup_free_ struct ipc_qd_exec *own = m;
	struct ticket t;
	int r;

	if (ipc_get_qd_exec(body, m) < 0 || !rd_done(body))
		return -EBADMSG;
	t = (struct ticket){ m->domain, m->port };
	r = x->n_tickets < TICKETS_MAX ? agent_exec(x->qd, QX_EXEC_CMDLINE, m->domain, m->port, m->command) : -EBUSY;
	if (r < 0) {
		log_warn("a call could not be started: %s", strerror(-r));
		event(x, QD_EV_CALL_DONE, m->domain, m->port);
		return 0;
	}
	x->tickets[x->n_tickets++] = t;
	return 0;
}

static int core_message(struct wires *x, struct msg *m)
{
	struct rd body = msg_rd(m);
	struct ipc_qd_connect c;
	struct ipc_qd_refuse f;

	switch (m->type) {
	case IPC_QD_POLICY_CHAN:
		return on_policy_chan(x, m);
	case IPC_QD_EXEC:
		return m->n_fds ? -EBADMSG : on_exec(x, &body);
	case IPC_QD_CONNECT:
		if (m->n_fds || ipc_get_qd_connect(&body, &c) < 0 || !rd_done(&body))
			return -EBADMSG;
		requests_connect(x->qd, c.request, c.domain, c.port);
		return 0;
	case IPC_QD_REFUSE:
		if (m->n_fds || ipc_get_qd_refuse(&body, &f) < 0 || !rd_done(&body))
			return -EBADMSG;
		requests_refuse(x->qd, f.request);
		return 0;
	default:
		return -EBADMSG;
	}
}

static void on_core(struct ev_io *io, int fd, int events, void *arg)
{
	_cleanup_msg_ struct msg m = { 0 };
	struct wires *x = arg;
	int r = msg_recv(fd, &m);

	if (r == -EAGAIN)
		return;
	if (r > 0) {
		r = core_message(x, &m);
		if (r < 0)
			log_error("malformed message of the core: %s", ipc_type_name(m.type));
	} else {
		r = -ECONNRESET;
	}
	if (r < 0 && x->core == fd)
		core_end(x);
}

/* A core that was started anew takes the place of the old one. */
static void on_accept(struct ev_io *io, int fd, int events, void *arg)
{
	struct wires *x = arg;
	int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (got < 0)
		return;
	core_end(x);
	x->core = got;
	x->core_io = ev_io_new(x->qd->loop, got, EV_READ, on_core, x);
	if (!x->core_io) {
		fd_closep(&x->core);
		return;
	}
	hello(x);
}

static const struct wiring link_wiring = {
	.connect_agent = connect_agent,
	.agent_up = agent_up,
	.agent_down = agent_down,
	.grant = grant,
	.ask = ask,
	.call_done = call_done,
};

int link_start(struct qd *qd, struct err *e)
{
	struct wires *x = xcalloc(1, sizeof *x);
	static const int inherited[] = { QREXECD_FD_CLIENTS, QREXECD_FD_CTL, QREXECD_FD_LINK };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
		r = fd_nonblock(inherited[i], true);
		if (r == 0)
			r = fd_cloexec(inherited[i], true);
		if (r < 0) {
			free(x);
			return err_errno(e, -r, "inherited descriptor %d", inherited[i]);
		}
	}
	x->qd = qd;
	x->core = x->policy = -1;
	qd->wired = x;
	qd->wiring = &link_wiring;
	qd->ports.limit = CLIENT_PORTS;
	x->lc = lc_new(QREXECD_FD_LINK);
	x->lc_io = ev_io_new(qd->loop, lc_fd(x->lc), EV_READ, on_lc, x);
	x->listen_io = ev_io_new(qd->loop, QREXECD_FD_CTL, EV_READ, on_accept, x);
	x->retry = ev_timer_new(qd->loop, on_retry, x);
	if (!x->lc_io || !x->listen_io)
		return err_set(e, EIO, "cannot watch the inherited channels");
	r = sandbox_enter(SB_QREXEC_DAEMON, NULL, 0, e);
	if (r < 0)
		return r;
	clients_listen(qd, QREXECD_FD_CLIENTS);
	connect_agent(qd);
	return 0;
}
