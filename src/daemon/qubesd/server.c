/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections of the Admin API: one request each, read to its end, answered, closed; event streams stay. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/qubesd/qubesd.h"

#define CONNS_MAX 1024
/* A client connects, writes and half-closes within a few microseconds; to sleep and be woken for each of these would cost more than
   everything else that is done for a call. It bounds what a silent connection can take. */
#define PATIENCE_US 20
#define STREAM_MAX (4u << 20) /* bytes that a listener of events may lag behind */

struct listener {
	struct server *s;
	int fd;
	struct ev_io *io;
	unsigned socket;
};

struct server {
	struct qd *d;
	struct listener l[3];
	struct conn *conns;
	unsigned n_conns;
};

struct conn {
	struct conn *next, **prev;
	struct server *s;
	int fd;
	struct ev_io *io;
	unsigned socket;
	struct wr in, out;
	size_t sent;
	int given; /* a descriptor that came with the request, -1 = none */
	bool stream, calling;
	struct subscriber sub;
};

static void unsubscribe(struct conn *c)
{
	struct core *core = c->s->d->core;
	struct subscriber **lists[] = { &core->subs, &core->stat_subs, &core->holds };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct subscriber **p = lists[i];

		while (*p && *p != &c->sub)
			p = &(*p)->next;
		if (*p && lists[i] == &core->holds && core->ops->hold)
			core->ops->hold(core->ops_ctx);
		if (*p)
			*p = c->sub.next;
	}
}

static void conn_free(struct conn *c)
{
	unsubscribe(c);
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->s->n_conns--;
	ev_io_free(c->io);
	close(c->fd);
	fd_closep(&c->given);
	wr_free(&c->in);
	wr_free(&c->out);
	free(c);
}

static void on_conn(struct ev_io *io, int fd, int events, void *arg);

/* Most connections are over before they would have to wait for anything: the loop learns of the others only. False = freed. */
static bool conn_watch(struct conn *c, int events)
{
	if (c->io) {
		ev_io_set(c->io, events);
		return true;
	}
	if (!events)
		return true;
	c->io = ev_io_new(c->s->d->loop, c->fd, events, on_conn, c);
	if (c->io)
		return true;
	conn_free(c);
	return false;
}

/* Writes what it can; frees the connection when it is done or dead. False = freed. */
static bool conn_flush(struct conn *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.buf + c->sent, c->out.len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			return conn_watch(c, EV_WRITE | EV_GONE);
		}
		if (n < 0) {
			conn_free(c);
			return false;
		}
		c->sent += (size_t)n;
	}
	if (!c->stream) {
		conn_free(c);
		return false;
	}
	wr_reset(&c->out);
	c->sent = 0;
	return conn_watch(c, EV_GONE);
}

static void on_event(struct subscriber *s, const void *frame, size_t n)
{
	struct conn *c = container_of(s, struct conn, sub);
	bool idle = c->sent == c->out.len;

	wr_bytes(&c->out, frame, n);
	if (!wr_ok(&c->out) || c->out.len - c->sent > STREAM_MAX) {
		log_warn("a listener of events does not read: closed");
		conn_free(c);
		return;
	}
	/* While the answer of the call itself is not out yet, events line up behind it. */
	if (idle && !c->calling)
		(void)conn_flush(c);
}

static void on_done(struct call *call)
{
	struct conn *c = call->conn;

	c->calling = false;
	c->stream = call->keep_open && call->result == 0;
	if (!c->stream)
		unsubscribe(c);
	call_answer(call, &c->out);
	call_free(call);
	(void)conn_flush(c);
}

/* The request is complete: run it. */
static void conn_run(struct conn *c)
{
	size_t n = c->in.len;
	uint8_t *bytes = (uint8_t *)wr_take(&c->in, NULL);
	struct call *call;

	if (!bytes) {
		conn_free(c);
		return;
	}
	c->calling = true;
	/* A client that goes away does not end its call; the answer then has nobody to go to. */
	(void)conn_watch(c, 0);
	call = call_new(c->s->d->core, bytes, n, c->socket);
	call->done = on_done;
	call->conn = c;
	call->given = STEAL_FD(c->given);
	c->sub.send = on_event;
	call->sub = &c->sub;
	if (call_start(call) < 0) {
		call_free(call);
		conn_free(c);
	}
}

/* A client that ends its request half-closes and waits. One that is gone altogether may have been cut off in the middle of it. */
static bool conn_cut(const struct conn *c)
{
	struct pollfd p = { .fd = c->fd };

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

/* On the internal socket a descriptor may come along; the first one counts. */
static ssize_t conn_recv(struct conn *c, void *buf, size_t n)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl = { 0 };
	struct iovec v = { buf, n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof ctl.buf };
	ssize_t r;

	if (c->socket != SOCK_INTERNAL)
		return recv(c->fd, buf, n, MSG_DONTWAIT);
	r = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *h = r < 0 ? NULL : CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= h->cmsg_len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, (const char *)h + at, sizeof fd);
			if (c->given < 0)
				c->given = fd;
			else
				close(fd);
		}
	}
	return r;
}

