/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One exchange with the prompt agent: JSON, end of file; then its answer up to its end of file. The agent of dom0 is reached by its socket, with a
 * descriptor line in front; that of another GUI domain by a call that the core makes, whose bytes are those of a qube: one reader takes both.
 */
#include <sys/socket.h>

#include "base/io.h"
#include "base/rd.h"
#include "base/str.h"
#include "daemon/policyd/prompt.h"
#include "proto/ipc.h"

struct pd_call {
	int fd;
	struct ev_io *io;
	struct ev_timer *timer;
	struct wr out;
	char in[PD_ANSWER_MAX + 1];
	size_t n;
	pd_call_fn fn;
	void *arg;
};

void pd_call_drop(struct pd_call *c)
{
	ev_io_free(c->io);
	ev_timer_free(c->timer);
	close(c->fd);
	wr_free(&c->out);
	free(c);
}

static void finish(struct pd_call *c, int r)
{
	char answer[PD_ANSWER_MAX + 1] = "";
	pd_call_fn fn = c->fn;
	void *arg = c->arg;

	if (r == 0) {
		struct rd rd = rd_mem(c->in, c->n);

		rd_text(&rd, answer, sizeof answer);
		if (!rd_done(&rd)) {
			answer[0] = '\0';
			r = -EBADMSG;
		}
	}
	pd_call_drop(c);
	fn(arg, r, answer);
}

static int push(struct pd_call *c)
{
	while (c->out.len) {
		ssize_t n = send(c->fd, c->out.buf, c->out.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		wr_consume(&c->out, (size_t)n);
	}
	ev_io_set(c->io, EV_READ);
	return shutdown(c->fd, SHUT_WR) < 0 ? -errno : 0;
}

static void on_io(struct ev_io *io, int fd, int events, void *arg)
{
	struct pd_call *c = arg;
	ssize_t n;

	if (c->out.len && events & EV_WRITE) {
		int r = push(c);

		if (r < 0)
			finish(c, r);
		return;
	}
	if (!(events & (EV_READ | EV_HUP)))
		return;
	n = recv(fd, c->in + c->n, sizeof c->in - c->n, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		finish(c, -errno);
		return;
	}
	c->n += (size_t)n;
	if (n == 0)
		finish(c, c->out.len ? -EPIPE : 0);
	else if (c->n == sizeof c->in)
		finish(c, -EMSGSIZE);
}

static void on_timeout(struct ev_timer *t, void *arg)
{
	finish(arg, -ETIMEDOUT);
}

/* Asks the core for the call. It closes its end when there is no such call, which reads as an agent that ends without an answer. */
static int call_guivm(struct pd *pd, const char *guivm, const char *service)
{
	struct ipc_pd_call m = { 0 };
	uint8_t buf[128];
	struct wr w = wr_mem(buf, sizeof buf);
	_cleanup_fd_ int ours = -1, theirs = -1;
	int pair[2], r;

	if (str_copy(m.guivm, sizeof m.guivm, guivm) < 0 || str_copy(m.service, sizeof m.service, service) < 0)
		return -ENAMETOOLONG;
	r = unix_pair(SOCK_STREAM, pair);
	if (r < 0)
		return r;
	ours = pair[0];
	theirs = pair[1];
	r = fd_nonblock(ours, true);
	ipc_put_pd_call(&w, &m);
	/* now or not at all: what waits in line for the core waits without descriptors */
	if (r == 0)
		r = pd->core_fd < 0 ? -ENOTCONN : pd->out_head ? -EAGAIN : msg_send(pd->core_fd, IPC_PD_CALL, 0, 0, &w, &theirs, 1);
	return r < 0 ? r : STEAL_FD(ours);
}

int pd_call_start(struct pd_call **ret, struct pd *pd, const char *guivm, const char *service, struct wr *body, uint64_t timeout_ms, pd_call_fn fn, void *arg)
{
	struct pd_call *c;
	struct wr out = wr_grow(PD_QUESTION_BYTES + 128);
	/* Never waits: a full queue of the listener is EAGAIN. */
	int fd = guivm ? call_guivm(pd, guivm, service) : unix_connect(pd->agent_socket, SOCK_STREAM | SOCK_NONBLOCK, NULL);

	if (!guivm) {
		wr_printf(&out, "%s dom0 name dom0", service);
		wr_u8(&out, 0);
	}
	wr_bytes(&out, body->buf, body->len);
	if (fd >= 0 && (!wr_ok(body) || !wr_ok(&out))) {
		close(fd);
		fd = -EMSGSIZE;
	}
	wr_free(body);
	if (fd < 0) {
		wr_free(&out);
		return fd;
	}
	c = xcalloc(1, sizeof *c);
	*c = (struct pd_call){ .fd = fd, .out = out, .fn = fn, .arg = arg };
	c->io = ev_io_new(pd->loop, fd, EV_READ | EV_WRITE, on_io, c);
	c->timer = ev_timer_new(pd->loop, on_timeout, c);
	if (!c->io || !c->timer) {
		pd_call_drop(c);
		return -EINVAL;
	}
	ev_timer_start(c->timer, timeout_ms);
	*ret = c;
	return 0;
}
