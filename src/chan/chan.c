/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests for a vchan: choice of the transport, the link transport, and the waiting forms. */
#include "chan/chan.h"

#include <poll.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"
#include "chan/req.h"
#include "proto/ipc.h"

bool chan_is_unix(void)
{
	const char *dir = secure_getenv("VCHAN_SOCKET_DIR");

	return dir && *dir;
}

uint32_t chan_own_domain(void)
{
	const char *s = secure_getenv("VCHAN_DOMAIN");
	uint64_t v;

	return s && str_u64(s, UINT32_MAX, &v) == 0 ? (uint32_t)v : 0;
}

static int link_start(struct chan_req *q, const char *link_sock, uint32_t peer, uint32_t port, struct err *e)
{
	/* On the host a mux belongs to one qube, which is the only possible peer: the field is 0. */
	struct ipc_lc_listen m = { .peer = link_sock ? 0 : peer, .port = port };
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	const char *path = link_sock;
	int r;

	if (!path)
		path = secure_getenv("BULKHEAD_LINK_SOCKET");
	if (!path || !*path)
		path = CHAN_GUEST_SOCK;
	q->fd = unix_connect(path, SOCK_SEQPACKET, e);
	if (q->fd < 0)
		return q->fd;
	ipc_put_lc_listen(&w, &m);
	r = msg_send(q->fd, q->gui ? IPC_LC_GUI : q->server ? IPC_LC_LISTEN : IPC_LC_CONNECT, 1, 0, &w, NULL, 0);
	if (r < 0)
		return err_errno(e, -r, "asking '%s' for port %u", path, port);
	r = fd_nonblock(q->fd, true);
	return r < 0 ? err_errno(e, -r, "fcntl") : 0;
}

static int link_finish(struct chan_req *q, struct err *e)
{
	_cleanup_msg_ struct msg m = { 0 };
	struct ipc_lc_open o;
	struct rd r;
	int n = msg_recv(q->fd, &m), code;

	if (n == -EAGAIN)
		return n;
	if (n <= 0)
		return err_set(e, ECONNRESET, "the mux closed the request");
	code = ipc_reply_err(&m, e);
	if (code < 0)
		return code == -EAGAIN ? -EIO : code;
	r = msg_rd(&m);
	if (m.type != IPC_LC_OPEN || !(m.flags & MSG_F_REPLY) || ipc_get_lc_open(&r, &o) < 0 || !rd_done(&r) ||
	    m.n_fds < 1 || m.n_fds > (q->gui ? 2 : 1))
		return err_set(e, EBADMSG, "malformed answer of the mux");
	if (m.n_fds == 2)
		q->memory = STEAL_FD(m.fds[1]);
	code = fd_nonblock(m.fds[0], true);
	return code < 0 ? err_errno(e, -code, "fcntl") : STEAL_FD(m.fds[0]);
}

enum way { W_CONNECT, W_LISTEN, W_GUI };

static struct chan_req *req_start(enum way way, const char *link_sock, uint32_t peer, uint32_t port, struct err *e)
{
	_cleanup_(chan_req_freep) struct chan_req *q = xcalloc(1, sizeof *q);
	int r;

	q->server = way == W_LISTEN;
	q->gui = way == W_GUI;
	q->memory = -1;
	q->unix_transport = chan_is_unix();
	q->fd = -1;
	r = q->unix_transport ? unix_req_start(q, peer, port, e) : link_start(q, link_sock, peer, port, e);
	if (r < 0)
		return NULL;
	return STEAL_PTR(q);
}

struct chan_req *chan_listen_start(const char *link_sock, uint32_t peer, uint32_t port, struct err *e)
{
	return req_start(W_LISTEN, link_sock, peer, port, e);
}

struct chan_req *chan_connect_start(const char *link_sock, uint32_t peer, uint32_t port, struct err *e)
{
	_cleanup_(chan_req_freep) struct chan_req *q = req_start(W_CONNECT, link_sock, peer, port, e);

	if (q && q->unix_transport && unix_req_ready(q, e) < 0)
		return NULL;
	return STEAL_PTR(q);
}

struct chan_req *chan_gui_start(const char *link_sock, struct err *e)
{
	return req_start(W_GUI, link_sock, 0, CHAN_PORT_GUI, e);
}

int chan_req_fd(const struct chan_req *q)
{
	return q->fd;
}

int chan_req_finish(struct chan_req *q, struct err *e)
{
	return q->unix_transport ? unix_req_finish(q, e) : link_finish(q, e);
}

int chan_gui_finish(struct chan_req *q, int *ret_memory, struct err *e)
{
	int r = chan_req_finish(q, e);

	if (r >= 0)
		*ret_memory = STEAL_FD(q->memory);
	return r;
}

void chan_req_free(struct chan_req *q)
{
	if (!q)
		return;
	fd_closep(&q->memory);
	fd_closep(&q->fd);
	free(q);
}

static int finish_wait(struct chan_req *q, int timeout_ms, struct err *e)
{
	uint64_t end = now_us() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000;

	for (;;) {
		int wait = -1, n, r = chan_req_finish(q, e);
		struct pollfd p = { .fd = q->fd, .events = POLLIN }; /* a first try that came too early has made it */

		if (r != -EAGAIN)
			return r;
		if (timeout_ms >= 0) {
			uint64_t now = now_us();

			if (now >= end)
				return err_set(e, ETIMEDOUT, "the other end did not come within %d ms", timeout_ms);
			wait = (int)((end - now + 999) / 1000);
		}
		n = poll(&p, 1, wait);
		if (n < 0 && errno != EINTR)
			return err_errno(e, errno, "poll");
	}
}

/* A failed start has left its code in the caller's err or, without one, in ours. */
static int req_wait(enum way way, const char *link_sock, uint32_t peer, uint32_t port, int timeout_ms, struct err *e)
{
	struct err own = { 0 }, *err = e ? e : &own;
	_cleanup_(chan_req_freep) struct chan_req *q = NULL;

	err_clear(err);
	q = req_start(way, link_sock, peer, port, err);
	if (!q)
		return err->code ? -err->code : -EIO;
	return finish_wait(q, timeout_ms, err);
}

int chan_listen(const char *link_sock, uint32_t peer, uint32_t port, int timeout_ms, struct err *e)
{
	return req_wait(W_LISTEN, link_sock, peer, port, timeout_ms, e);
}

int chan_connect(const char *link_sock, uint32_t peer, uint32_t port, int timeout_ms, struct err *e)
{
	return req_wait(W_CONNECT, link_sock, peer, port, timeout_ms, e);
}