/* Reads what is there; when the request is not complete, looks again for `patience` microseconds before it leaves the rest to the loop. */
static void conn_read(struct conn *c, uint64_t patience)
{
	static uint8_t buf[ADMIN_REQUEST_MAX + 1];
	uint64_t until = patience ? now_us() + patience : 0;

	for (;;) {
		ssize_t n = conn_recv(c, buf, sizeof buf);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (until && now_us() < until) {
				/* it may wait for this very processor */
				sched_yield();
				continue;
			}
			(void)conn_watch(c, EV_READ);
			return;
		}
		if (n == 0) {
			if (conn_cut(c))
				conn_free(c);
			else
				conn_run(c);
			return;
		}
		if (n > 0)
			wr_bytes(&c->in, buf, (size_t)n);
		if (n < 0 || !wr_ok(&c->in)) {
			conn_free(c); /* too long, or gone: no answer */
			return;
		}
	}
}

static void on_conn(struct ev_io *io, int fd, int events, void *arg)
{
	struct conn *c = arg;

	if (c->calling)
		return;
	if (c->out.len == 0 && !c->stream) {
		conn_read(c, 0);
		return;
	}
	if (events & EV_WRITE && !conn_flush(c))
		return;
	if (events & EV_HUP)
		conn_free(c);
}

/* Somebody who opens connections and neither asks nor takes the answer must not keep others out: the oldest of these goes. */
static bool make_room(struct server *s)
{
	struct conn *c, *oldest = NULL;

	for (c = s->conns; c; c = c->next)
		if (!c->calling && !c->stream)
			oldest = c;
	if (oldest)
		conn_free(oldest);
	return oldest != NULL;
}

static struct conn *conn_new(struct server *s, int fd, unsigned socket)
{
	struct conn *c = xcalloc(1, sizeof *c);

	c->s = s;
	c->fd = fd;
	c->given = -1;
	c->socket = socket;
	c->in = wr_grow(ADMIN_REQUEST_MAX);
	c->out = wr_grow((64u << 20) + STREAM_MAX);
	c->next = s->conns;
	c->prev = &s->conns;
	if (c->next)
		c->next->prev = &c->next;
	s->conns = c;
	s->n_conns++;
	return c;
}

/* Is there room for one more? */
static bool room(struct server *s)
{
	if (s->n_conns < CONNS_MAX || make_room(s))
		return true;
	log_warn("too many connections: one refused");
	return false;
}

int server_adopt(struct server *s, int fd, const char *service, const char *src, const char *target, struct err *e)
{
	_cleanup_fd_ int own = fd;
	const char *plus = strchrnul(service, '+');
	struct conn *c;

	if (!room(s))
		return err_set(e, EBUSY, "too many connections");
	c = conn_new(s, STEAL_FD(own), SOCK_ADMIN);
	wr_printf(&c->in, "%.*s+%s %s name ", (int)(plus - service), service, *plus ? plus + 1 : "", src);
	wr_cstr(&c->in, streq(target, "@adminvm") ? "dom0" : target);
	conn_read(c, 0);
	return 0;
}

static void on_listen(struct ev_io *io, int fd, int events, void *arg)
{
	struct listener *l = arg;

	for (int i = 0; i < 32; i++) {
		int f = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (f < 0)
			return;
		if (!room(l->s)) {
			close(f);
			continue;
		}
		conn_read(conn_new(l->s, f, l->socket), PATIENCE_US);
	}
}

struct server *server_open(struct qd *d, struct err *e)
{
	static const struct {
		enum path_id path;
		unsigned socket;
	} socks[] = {
		{ PATH_QUBESD_SOCK, SOCK_ADMIN },
		{ PATH_QUBESD_INTERNAL_SOCK, SOCK_INTERNAL },
		{ PATH_QUBESD_MISC_SOCK, SOCK_MISC },
	};
	struct server *s = xcalloc(1, sizeof *s);

	s->d = d;
	for (size_t i = 0; i < ARRAY_SIZE(socks); i++)
		s->l[i].fd = -1;
	for (size_t i = 0; i < ARRAY_SIZE(socks); i++) {
		int fd = unix_listen(path_get(socks[i].path), SOCK_STREAM, 0660, e);

		if (fd < 0) {
			server_free(s);
			return NULL;
		}
		s->l[i].s = s;
		s->l[i].fd = fd;
		s->l[i].socket = socks[i].socket;
	}
	return s;
}

int server_serve(struct server *s, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->l); i++) {
		s->l[i].io = ev_io_new(s->d->loop, s->l[i].fd, EV_READ, on_listen, &s->l[i]);
		if (!s->l[i].io)
			return err_set(e, EBADF, "cannot watch the Admin API socket");
	}
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(s->l); i++) {
		ev_io_free(s->l[i].io);
		fd_closep(&s->l[i].fd);
	}
	free(s);
}
