/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests of a role on its channel to linkd, matched to their answers by serial. */
#include "chan/lc.h"

#include "base/io.h"
#include "proto/ipc.h"

#define LC_MAX 256

struct lc_pending {
	uint32_t serial; /* 0 = free */
	lc_fn fn;	 /* NULL = forgotten */
	void *arg;
};

struct lc {
	int fd;
	uint32_t last_serial;
	struct lc_pending pending[LC_MAX];
};

struct lc *lc_new(int fd)
{
	struct lc *lc = xcalloc(1, sizeof *lc);

	lc->fd = fd;
	fd_nonblock(fd, true);
	return lc;
}

int lc_fd(const struct lc *lc)
{
	return lc->fd;
}

static int request(struct lc *lc, uint32_t type, const struct wr *w, lc_fn fn, void *arg)
{
	int r;

	for (size_t i = 0; i < LC_MAX; i++) {
		struct lc_pending *p = &lc->pending[i];

		if (p->serial)
			continue;
		lc->last_serial = lc->last_serial % INT32_MAX + 1;
		r = msg_send(lc->fd, type, lc->last_serial, 0, w, NULL, 0);
		if (r < 0)
			return r;
		*p = (struct lc_pending){ .serial = lc->last_serial, .fn = fn, .arg = arg };
		return (int)p->serial;
	}
	return -EBUSY;
}

int lc_connect(struct lc *lc, uint32_t port, lc_fn fn, void *arg)
{
	struct ipc_lc_connect m = { .port = port };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_lc_connect(&w, &m);
	return request(lc, IPC_LC_CONNECT, &w, fn, arg);
}

int lc_grant(struct lc *lc, uint32_t port, lc_fn fn, void *arg)
{
	struct ipc_lc_grant m = { .port = port };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_lc_grant(&w, &m);
	return request(lc, IPC_LC_GRANT, &w, fn, arg);
}

static int answer(struct lc *lc, struct msg *m, struct err *e)
{
	struct lc_pending *p = NULL, done;
	struct err why = { 0 };
	int code = ipc_reply_err(m, &why), fd = -1;

	for (size_t i = 0; i < LC_MAX && !p; i++)
		if (m->serial && lc->pending[i].serial == m->serial)
			p = &lc->pending[i];
	if (!p || !(m->flags & MSG_F_REPLY))
		return err_set(e, EPROTO, "linkd sent %s without a request", ipc_type_name(m->type));
	done = *p;
	*p = (struct lc_pending){ 0 };
	if (code == 0 && m->n_fds) {
		fd_nonblock(m->fds[0], true);
		fd = STEAL_FD(m->fds[0]);
	}
	if (done.fn)
		done.fn(fd, code, err_text(&why, code), done.arg);
	else
		fd_closep(&fd);
	return 0;
}

int lc_dispatch(struct lc *lc, struct err *e)
{
	/* Bounded: a busy linkd must not keep the role from its other descriptors. */
	for (int i = 0; i < 32; i++) {
		_cleanup_msg_ struct msg m = { 0 };
		int r = msg_recv(lc->fd, &m);

		if (r == -EAGAIN)
			return 0;
		if (r == 0)
			return err_set(e, ECONNRESET, "linkd has gone");
		if (r < 0)
			return err_errno(e, -r, "channel to linkd");
		r = answer(lc, &m, e);
		if (r < 0)
			return r;
	}
	return 0;
}
