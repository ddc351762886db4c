/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client's side of the daemon's socket, and the whole of a call. */
#include "client/qrexec.h"

#include <sys/socket.h>

#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "chan/chan.h"
#include "proto/qrexec.h"

/* Receives one short message: those of a daemon have at most 8 bytes. */
static int receive(int fd, uint8_t buf[QX_HDR_LEN + QX_PARAMS_LEN], struct qx_frame *ret, struct err *e)
{
	ssize_t n = read_full(fd, buf, QX_HDR_LEN);
	size_t len = QX_HDR_LEN;

	if (n == 0 || n == -ECONNRESET)
		return err_set(e, ECONNRESET, "the daemon refused the call");
	if (n == QX_HDR_LEN) {
		struct rd r = rd_mem(buf, QX_HDR_LEN);

		rd_skip(&r, 4);
		len += MIN(rd_u32le(&r), (uint32_t)QX_PARAMS_LEN);
		n = read_full(fd, buf + QX_HDR_LEN, len - QX_HDR_LEN);
		n = n < 0 ? n : n + QX_HDR_LEN;
	}
	if (n < 0)
		return err_errno(e, (int)-n, "reading from the daemon");
	if ((size_t)n != len || qx_frame(ret, buf, len, QX_PARAMS_LEN) != 1)
		return err_set(e, EPROTO, "malformed answer of the daemon");
	return 0;
}

static int connect_daemon(const char *dir, const char *qube, struct err *e)
{
	char path[PATH_MAX];
	int fd;

	if (strchr(qube, '/'))
		return err_set(e, EINVAL, "'%s' is no name of a qube", qube);
	if (str_printf(path, sizeof path, "%s/qrexec.%s", dir ? dir : path_get(PATH_RUN), qube) < 0)
		return err_set(e, ENAMETOOLONG, "socket path too long");
	fd = unix_connect(path, SOCK_STREAM, e);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return err_set(e, -fd, "qube '%s' is not running or not ready for commands", qube);
	return fd;
}

/* Our HELLO and the order go out together: a daemon of another version hangs up, and a round trip is saved. */
static int say(int fd, const struct wr *order, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(2 * QX_HDR_LEN + 4 + QX_CLIENT_MSG_MAX);
	int r = -EMSGSIZE;

	qx_put_hello(&w, QX_VERSION_CLIENT);
	if (wr_ok(order))
		wr_bytes(&w, order->buf, order->len);
	if (wr_ok(order) && wr_ok(&w))
		r = write_full(fd, w.buf, w.len);
	return r < 0 ? err_errno(e, -r, "asking the daemon") : 0;
}

static int hear_hello(int fd, struct err *e)
{
	uint8_t buf[QX_HDR_LEN + QX_PARAMS_LEN];
	struct qx_frame f;
	uint32_t version;
	int r = receive(fd, buf, &f, e);

	if (r < 0)
		return r;
	if (f.type != QX_HELLO || qx_get_hello(f.body, &version) < 0 || version < QX_VERSION_CLIENT)
		return err_set(e, EPROTO, "the daemon speaks another version");
	return 0;
}

static int hear_place(int fd, uint32_t type, uint32_t *ret_domain, uint32_t *ret_port, struct err *e)
{
	uint8_t buf[QX_HDR_LEN + QX_PARAMS_LEN];
	struct qx_frame f;
	int r = receive(fd, buf, &f, e);

	if (r < 0)
		return r;
	if (f.type != type || qx_get_params(f.body, ret_domain, ret_port) < 0)
		return err_set(e, EPROTO, "unexpected answer of the daemon");
	return 0;
}

int qrexec_open(const struct qrexec_call *c, uint32_t domain, uint32_t *ret_domain, uint32_t *ret_port, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(QX_HDR_LEN + QX_CLIENT_MSG_MAX);
	uint32_t type = c->just_exec ? QX_JUST_EXEC : QX_EXEC_CMDLINE;
	_cleanup_fd_ int fd = connect_daemon(c->socket_dir, c->qube, e);
	int r;

	if (fd < 0)
		return fd;
	qx_put_params(&w, type, domain, 0, c->command, strlen(c->command) + 1);
	r = say(fd, &w, e);
	if (r == 0)
		r = hear_hello(fd, e);
	if (r == 0)
		r = hear_place(fd, type, ret_domain, ret_port, e);
	return r < 0 ? r : STEAL_FD(fd);
}

int qrexec_answer(const char *socket_dir, const struct qrexec_request *q, uint32_t *domain, uint32_t *port, struct err *e)
{
	uint8_t buf[QX_HDR_LEN + QX_PARAMS_LEN + QX_IDENT_LEN], ident[QX_IDENT_LEN] = { 0 };
	struct wr w = wr_mem(buf, sizeof buf);
	_cleanup_fd_ int fd = -1;
	uint32_t d = *domain, p = *port;
	int r;

	if (strlen(q->ident) >= sizeof ident)
		return err_set(e, EINVAL, "the ident of the request is too long");
	memcpy(ident, q->ident, strlen(q->ident));
	fd = connect_daemon(socket_dir, q->name, e);
	if (fd < 0)
		return fd;
	qx_put_params(&w, QX_SERVICE_CONNECT, *domain, *port, ident, sizeof ident);
	r = say(fd, &w, e);
	if (r == 0)
		r = hear_hello(fd, e);
	if (r == 0 && *port == 0)
		r = hear_place(fd, QX_SERVICE_CONNECT, &d, &p, e);
	if (r < 0)
		return r;
	*domain = d;
	*port = p;
	return STEAL_FD(fd);
}

static int wait_ms(const struct qrexec_call *c)
{
	if (c->wait_s < 0)
		return -1;
	return (c->wait_s ? c->wait_s : QREXEC_WAIT_DEFAULT_S) * 1000;
}

int qrexec_run(const struct qrexec_call *c, struct err *e)
{
	const char *link_sock = NULL;
	char path[PATH_MAX];
	_cleanup_fd_ int daemon = -1, chan = -1;
	uint32_t domain, port;

	daemon = qrexec_open(c, 0, &domain, &port, e);
	if (daemon < 0)
		return daemon;
	if (c->caller.trace)
		c->caller.trace->request = now_us();
	if (!chan_is_unix())
		link_sock = path_fmt(path, PATH_QUBE_RUN, "/%u/chan.sock", domain);
	chan = chan_listen(link_sock, domain, port, wait_ms(c), e);
	if (chan < 0)
		return chan;
	return caller_run(chan, &c->caller, e);
}
