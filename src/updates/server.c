/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections to servers, up to the head of the answer. */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/io.h"
#include "updates/updates.h"

#define INTERIM_MAX 5 /* answers of status 1xx before the real one */

int wait_fd(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	uint64_t end = now_us() + (uint64_t)ms * 1000;

	for (;;) {
		uint64_t now = now_us();
		int n = poll(&p, 1, now >= end ? 0 : (int)((end - now) / 1000) + 1);

		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int connect_one(const struct up_addr *a, uint16_t port)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	_cleanup_fd_ int fd = socket(a->family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(int);
	int r, code = 0;

	if (fd < 0)
		return -errno;
	memcpy(&a4.sin_addr, a->b, sizeof a4.sin_addr);
	memcpy(&a6.sin6_addr, a->b, sizeof a6.sin6_addr);
	r = a->family == 6 ? connect(fd, (struct sockaddr *)&a6, sizeof a6) : connect(fd, (struct sockaddr *)&a4, sizeof a4);
	if (r < 0 && errno != EINPROGRESS)
		return -errno;
	r = wait_fd(fd, POLLOUT, UP_CONNECT_MS);
	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0 || code)
		return -(code ? code : errno);
	return STEAL_FD(fd);
}

/* check: only addresses of the public network count. */
static int connect_to(struct proxy *p, const struct http_url *u, bool check, struct err *e)
{
	struct up_addr addr[UP_ADDRS_MAX];
	size_t n = 0, tried = 0;
	int r = resolver_ask(p->resolver, u->host, addr, &n, e), fd = -ENOENT;

	if (r < 0)
		return r;
	for (size_t i = 0; i < n && fd < 0; i++) {
		if (check && !addr_public(&addr[i]))
			continue;
		tried++;
		fd = connect_one(&addr[i], u->port);
	}
	if (!tried)
		return err_set(e, EACCES, "'%s' is not a server of the public network", u->host);
	return fd < 0 ? err_errno(e, -fd, "connecting to '%s' port %u", u->host, u->port) : fd;
}

static int send_request(const struct server *s, const struct http_request *q, bool absolute, struct err *e)
{
	uint8_t buf[HTTP_HEAD_MAX];
	struct wr w = wr_mem(buf, sizeof buf);
	int r;

	http_request_write(&w, q, absolute);
	if (!wr_ok(&w))
		return err_set(e, EMSGSIZE, "the request is too long");
	r = wait_fd(s->fd, POLLOUT, UP_IDLE_SERVER_MS);
	if (r == 0)
		r = write_full(s->fd, w.buf, w.len);
	return r < 0 ? err_errno(e, -r, "sending to the server") : 0;
}

static int fill(struct server *s)
{
	int r = wait_fd(s->fd, POLLIN, UP_IDLE_SERVER_MS);
	ssize_t n;

	if (r < 0)
		return r;
	n = read(s->fd, s->buf + s->len, sizeof s->buf - s->len);
	if (n <= 0)
		return n < 0 ? -errno : -ECONNRESET;
	s->len += (size_t)n;
	return 0;
}

static int read_head(struct server *s, struct http_response *ret, struct err *e)
{
	for (unsigned i = 0; i <= INTERIM_MAX; i++) {
		ssize_t n;
		int r;

		while ((n = http_head_len(s->buf + s->pos, server_left(s))) == 0) {
			/* room for a whole head behind an interim one */
			memmove(s->buf, s->buf + s->pos, server_left(s));
			s->len -= s->pos;
			s->pos = 0;
			r = fill(s);
			if (r < 0)
				return err_errno(e, -r, "reading the answer of the server");
		}
		if (n < 0)
			return err_set(e, EBADMSG, "malformed answer of the server");
		r = http_response_parse(rd_mem(s->buf + s->pos, (size_t)n), ret, e);
		if (r < 0)
			return r;
		s->pos += (size_t)n;
		if (ret->status >= 200)
			return 0;
	}
	return err_set(e, EBADMSG, "the server does not come to its answer");
}

int server_open(struct proxy *p, const struct http_request *q, struct server *s, struct http_response *ret, struct err *e)
{
	const struct up_host *row = conf_find(&p->conf, &q->url);
	bool up = p->conf.has_uplink;
	int r;

	s->pos = s->len = 0;
	*ret = (struct http_response){ .status = 200 };
	if (!row)
		return err_set(e, EACCES, "'%s' is not a package mirror of this system", q->url.host);
	s->fd = connect_to(p, up ? &p->conf.uplink : &q->url, !up && !row->private, e);
	if (s->fd < 0) {
		r = s->fd;
		s->fd = -1;
		return r;
	}
	if (q->method == HTTP_CONNECT && !up)
		return 0;
	r = send_request(s, q, up, e);
	if (r == 0)
		r = read_head(s, ret, e);
	if (r < 0)
		server_close(s);
	return r;
}

void server_close(struct server *s)
{
	fd_closep(&s->fd);
	s->pos = s->len = 0;
}

ssize_t server_read(struct server *s, void *buf, size_t n)
{
	size_t have = MIN(server_left(s), n);
	ssize_t got;
	int r;

	if (have) {
		memcpy(buf, s->buf + s->pos, have);
		s->pos += have;
		return (ssize_t)have;
	}
	r = wait_fd(s->fd, POLLIN, UP_IDLE_SERVER_MS);
	if (r < 0)
		return r;
	got = read(s->fd, buf, n);
	return got < 0 ? -errno : got;
}
