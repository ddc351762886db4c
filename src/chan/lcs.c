/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Server of LC_ messages. A client that sends anything else, or does not read its answers, is disconnected. */
#include "chan/lcs.h"

#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "proto/ipc.h"

#define LISTENERS_MAX 2

struct lcs {
	struct ev_loop *loop;
	const struct lcs_ops *ops;
	void *arg;
	struct {
		struct lcs *s;
		int fd, tag;
		struct ev_io *ev;
	} listeners[LISTENERS_MAX];
	size_t n_listeners;
	unsigned n_conns;
	TAILQ_HEAD(, lcs_conn) conns;
};

static void req_free(struct lcs_req *r)
{
	TAILQ_REMOVE(&r->conn->reqs, r, all);
	r->conn->n_reqs--;
	free(r);
}

static void conn_free(struct lcs_conn *c)
{
	if (!c->busy)
		free(c);
}

static void conn_close(struct lcs_conn *c)
{
	struct lcs *s = c->s;
	struct lcs_req *r;
	int tag = c->tag;

	if (c->gone)
		return;
	c->gone = true;
	ev_io_free(c->ev);
	fd_closep(&c->fd);
	while ((r = c->reqs.tqh_first)) {
		s->ops->cancelled(r, s->arg);
		req_free(r);
	}
	TAILQ_REMOVE(&s->conns, c, all);
	s->n_conns--;
	conn_free(c);
	if (s->ops->gone)
		s->ops->gone(tag, s->arg);
}

/* The peer field of all requests is at the same place; GRANT has none. */
static int decode(const struct msg *m, struct lcs_req *q)
{
	struct rd r = msg_rd(m);
	struct ipc_lc_listen l = { 0 };
	struct ipc_lc_grant g;
	int bad;

	switch (m->type) {
	case IPC_LC_LISTEN:
	case IPC_LC_CONNECT:
	case IPC_LC_GUI:
		q->kind = m->type == IPC_LC_LISTEN ? LCS_LISTEN : m->type == IPC_LC_GUI ? LCS_GUI : LCS_CONNECT;
		bad = ipc_get_lc_listen(&r, &l);
		break;
	case IPC_LC_GRANT:
		q->kind = LCS_GRANT;
		bad = ipc_get_lc_grant(&r, &g);
		l.port = bad ? 0 : g.port;
		break;
	default:
		return -EBADMSG;
	}
	if (bad || !rd_done(&r) || m->flags || m->n_fds)
		return -EBADMSG;
	q->peer = l.peer;
	q->port = l.port;
	q->serial = m->serial;
	q->extra = -1;
	return 0;
}

static bool on_message(struct lcs_conn *c, const struct msg *m)
{
	struct lcs_req *q = xcalloc(1, sizeof *q);
	struct err e = { 0 };
	int r;

	if (decode(m, q) < 0 || c->n_reqs >= LCS_REQS_PER_CONN) {
		free(q);
		return false;
	}
	q->conn = c;
	TAILQ_INSERT_TAIL(&c->reqs, q, all);
	c->n_reqs++;
	r = c->s->ops->request(q, &e, c->s->arg);
	if (r < 0)
		lcs_fail(q, -r, err_text(&e, r));
	return !c->gone;
}

static void on_conn(struct ev_io *io, int fd, int events, void *arg)
{
	struct lcs_conn *c = arg;

	c->busy = true;
	for (int i = 0; i < 16 && !c->gone; i++) {
		_cleanup_msg_ struct msg m = { 0 };
		int r = msg_recv(c->fd, &m);

		if (r == -EAGAIN)
			break;
		if (r <= 0 || !on_message(c, &m)) {
			conn_close(c);
			break;
		}
	}
	c->busy = false;
	if (c->gone)
		free(c);
}

