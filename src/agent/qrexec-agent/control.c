/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control vchan: handshake, and what dom0 orders. */
#include "agent.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/str.h"

#define OUT_MARK (512 * 1024)
#define RETRY_MS 1000

static void control_lost(struct agent *a, const char *why)
{
	struct err e = { 0 };

	log_info("control channel ended: %s", why);
	chan_stream_free(STEAL_PTR(a->control));
	a->up = false;
	trigger_hold(a, true);
	trigger_drop(a);
	if (control_start(a, &e) < 0) {
		log_error("%s", err_text(&e, -EIO));
		ev_timer_start(a->retry, RETRY_MS);
	}
}

void control_send(struct agent *a, const struct wr *w)
{
	int r;

	if (!a->control || !a->up)
		return;
	r = chan_stream_send(a->control, w->buf, w->len);
	/* The end is handled from the loop: this may run inside a callback of the very stream. */
	if (r < 0)
		shutdown(chan_stream_fd(a->control), SHUT_RDWR);
}

void notify(const char *text)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	_cleanup_fd_ int fd = -1;

	if (!path || (path[0] != '/' && path[0] != '@') || str_copy(addr.sun_path, sizeof addr.sun_path, path) < 0)
		return;
	if (addr.sun_path[0] == '@')
		addr.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&addr,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
}

static int on_hello(struct agent *a, struct rd body)
{
	uint32_t version;

	if (a->up || qx_get_hello(body, &version) < 0 || version < QX_VERSION_MIN)
		return -EPROTO;
	a->up = true;
	log_info("connected to dom0, version %u", MIN(version, (uint32_t)QX_VERSION));
	if (!a->notified)
		notify("READY=1\nSTATUS=connected to dom0");
	a->notified = true;
	trigger_hold(a, false);
	return 0;
}

static int on_message(struct agent *a, const struct qx_frame *f)
{
	struct rd body = f->body;
	struct qx_connect c;
	struct qx_exec x;

	if (f->type == QX_HELLO)
		return on_hello(a, f->body);
	if (!a->up)
		return -EPROTO;
	switch (f->type) {
	case QX_EXEC_CMDLINE:
	case QX_JUST_EXEC:
		if (qx_get_exec(&x, f->body) < 0 || !x.command)
			return -EBADMSG;
		calls_start(a, &x, f->type);
		return 0;
	case QX_SERVICE_CONNECT:
		if (qx_get_connect(&c, f->body) < 0)
			return -EBADMSG;
		trigger_answer(a, c.ident, &c);
		return 0;
	case QX_SERVICE_REFUSED:
		rd_bytes(&body, c.ident, sizeof c.ident);
		trigger_answer(a, c.ident, NULL);
		return 0;
	default:
		return -EBADMSG;
	}
}

static ssize_t control_data(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	struct agent *a = arg;
	struct qx_frame f;
	int r = qx_frame(&f, p, n, QX_PARAMS_LEN + QX_COMMAND_MAX);

	if (r <= 0)
		return r;
	r = on_message(a, &f);
	return r < 0 ? r : (ssize_t)f.size;
}

static void control_closed(struct chan_stream *s, int code, void *arg)
{
	control_lost(arg, code ? strerror(-code) : "closed by dom0");
}

static const struct chan_stream_ops control_ops = { .data = control_data, .closed = control_closed };

static void on_connected(struct agent *a, int fd)
{
	uint8_t buf[QX_HDR_LEN + 4];
	struct wr w = wr_mem(buf, sizeof buf);

	a->control = chan_stream_new(a->loop, fd, QX_HDR_LEN + QX_PARAMS_LEN + QX_COMMAND_MAX, OUT_MARK, &control_ops, a);
	if (!a->control) {
		close(fd);
		ev_timer_start(a->retry, RETRY_MS);
		return;
	}
	/* the vchan's server speaks first */
	qx_put_hello(&w, QX_VERSION);
	(void)chan_stream_send(a->control, w.buf, w.len);
}

static void on_req(struct ev_io *io, int fd, int events, void *arg)
{
	struct agent *a = arg;
	struct err e = { 0 };
	int r = chan_req_finish(a->req, &e);

	if (r == -EAGAIN)
		return;
	ev_io_free(STEAL_PTR(a->req_io));
	chan_req_free(STEAL_PTR(a->req));
	if (r >= 0) {
		on_connected(a, r);
		return;
	}
	log_warn("waiting for dom0: %s", err_text(&e, r));
	ev_timer_start(a->retry, RETRY_MS);
}

static void on_retry(struct ev_timer *t, void *arg)
{
	struct agent *a = arg;
	struct err e = { 0 };

	if (control_start(a, &e) < 0) {
		log_warn("%s", err_text(&e, -EIO));
		ev_timer_start(t, RETRY_MS);
	}
}

int control_start(struct agent *a, struct err *e)
{
	if (!a->retry)
		a->retry = ev_timer_new(a->loop, on_retry, a);
	a->req = chan_listen_start(NULL, 0, CHAN_PORT_QREXEC, e);
	if (!a->req)
		return -EIO;
	a->req_io = ev_io_new(a->loop, chan_req_fd(a->req), EV_READ, on_req, a);
	if (!a->req_io) {
		chan_req_free(STEAL_PTR(a->req));
		return err_set(e, EIO, "cannot watch the control channel");
	}
	return 0;
}
