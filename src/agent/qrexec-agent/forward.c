/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent's use of the fork server in a user's session: calls for that user run there, with the session's environment. */
#include "agent.h"

#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "forksrv.h"

/* The server must be the user's own: who else could make the socket would see the user's calls. */
static int connect_server(const char *pattern, const struct user *u)
{
	const char *at = strstr(pattern, "%s");
	_cleanup_free_ char *path = NULL;
	_cleanup_fd_ int fd = -1;
	struct ucred who;
	socklen_t n = sizeof who;

	if (!at || strchr(u->name, '/'))
		return -EINVAL;
	/* Users can write where the sockets are: for root a link of theirs could lead to any socket of root's. Root has no session either. */
	if (u->uid == 0 && !chan_is_unix())
		return -EPERM;
	path = xasprintf("%.*s%s%s", (int)(at - pattern), pattern, u->name, at + 2);
	if (access(path, F_OK) < 0)
		return -ENOENT;
	fd = unix_connect(path, SOCK_STREAM, NULL);
	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 || who.uid != u->uid) {
		log_warn("the fork server '%s' is not of that user", path);
		return -EPERM;
	}
	return STEAL_FD(fd);
}

static int send_order(int fd, const struct wr *w, int chan)
{
	char control[CMSG_SPACE(sizeof chan)] = { 0 };
	struct iovec iov = { w->buf, w->len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (chan >= 0) {
		struct cmsghdr *c;

		m.msg_control = control;
		m.msg_controllen = sizeof control;
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof chan);
		memcpy(CMSG_DATA(c), &chan, sizeof chan);
	}
	do {
		n = sendmsg(fd, &m, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n < w->len ? write_full(fd, w->buf + n, w->len - (size_t)n) : 0;
}

int forward_call(const char *pattern, const struct forward *f, const struct user *u, const struct qx_command *c, int chan, uint32_t version)
{
	_cleanup_wr_ struct wr w = wr_grow(FORKSRV_HDR + QX_COMMAND_MAX);
	static const char rpc[] = "QUBESRPC ";
	size_t n = strlen(c->text) + 1 + (c->rpc ? sizeof rpc - 1 : 0);
	struct forksrv h = { .type = f->type | (chan >= 0 ? FORKSRV_CHAN : 0), .domain = f->domain, .port = chan >= 0 ? version : f->port, .len = (uint32_t)n };
	_cleanup_fd_ int fd = connect_server(pattern, u);
	ssize_t n_read;
	char drop[64];
	int r;

	if (fd < 0)
		return 0;
	forksrv_put(&w, &h);
	if (c->rpc)
		wr_str(&w, rpc);
	wr_cstr(&w, c->text);
	r = wr_ok(&w) ? send_order(fd, &w, chan) : -EMSGSIZE;
	if (r < 0) {
		log_warn("the fork server of '%s' does not take a call: %s", u->name, strerror(-r));
		return 0;
	}
	do {
		n_read = read(fd, drop, sizeof drop);
	} while (n_read > 0 || (n_read < 0 && errno == EINTR));
	if (n_read < 0 && errno == ECONNRESET) {
		/* it has ended before it had read the order, so it serves nothing: a session that goes takes no call with it */
		log_warn("the fork server of '%s' has gone; its call runs without it", u->name);
		return 0;
	}
	return 1;
}
