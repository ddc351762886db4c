/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Channels to other processes of ours. */
#include "daemon/qubesd/peer.h"

#include <fcntl.h>

#include "base/io.h"
#include "base/log.h"

#define OUT_MAX 1024

struct peer_wait {
	struct peer_wait *next;
	uint32_t serial, type;
	peer_reply_fn fn;
	void *arg;
};

struct peer_out {
	struct peer_out *next;
	uint32_t type, serial;
	struct wr w;
	int fds[MSG_FDS_MAX];
	size_t n_fds;
};

static void out_free(struct peer_out *o)
{
	for (size_t i = 0; i < o->n_fds; i++)
		close(o->fds[i]);
	wr_free(&o->w);
	free(o);
}

/* True when the queue is empty afterwards. */
static bool flush(struct peer *p)
{
	while (p->out) {
		struct peer_out *o = p->out;
		int r = msg_send(p->fd, o->type, o->serial, 0, &o->w, o->fds, o->n_fds);

		if (r == -EAGAIN)
			return false;
		if (r < 0 && r != -EPIPE)
			log_warn("%s: sending %s: %s", p->what, ipc_type_name(o->type), strerror(-r));
		p->out = o->next;
		p->n_out--;
		out_free(o);
	}
	p->out_tail = &p->out;
	return true;
}

static int enqueue(struct peer *p, uint32_t type, uint32_t serial, const struct wr *w, const int *fds, size_t n)
{
	struct peer_out *o;

	if (p->n_out >= OUT_MAX)
		return -ENOBUFS;
	o = xcalloc(1, sizeof *o);
	*o = (struct peer_out){ .type = type, .serial = serial, .w = wr_grow(MSG_PAYLOAD_MAX) };
	if (w)
		wr_bytes(&o->w, w->buf, w->len);
	for (size_t i = 0; i < n; i++) {
		o->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (o->fds[i] < 0) {
			out_free(o);
			return -EMFILE;
		}
		o->n_fds++;
	}
	*p->out_tail = o;
	p->out_tail = &o->next;
	p->n_out++;
	ev_io_set(p->io, EV_READ | EV_WRITE);
	return 0;
}

static int put(struct peer *p, uint32_t type, uint32_t serial, const struct wr *w, const int *fds, size_t n)
{
	int r;

	if (p->dead)
		return -EPIPE;
	if (w && !wr_ok(w))
		return -EMSGSIZE;
	r = p->out ? -EAGAIN : msg_send(p->fd, type, serial, 0, w, fds, n);
	return r == -EAGAIN ? enqueue(p, type, serial, w, fds, n) : r;
}

int peer_send(struct peer *p, uint32_t type, const struct wr *w, const int *fds, size_t n_fds)
{
	return put(p, type, 0, w, fds, n_fds);
}

int peer_request(struct peer *p, uint32_t type, const struct wr *w, const int *fds, size_t n_fds, peer_reply_fn fn, void *arg,
		 struct err *e)
{
	struct peer_wait *x;
	uint32_t serial = ++p->serial ? p->serial : ++p->serial; /* 0 is for messages without a reply */
	int r = put(p, type, serial, w, fds, n_fds);

	if (r < 0)
		return err_errno(e, -r, "%s: sending %s", p->what, ipc_type_name(type));
	x = xcalloc(1, sizeof *x);
	*x = (struct peer_wait){ .next = p->waits, .serial = serial, .type = type, .fn = fn, .arg = arg };
	p->waits = x;
	return 0;
}

static void on_reply(struct peer *p, struct msg *m)
{
	struct peer_wait **at = &p->waits, *x;
	struct err e = { 0 };
	int r;

	while (*at && (*at)->serial != m->serial)
		at = &(*at)->next;
	x = *at;
	if (!x) {
		log_warn("%s: reply to nothing: %s", p->what, ipc_type_name(m->type));
		return;
	}
	*at = x->next;
	r = ipc_reply_err(m, &e);
	if (x->fn)
		x->fn(x->arg, r, m, &e);
	else if (r < 0)
		log_warn("%s: %s: %s", p->what, ipc_type_name(m->type), err_text(&e, r));
	free(x);
}

static void fail_waits(struct peer *p)
{
	while (p->waits) {
		struct peer_wait *x = p->waits;
		struct err e = { 0 };
		int r = err_set(&e, EPIPE, "%s ended", p->what);

		p->waits = x->next;
		if (x->fn)
			x->fn(x->arg, r, NULL, &e);
		free(x);
	}
}

/* A callback may free the peer that it is called for: the memory goes when the last of them has returned. */
static void enter(struct peer *p)
{
	p->busy++;
}

static void leave(struct peer *p)
{
	if (--p->busy == 0 && p->doomed)
		free(p);
}

static void on_ready(struct ev_io *io, int fd, int events, void *arg)
{
	struct peer *p = arg;

	enter(p);
	if (events & EV_WRITE && flush(p))
		ev_io_set(p->io, EV_READ);
	for (int i = 0; i < 64 && !p->doomed; i++) {
		_cleanup_msg_ struct msg m = { 0 };
		int r = msg_recv(fd, &m);

		if (r == -EAGAIN || r == -EINTR)
			break;
		if (r > 0 && m.flags & MSG_F_REPLY) {
			on_reply(p, &m);
		} else if (r > 0) {
			p->ops->msg(p, &m);
		} else {
			if (r < 0)
				log_warn("%s: %s", p->what, strerror(-r));
			p->dead = true;
			ev_io_set(p->io, 0);
			fail_waits(p);
			if (!p->doomed)
				p->ops->gone(p);
			break;
		}
	}
	leave(p);
}

struct peer *peer_new(struct ev_loop *l, int fd, const struct peer_ops *ops, void *arg, const char *what)
{
	struct peer *p = xcalloc(1, sizeof *p);

	*p = (struct peer){ .loop = l, .fd = fd, .ops = ops, .arg = arg, .what = what };
	p->out_tail = &p->out;
	(void)fd_nonblock(fd, true);
	p->io = ev_io_new(l, fd, EV_READ, on_ready, p);
	if (!p->io) {
		close(fd);
		free(p);
		return NULL;
	}
	return p;
}

void peer_free(struct peer *p)
{
	if (!p || p->doomed)
		return;
	enter(p);
	p->doomed = p->dead = true;
	fail_waits(p);
	while (p->out) {
		struct peer_out *o = p->out;

		p->out = o->next;
		out_free(o);
	}
	ev_io_free(STEAL_PTR(p->io));
	close(STEAL_FD(p->fd));
	leave(p);
}
