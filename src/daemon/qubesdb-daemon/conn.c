/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes of one connection, local or vchan: bounded buffers, whole messages. */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "daemon/qubesdb-daemon/db.h"

void conn_init(struct conn *c, int fd, enum qdb_side side)
{
	*c = (struct conn){ .fd = fd, .side = side, .in = wr_grow(CONN_IN_MAX), .out = wr_grow(CONN_OUT_MAX) };
	(void)fd_nonblock(fd, true);
}

void conn_fini(struct conn *c)
{
	fd_closep(&c->fd);
	wr_free(&c->in);
	wr_free(&c->out);
	free(c->watches);
	*c = (struct conn){ .fd = -1 };
}

void conn_send(struct conn *c, uint8_t type, const char *path, const void *data, size_t len)
{
	if (c->dead)
		return;
	qdb_put(&c->out, type, path, data, len);
	if (!wr_ok(&c->out)) {
		log_warn("a peer does not read its answers: dropped");
		c->dead = true;
	}
}

static void flush(struct conn *c)
{
	while (c->out.len && !c->dead) {
		ssize_t n = send(c->fd, c->out.buf, c->out.len, MSG_NOSIGNAL);

		if (n >= 0)
			wr_consume(&c->out, (size_t)n);
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			c->dead = true;
	}
}

static void fill(struct conn *c)
{
	uint8_t buf[4096];

	while (!c->dead && !c->eof && c->in.len + sizeof buf <= CONN_IN_MAX) {
		ssize_t n = recv(c->fd, buf, sizeof buf, 0);

		if (n > 0) {
			wr_bytes(&c->in, buf, (size_t)n);
			if (!wr_ok(&c->in))
				c->dead = true;
			if ((size_t)n < sizeof buf)
				return;
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			c->eof = true; /* what came before it is still served */
			return;
		} else if (errno == EAGAIN) {
			return;
		}
	}
}

void conn_io(struct conn *c, short revents)
{
	flush(c);
	if (revents & (POLLIN | POLLHUP | POLLERR))
		fill(c);
}

int conn_next(struct conn *c, struct qdb_hdr *ret, const uint8_t **ret_data)
{
	struct rd r = rd_mem(c->in.buf, c->in.len);

	if (rd_left(&r) < QDB_HDR_LEN)
		return 0;
	if (qdb_hdr_get(&r, ret) < 0)
		return -EBADMSG;
	if (rd_left(&r) < ret->len)
		return 0;
	*ret_data = rd_view(&r, ret->len);
	return 1;
}

void conn_drop(struct conn *c, const struct qdb_hdr *h)
{
	wr_consume(&c->in, QDB_HDR_LEN + h->len);
}

short conn_events(const struct conn *c)
{
	short ev = 0;

	/* The vchan is always read: two ends that both wait for the other to read would wait for ever. CONN_OUT_MAX bounds it. */
	if ((!c->eof && c->out.len < CONN_OUT_PAUSE) || c->side == QDB_AT_HOST || c->side == QDB_AT_GUEST)
		ev |= POLLIN;
	if (c->out.len)
		ev |= POLLOUT;
	return ev;
}
