/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One program in a running qube, for its effect alone: what it says is thrown away unread, since this process reads no byte of a guest. What is
 * sent to it is constant: the greeting of a data channel and the end of its input. Its end is told by qrexec-daemon.
 */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/state.h"
#include "proto/qrexec.h"

#define PORT_LAST 768u /* as calls to dom0: from the high end */
#define PORT_TRIES 16u
#define LIMIT_MS 60000

struct warm {
	struct run *r;
	warm_fn fn;
	void *arg;
	char command[300];
	uint32_t port;
	unsigned tries;
	bool asked; /* linkd has not answered yet */
	int fds[2]; /* ours, the guest's */
	struct ev_io *io;
	struct ev_timer *limit;
};

static void warm_end(struct run *r, int k)
{
	struct warm *w = STEAL_PTR(r->warm);

	ev_io_free(w->io);
	ev_timer_free(w->limit);
	fd_closep(&w->fds[0]);
	fd_closep(&w->fds[1]);
	w->fn(w->arg, k);
	free(w);
}

void warm_free(struct run *r)
{
	if (r->warm)
		warm_end(r, -ECANCELED);
}

bool warm_call_done(struct run *r, uint32_t peer, uint32_t port)
{
	if (!r->warm || peer != 0 || r->warm->port != port)
		return false;
	warm_end(r, 0);
	return true;
}

static void on_limit(struct ev_timer *t, void *arg)
{
	warm_end(((struct warm *)arg)->r, -ETIMEDOUT);
}

static void on_bytes(struct ev_io *io, int fd, int events, void *arg)
{
	char buf[4096];
	ssize_t n;

	do {
		n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n == 0 || errno != EAGAIN)
		ev_io_set(io, 0); /* the end of the call is told by the daemon */
}

static int give_port(struct warm *w, struct err *e);

static int exec(struct warm *w)
{
	_cleanup_wr_ struct wr m = wr_grow(4096);
	_cleanup_free_ struct ipc_qd_exec *q = xcalloc(1, sizeof *q);
	uint8_t buf[64];
	struct wr hello = wr_mem(buf, sizeof buf);

	if (!w->r->qrexec || str_copy(q->command, sizeof q->command, w->command) < 0)
		return -EPIPE;
	q->port = w->port;
	ipc_put_qd_exec(&m, q);
	qx_put_hello(&hello, QX_VERSION_CLIENT);
	qx_put_hdr(&hello, QX_DATA_STDIN, 0);
	if (!wr_ok(&hello) || write_full(w->fds[0], hello.buf, hello.len) < 0)
		return -EPIPE;
	return peer_send(w->r->qrexec, IPC_QD_EXEC, &m, NULL, 0);
}

static void granted(void *arg, int k, struct msg *m, struct err *e)
{
	struct run *r = arg;
	struct warm *w = r->warm;

	if (!w || !w->asked)
		return;
	w->asked = false;
	if (k == -EADDRINUSE && ++w->tries < PORT_TRIES) {
		k = give_port(w, e);
		if (k == 0)
			return;
	}
	fd_closep(&w->fds[1]);
	if (k == 0)
		k = exec(w);
	if (k < 0)
		warm_end(r, k);
}

static int give_port(struct warm *w, struct err *e)
{
	struct ipc_ld_ticket m = { .peer = 0, .port = PORT_LAST - w->tries };
	uint8_t buf[16];
	struct wr b = wr_mem(buf, sizeof buf);
	int k;

	if (!w->r->linkd)
		return err_set(e, AE_VM_NOT_RUNNING, "'%s' is not running", w->r->q->name.s);
	w->port = m.port;
	ipc_put_ld_ticket(&b, &m);
	k = peer_request(w->r->linkd, IPC_LD_TICKET, &b, &w->fds[1], 1, granted, w->r, e);
	w->asked = k == 0;
	return k;
}

int warm_run_for(struct run *r, const char *command, uint64_t ms, warm_fn fn, void *arg, struct err *e)
{
	struct warm *w;
	int k;

	if (r->warm)
		return err_set(e, EBUSY, "a program runs already");
	w = xcalloc(1, sizeof *w);
	*w = (struct warm){ .r = r, .fn = fn, .arg = arg, .fds = { -1, -1 } };
	k = str_copy(w->command, sizeof w->command, command);
	if (k == 0 && unix_pair(SOCK_STREAM, w->fds) < 0)
		k = -errno;
	if (k == 0)
		k = fd_nonblock(w->fds[0], true);
	if (k == 0)
		k = give_port(w, e);
	if (k < 0) {
		fd_closep(&w->fds[0]);
		fd_closep(&w->fds[1]);
		free(w);
		return k;
	}
	w->io = ev_io_new(r->d->loop, w->fds[0], EV_READ, on_bytes, w);
	w->limit = ev_timer_new(r->d->loop, on_limit, w);
	ev_timer_start(w->limit, ms);
	r->warm = w;
	return 0;
}

int warm_run(struct run *r, const char *command, warm_fn fn, void *arg, struct err *e)
{
	return warm_run_for(r, command, LIMIT_MS, fn, arg, e);
}
