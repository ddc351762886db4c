/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The reference's wiring, over unix sockets: own sockets of clients, policy asked by this process, calls carried to the target's daemon by
 * this process (route.c). For tests and side-by-side use; the product never runs it.
 */
#include "daemon.h"

#include <sys/socket.h>

#include "background.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "chan/chan.h"
#include "runner.h"

struct direct {
	struct qd *qd;
	struct direct_options o;
	struct runners runners;
	struct chan_req *req;
	struct ev_io *req_io;
	struct ev_timer *startup, *retry;
	char *paths[3]; /* socket and its two links */
	bool was_up;
};

static void remove_sockets(struct direct *d)
{
	struct qd *qd = d->qd;

	if (qd->listen_io) {
		ev_io_free(STEAL_PTR(qd->listen_io));
		fd_closep(&qd->listen_fd);
		for (size_t i = 0; i < ARRAY_SIZE(d->paths); i++)
			(void)unlink(d->paths[i]);
	}
}

static int make_sockets(struct direct *d, struct err *e)
{
	struct qd *qd = d->qd;
	_cleanup_free_ char *base = xasprintf("qrexec.%u", qd->id);
	_cleanup_fd_ int fd = -1;

	/* what an earlier daemon of this domain left is not ours to keep, live or not: the domain is */
	(void)unlink(d->paths[0]);
	fd = unix_listen(d->paths[0], SOCK_STREAM, 0660, e);
	if (fd < 0)
		return fd;
	for (size_t i = 1; i < ARRAY_SIZE(d->paths); i++) {
		(void)unlink(d->paths[i]);
		if (symlink(base, d->paths[i]) < 0)
			return err_errno(e, errno, "making '%s'", d->paths[i]);
	}
	clients_listen(qd, STEAL_FD(fd));
	return 0;
}

static void agent_up(struct qd *qd)
{
	struct direct *d = qd->wired;
	struct err e = { 0 };

	ev_timer_stop(d->startup);
	if (make_sockets(d, &e) < 0) {
		log_error("%s", e.msg);
		ev_stop(qd->loop, 1);
	} else if (d->o.tell_ready && !d->was_up) {
		background_ready();
	}
	d->was_up = true;
}

static void agent_down(struct qd *qd)
{
	clients_end(qd);
	remove_sockets(qd->wired);
}

static void connect_agent(struct qd *qd);

static void on_req(struct ev_io *io, int fd, int events, void *arg)
{
	struct direct *d = arg;
	struct err e = { 0 };
	int r = chan_req_finish(d->req, &e);

	if (r == -EAGAIN)
		return;
	ev_io_free(STEAL_PTR(d->req_io));
	chan_req_free(STEAL_PTR(d->req));
	if (r >= 0) {
		agent_attach(d->qd, r);
		return;
	}
	log_warn("%s", err_text(&e, r));
	ev_timer_start(d->retry, 100);
}

static void connect_agent(struct qd *qd)
{
	struct direct *d = qd->wired;
	struct err e = { 0 };

	d->req = chan_connect_start(NULL, qd->id, CHAN_PORT_QREXEC, &e);
	if (d->req)
		d->req_io = ev_io_new(qd->loop, chan_req_fd(d->req), EV_READ, on_req, d);
	if (d->req_io)
		return;
	log_error("control channel: %s", err_text(&e, -EIO));
	chan_req_free(STEAL_PTR(d->req));
	ev_stop(qd->loop, 3);
}

static void on_retry(struct ev_timer *t, void *arg)
{
	struct direct *d = arg;

	connect_agent(d->qd);
}

static void on_startup(struct ev_timer *t, void *arg)
{
	struct direct *d = arg;

	log_error("the agent did not connect in time");
	ev_stop(d->qd->loop, 3);
}

static int grant(struct qd *qd, struct client *c)
{
	client_granted(c, 0);
	return 0;
}

static int ask(struct qd *qd, const struct request *r, const struct qx_trigger *t, const char *service)
{
	struct direct *d = qd->wired;

	return route_start(qd, &d->o, r, t, service);
}

static void call_done(struct qd *qd, uint32_t peer, uint32_t port)
{
	if (log_rate_ok(&qd->noise, 10, 60))
		log_warn("the agent ended a call that does not run");
}

static const struct wiring direct_wiring = {
	.connect_agent = connect_agent,
	.agent_up = agent_up,
	.agent_down = agent_down,
	.grant = grant,
	.ask = ask,
	.call_done = call_done,
	.foreign = true,
};

int direct_start(struct qd *qd, const struct direct_options *o, struct err *e)
{
	struct direct *d = xcalloc(1, sizeof *d);

	d->qd = qd;
	d->o = *o;
	d->runners = RUNNERS_INIT;
	d->o.runners = &d->runners;
	d->paths[0] = xasprintf("%s/qrexec.%u", o->socket_dir, qd->id);
	d->paths[1] = xasprintf("%s/qrexec.%s", o->socket_dir, qd->name);
	d->paths[2] = xasprintf("%s/qrexec.uuid:%s", o->socket_dir, qd->uuid);
	qd->have_paths = paths_init(NULL, NULL) == 0;
	qd->wired = d;
	qd->wiring = &direct_wiring;
	qd->ports.limit = QX_PORT_N;
	d->startup = ev_timer_new(qd->loop, on_startup, d);
	d->retry = ev_timer_new(qd->loop, on_retry, d);
	if (!getenv("QREXEC_STARTUP_NOWAIT"))
		ev_timer_start(d->startup, background_timeout_s() * 1000);
	connect_agent(qd);
	return 0;
}

void direct_stop(struct qd *qd)
{
	struct direct *d = qd->wired;

	remove_sockets(d);
	runners_fini(&d->runners);
}