int lcs_add(struct lcs *s, int fd, int tag)
{
	struct ucred cred;
	socklen_t len = sizeof cred;
	struct lcs_conn *c;

	if (s->n_conns >= LCS_CONNS_MAX)
		return -EMFILE;
	c = xcalloc(1, sizeof *c);
	fd_nonblock(fd, true);
	c->s = s;
	c->fd = fd;
	c->tag = tag;
	c->uid = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 ? cred.uid : (uid_t)-1;
	TAILQ_INIT(&c->reqs);
	c->ev = ev_io_new(s->loop, fd, EV_READ, on_conn, c);
	if (!c->ev) {
		free(c);
		return -EINVAL;
	}
	TAILQ_INSERT_TAIL(&s->conns, c, all);
	s->n_conns++;
	return 0;
}

static void on_listener(struct ev_io *io, int fd, int events, void *arg)
{
	struct lcs *s = *(struct lcs **)arg;
	int tag = 0, conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (size_t i = 0; i < s->n_listeners; i++)
		if (s->listeners[i].fd == fd)
			tag = s->listeners[i].tag;
	if (conn >= 0 && lcs_add(s, conn, tag) < 0)
		close(conn);
}

int lcs_listen(struct lcs *s, int fd, int tag)
{
	size_t i = s->n_listeners;

	if (i >= LISTENERS_MAX)
		return -EMFILE;
	fd_nonblock(fd, true);
	s->listeners[i].s = s;
	s->listeners[i].ev = ev_io_new(s->loop, fd, EV_READ, on_listener, &s->listeners[i].s);
	if (!s->listeners[i].ev)
		return -EINVAL;
	s->listeners[i].fd = fd;
	s->listeners[i].tag = tag;
	s->n_listeners++;
	return 0;
}

bool lcs_has(const struct lcs *s, int tag)
{
	const struct lcs_conn *c;

	TAILQ_FOREACH(c, &s->conns, all)
		if (c->tag == tag)
			return true;
	return false;
}

/* A client whose socket is full of unread answers is not waited for: it loses this one. */
static void answer(struct lcs_req *r, int code)
{
	if (code < 0)
		log_warn("answer to a link client was not delivered: code=%d", -code);
	req_free(r);
}

int lcs_open(struct lcs_req *r)
{
	struct ipc_lc_open o = { .peer = r->peer, .port = r->port };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);
	int fds[2], pair[2], code = unix_pair(SOCK_STREAM | SOCK_NONBLOCK, pair);

	if (code < 0) {
		lcs_fail(r, -code, "no socket pair");
		return code;
	}
	ipc_put_lc_open(&w, &o);
	fds[0] = pair[1];
	fds[1] = r->extra;
	code = msg_send(r->conn->fd, IPC_LC_OPEN, r->serial, MSG_F_REPLY, &w, fds, r->extra >= 0 ? 2 : 1);
	close(pair[1]);
	answer(r, code);
	if (code < 0) {
		close(pair[0]);
		return code;
	}
	return pair[0];
}

void lcs_ok(struct lcs_req *r)
{
	answer(r, ipc_send_ok(r->conn->fd, IPC_LC_OPEN, r->serial));
}

void lcs_fail(struct lcs_req *r, int code, const char *text)
{
	struct err e = { 0 };

	err_set(&e, code, "%s", text);
	answer(r, ipc_send_err(r->conn->fd, IPC_LC_OPEN, r->serial, code, &e));
}

struct lcs *lcs_new(struct ev_loop *l, const struct lcs_ops *ops, void *arg)
{
	struct lcs *s = xcalloc(1, sizeof *s);

	s->loop = l;
	s->ops = ops;
	s->arg = arg;
	TAILQ_INIT(&s->conns);
	return s;
}

void lcs_free(struct lcs *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_listeners; i++) {
		ev_io_free(s->listeners[i].ev);
		close(s->listeners[i].fd);
	}
	while (s->conns.tqh_first)
		conn_close(s->conns.tqh_first);
	free(s);
}
