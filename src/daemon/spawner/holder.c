/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The connection to the state-holder, which outlives this process: one that runs already is used, else one is started. Nothing here waits for its
 * answers, since it may have to read a state from disk first.
 */
#include <dirent.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "daemon/spawner/spawner.h"

#define HOLDER_FD_LISTEN 3

struct request {
	TAILQ_ENTRY(request) link;
	uint32_t serial;
	holder_fn fn;
	void *arg;
};

struct holder {
	int fd;
	struct ev_io *ev;
	uint32_t serial;
	TAILQ_HEAD(, request) requests;
};

/* Every open request fails. The next one finds or starts another holder. */
static void lost(struct spawner *s, const char *why)
{
	struct holder *h = STEAL_PTR(s->holder);
	struct err e = { 0 };

	if (!h)
		return;
	err_set(&e, ECONNRESET, "%s", why);
	ev_io_free(h->ev);
	fd_closep(&h->fd);
	while (h->requests.tqh_first) {
		struct request *q = h->requests.tqh_first;

		TAILQ_REMOVE(&h->requests, q, link);
		q->fn(s, NULL, &e, q->arg);
		free(q);
	}
	free(h);
}

static void on_answer(struct spawner *s, struct msg *m)
{
	struct request *q;

	TAILQ_FOREACH(q, &s->holder->requests, link)
		if (q->serial == m->serial)
			break;
	if (!q || !(m->flags & MSG_F_REPLY)) {
		lost(s, "the state-holder breaks its protocol");
		return;
	}
	TAILQ_REMOVE(&s->holder->requests, q, link);
	q->fn(s, m, NULL, q->arg);
	free(q);
}

static void on_holder(struct ev_io *io, int fd, int events, void *arg)
{
	struct spawner *s = arg;
	_cleanup_msg_ struct msg m = { 0 };
	int r = msg_recv(fd, &m);

	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r <= 0)
		lost(s, "the state-holder has ended");
	else
		on_answer(s, &m);
}

static bool any_on_disk(void)
{
	DIR *d = opendir(path_get(PATH_STATES));
	struct dirent *ent;
	bool any = false;

	while (d && !any && (ent = readdir(d)))
		any = ent->d_name[0] != '.';
	if (d)
		closedir(d);
	return any;
}

static int start(struct spawner *s, struct err *e)
{
	const char *argv[] = { "state-holder", "--dir", path_get(PATH_STATES), NULL };
	_cleanup_fd_ int listen = unix_listen_replace(path_get(PATH_HOLDER_SOCK), SOCK_SEQPACKET, 0600, e);
	const struct fd_place place = { listen, HOLDER_FD_LISTEN };
	struct proc p = PROC_INIT;
	int r;

	if (listen < 0)
		return listen;
	r = role_spawn(&p, "state-holder", argv, ID_STATES, &place, 1, log_open("state-holder", NULL, e), e);
	if (r >= 0)
		child_add(s, &p, (uint32_t)p.pid, 0, ROLE_STATE_HOLDER);
	return r;
}

static int connect_holder(struct spawner *s, bool needed, struct err *e)
{
	int fd = unix_connect(path_get(PATH_HOLDER_SOCK), SOCK_SEQPACKET, NULL);
	int r;

	if (fd < 0) {
		if (!needed && !any_on_disk())
			return err_set(e, ENOENT, "there is no such state");
		r = start(s, e);
		if (r < 0)
			return r;
		fd = unix_connect(path_get(PATH_HOLDER_SOCK), SOCK_SEQPACKET, e);
		if (fd < 0)
			return fd;
	}
	s->holder = xcalloc(1, sizeof *s->holder);
	s->holder->fd = fd;
	TAILQ_INIT(&s->holder->requests);
	(void)fd_nonblock(fd, true);
	s->holder->ev = ev_io_new(s->loop, fd, EV_READ, on_holder, s);
	if (s->holder->ev)
		return 0;
	lost(s, "");
	return err_set(e, EBADF, "the state-holder's socket cannot be watched");
}

int holder_request(struct spawner *s, uint32_t type, const struct wr *w, const int *fds, size_t n_fds, holder_fn fn, void *arg, struct err *e)
{
	struct request *q;
	int r = s->holder ? 0 : connect_holder(s, type == IPC_HO_KEEP, e);

	if (r < 0)
		return r;
	r = msg_send(s->holder->fd, type, ++s->holder->serial, 0, w, fds, n_fds);
	if (r < 0) {
		lost(s, "the state-holder does not listen");
		return err_errno(e, -r, "asking the state-holder");
	}
	q = xcalloc(1, sizeof *q);
	*q = (struct request){ .serial = s->holder->serial, .fn = fn, .arg = arg };
	TAILQ_INSERT_TAIL(&s->holder->requests, q, link);
	return 0;
}

void holder_fini(struct spawner *s)
{
	lost(s, "the spawner ends");
}
