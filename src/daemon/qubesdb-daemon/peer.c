/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The vchan to the other side. Dom0 listens, answers one MULTIREAD a connection with a dump and forwards its writes afterwards. The
 * qube connects, takes the dump, and then sends what was written there while the two were apart. Any breach ends the connection.
 */
#include "base/io.h"
#include "base/log.h"
#include "base/msg.h"
#include "base/str.h"
#include "daemon/qubesdb-daemon/db.h"
#include "proto/ipc.h"

#define RETRY_US 100000u
#define TOMBS_MAX 1024

int peer_init(struct db *d, int link_fd)
{
	d->peer.link_fd = link_fd;
	d->peer.conn.fd = -1;
	return link_fd >= 0 ? fd_nonblock(link_fd, true) : 0;
}

/* The other side can come and go as often as it likes; the log is not its to fill. */
static bool may_log(void)
{
	static struct log_rate rate;

	return log_rate_ok(&rate, 30, 60);
}

static void lost(struct db *d, const char *why)
{
	struct peer *p = &d->peer;

	if (p->state == PEER_UP && may_log())
		log_info("the other side is away: %s", why);
	else
		log_debug("no connection yet: %s", why);
	conn_fini(&p->conn);
	p->state = PEER_AWAY;
	p->synced = false;
	p->retry_at_us = now_us() + RETRY_US;
}

void peer_fini(struct db *d)
{
	conn_fini(&d->peer.conn);
	chan_req_free(d->peer.req);
	free(d->peer.tombs);
	d->peer.req = NULL;
	d->peer.tombs = NULL;
}

static int ask_link(struct peer *p)
{
	struct ipc_lc_listen m = { .port = CHAN_PORT_QUBESDB };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_lc_listen(&w, &m);
	p->pending = ++p->serial;
	return msg_send(p->link_fd, IPC_LC_LISTEN, p->pending, 0, &w, NULL, 0);
}

uint64_t peer_tick(struct db *d)
{
	struct peer *p = &d->peer;
	uint64_t now = now_us();
	struct err e = { 0 };

	if (p->state != PEER_AWAY)
		return 0;
	if (p->retry_at_us > now)
		return p->retry_at_us;
	if (p->link_fd >= 0) {
		if (ask_link(p) == 0) {
			p->state = PEER_ASKING;
			return 0;
		}
	} else {
		p->req = d->guest ? chan_connect_start(NULL, d->qid, CHAN_PORT_QUBESDB, &e) :
				    chan_listen_start(NULL, d->qid, CHAN_PORT_QUBESDB, &e);
		if (p->req) {
			p->state = PEER_ASKING;
			return 0;
		}
		log_debug("%s", e.msg);
	}
	p->retry_at_us = now + RETRY_US;
	return p->retry_at_us;
}

static void up(struct db *d, int fd)
{
	struct peer *p = &d->peer;

	conn_init(&p->conn, fd, d->guest ? QDB_AT_GUEST : QDB_AT_HOST);
	p->state = PEER_UP;
	p->synced = false;
	p->gen++;
	if (may_log())
		log_info("the other side is there");
	if (d->guest)
		conn_send(&p->conn, QDB_CMD_MULTIREAD, "", NULL, 0);
}

void peer_forward_write(struct db *d, struct entry *x)
{
	if (d->peer.synced)
		conn_send(&d->peer.conn, QDB_CMD_WRITE, x->key, x->value, x->len);
	x->unsent = !d->peer.synced;
}

void peer_forward_rm(struct db *d, const char *path)
{
	struct peer *p = &d->peer;
	char(*v)[QDB_KEY_CAP];

	if (p->synced) {
		conn_send(&p->conn, QDB_CMD_RM, path, NULL, 0);
		return;
	}
	if (!d->guest || p->n_tombs == TOMBS_MAX)
		return;
	v = reallocarray(p->tombs, p->n_tombs + 1, QDB_KEY_CAP);
	if (!v)
		return;
	p->tombs = v;
	if (str_copy(v[p->n_tombs], QDB_KEY_CAP, path) == 0)
		p->n_tombs++;
}

static bool buried(const struct peer *p, const char *key)
{
	for (size_t i = 0; i < p->n_tombs; i++)
		if (qdb_covers(p->tombs[i], key))
			return true;
	return false;
}

static int take_dump_entry(struct db *d, const struct qdb_hdr *h, const uint8_t *data)
{
	struct peer *p = &d->peer;
	struct entry *x = store_get(&d->store, h->path);
	bool changed = false;

	if (x && x->unsent) {
		x->gen = p->gen;
		return 0;
	}
	if (buried(p, h->path)) {
		conn_send(&p->conn, QDB_CMD_RM, h->path, NULL, 0);
		return 0;
	}
	x = store_set(&d->store, h->path, data, h->len, &changed);
	if (!x)
		return -ENOSPC;
	x->gen = p->gen;
	if (changed)
		db_fire(d, h->path);
	return 0;
}

static void end_dump(struct db *d)
{
	struct peer *p = &d->peer;

	for (size_t i = 0; i < d->store.n;) {
		struct entry *x = d->store.v[i];
		bool missing = x->gen != p->gen;

		if (missing && !x->own) {
			char key[QDB_KEY_CAP];

			memcpy(key, x->key, sizeof key);
			store_rm_at(&d->store, i);
			db_fire(d, key);
			continue;
		}
		if (missing || x->unsent)
			conn_send(&p->conn, QDB_CMD_WRITE, x->key, x->value, x->len);
		x->unsent = false;
		i++;
	}
	p->n_tombs = 0;
	p->synced = true;
	if (d->on_synced)
		d->on_synced(d);
}

static int send_dump(struct db *d, const char *prefix)
{
	struct peer *p = &d->peer;

	if (p->synced)
		return -EBADMSG;
	for (size_t i = d->store.n; i-- > 0;) {
		const struct entry *x = d->store.v[i];

		if (str_starts(x->key, prefix))
			conn_send(&p->conn, QDB_RESP_MULTIREAD, x->key, x->value, x->len);
	}
	conn_send(&p->conn, QDB_RESP_MULTIREAD, "", NULL, 0);
	p->synced = true;
	return 0;
}

static int handle(struct db *d, const struct qdb_hdr *h, const uint8_t *data)
{
	struct peer *p = &d->peer;
	struct entry *x;

	switch (h->type) {
	case QDB_CMD_WRITE:
		x = db_write(d, h->path, data, h->len);
		if (!x)
			return -ENOSPC;
		x->own = x->unsent = false;
		conn_send(&p->conn, QDB_RESP_OK, h->path, NULL, 0);
		return 0;
	case QDB_CMD_RM:
		if (db_rm(d, h->path) == 0)
			return -ENOENT;
		conn_send(&p->conn, QDB_RESP_OK, h->path, NULL, 0);
		return 0;
	case QDB_CMD_MULTIREAD:
		return send_dump(d, h->path);
	case QDB_RESP_MULTIREAD:
		if (p->synced)
			return -EBADMSG;
		if (h->path[0])
			return take_dump_entry(d, h, data);
		end_dump(d);
		return 0;
	case QDB_RESP_ERROR:
		if (may_log())
			log_warn("the other side refused %s", log_escs(h->path));
		return 0;
	default:
		return 0;
	}
}

static void serve(struct db *d)
{
	struct peer *p = &d->peer;

	while (!p->conn.dead) {
		struct qdb_hdr h;
		const uint8_t *data;
		int r = conn_next(&p->conn, &h, &data);

		if (r == 0)
			break;
		if (r > 0) {
			r = qdb_check(p->conn.side, &h, data);
			if (r == 0)
				r = handle(d, &h, data);
			conn_drop(&p->conn, &h);
		}
		if (r < 0) {
			if (may_log())
				log_warn("the other side broke the protocol (%s): connection dropped", strerror(-r));
			p->conn.dead = true;
		}
	}
	if (p->conn.dead || p->conn.eof)
		lost(d, p->conn.dead ? "dropped" : "closed");
}

size_t peer_poll(struct db *d, struct pollfd *ret)
{
	struct peer *p = &d->peer;
	size_t n = 0;

	if (p->link_fd >= 0)
		ret[n++] = (struct pollfd){ .fd = p->link_fd, .events = POLLIN };
	else if (p->req)
		ret[n++] = (struct pollfd){ .fd = chan_req_fd(p->req), .events = POLLIN };
	if (p->state == PEER_UP)
		ret[n++] = (struct pollfd){ .fd = p->conn.fd, .events = conn_events(&p->conn) };
	return n;
}

static int link_message(struct db *d)
{
	struct peer *p = &d->peer;
	_cleanup_msg_ struct msg m = { .fds = { -1, -1, -1, -1 } };
	int r = msg_recv(p->link_fd, &m);

	if (r == -EAGAIN)
		return 0;
	if (r <= 0)
		return r < 0 ? r : -EPIPE;
	if (!(m.flags & MSG_F_REPLY) || m.serial != p->pending || p->state != PEER_ASKING)
		return 0;
	if (!(m.flags & MSG_F_ERROR) && m.n_fds == 1) {
		up(d, STEAL_FD(m.fds[0]));
		return 0;
	}
	p->state = PEER_AWAY;
	p->retry_at_us = now_us() + RETRY_US;
	return 0;
}

static void request_ready(struct db *d)
{
	struct peer *p = &d->peer;
	struct err e = { 0 };
	int fd = chan_req_finish(p->req, &e);

	if (fd == -EAGAIN)
		return;
	chan_req_free(p->req);
	p->req = NULL;
	if (fd >= 0)
		up(d, fd);
	else
		lost(d, err_text(&e, fd));
}

int peer_ready(struct db *d, const struct pollfd *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = 0;

		if (p[i].fd == d->peer.conn.fd && d->peer.state == PEER_UP) {
			conn_io(&d->peer.conn, p[i].revents);
			serve(d);
		} else if (p[i].revents && p[i].fd == d->peer.link_fd) {
			r = link_message(d);
		} else if (p[i].revents && d->peer.req) {
			request_ready(d);
		}
		if (r < 0)
			return r;
	}
	return 0;
}
