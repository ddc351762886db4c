/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The trigger socket: any program of the qube may ask for a call. */
#include "agent.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#define REQUEST_MAX (QX_HDR_LEN + QX_CONTROL_MSG_MAX)

static void client_free(struct client *c)
{
	TAILQ_REMOVE(&c->agent->clients, c, link);
	c->agent->n_clients--;
	chan_stream_free(c->stream);
	free(c);
}

static void ident_text(char out[QX_IDENT_LEN], uint32_t id)
{
	memset(out, 0, QX_IDENT_LEN);
	(void)!str_printf(out, QX_IDENT_LEN, "SOCKET%u", id);
}

/* Ids are never 0 and not used twice at a time: the answer of a slow daemon must not reach another client. */
static uint32_t new_id(struct agent *a)
{
	struct client *c;

	for (;;) {
		if (++a->next_id == 0)
			continue;
		TAILQ_FOREACH(c, &a->clients, link)
			if (c->id == a->next_id)
				break;
		if (!c)
			return a->next_id;
	}
}

/* The message goes on as it is but for the ident, which is ours. */
static int forward(struct client *c, const struct qx_frame *f)
{
	_cleanup_wr_ struct wr w = wr_grow(REQUEST_MAX);
	struct rd r = f->body;
	char ident[QX_IDENT_LEN];
	const uint8_t *names, *service;
	size_t n;

	names = rd_view(&r, 2 * QX_NAME_LEN);
	rd_skip(&r, QX_IDENT_LEN);
	n = rd_left(&r);
	service = rd_view(&r, n);
	if (!names || !service || !rd_done(&r))
		return -EBADMSG;
	c->id = new_id(c->agent);
	ident_text(ident, c->id);
	qx_put_hdr(&w, QX_TRIGGER_SERVICE4, (uint32_t)(2 * QX_NAME_LEN + QX_IDENT_LEN + n));
	wr_bytes(&w, names, 2 * QX_NAME_LEN);
	wr_bytes(&w, ident, sizeof ident);
	wr_bytes(&w, service, n);
	if (!wr_ok(&w))
		return -EBADMSG;
	control_send(c->agent, &w);
	return 0;
}

static ssize_t client_data(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	struct client *c = arg;
	struct qx_frame f;
	int r;

	if (c->id)
		return -EBADMSG; /* one request a connection */
	r = qx_frame(&f, p, n, QX_CONTROL_MSG_MAX);
	if (r <= 0)
		return r;
	r = f.type == QX_TRIGGER_SERVICE4 ? forward(c, &f) : -EBADMSG;
	return r < 0 ? r : (ssize_t)f.size;
}

static void client_closed(struct chan_stream *s, int code, void *arg)
{
	client_free(arg);
}

static const struct chan_stream_ops client_ops = { .data = client_data, .closed = client_closed };

static void on_accept(struct ev_io *io, int fd, int events, void *arg)
{
	_cleanup_fd_ int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct agent *a = arg;
	struct client *c;

	/* over the limit: closing means "refused" */
	if (got < 0 || a->n_clients >= CLIENTS_MAX)
		return;
	c = xcalloc(1, sizeof *c);
	c->agent = a;
	c->stream = chan_stream_new(a->loop, got, REQUEST_MAX, 4096, &client_ops, c);
	if (!c->stream) {
		free(c);
		return;
	}
	(void)STEAL_FD(got);
	if (!a->up)
		chan_stream_pause(c->stream, true);
	TAILQ_INSERT_TAIL(&a->clients, c, link);
	a->n_clients++;
}

void trigger_answer(struct agent *a, const uint8_t ident[QX_IDENT_LEN], const struct qx_connect *place)
{
	char expected[QX_IDENT_LEN];
	uint8_t buf[QX_PARAMS_LEN];
	struct wr w = wr_mem(buf, sizeof buf);
	struct client *c;

	TAILQ_FOREACH(c, &a->clients, link) {
		if (!c->id)
			continue;
		ident_text(expected, c->id);
		if (memcmp(expected, ident, sizeof expected) == 0)
			break;
	}
	if (!c) {
		/* the client has gone meanwhile */
		log_debug("answer for an unknown request");
		return;
	}
	if (place) {
		wr_u32le(&w, place->domain);
		wr_u32le(&w, place->port);
		(void)chan_stream_send(c->stream, w.buf, w.len);
	}
	client_free(c);
}

void trigger_hold(struct agent *a, bool on)
{
	struct client *c;

	TAILQ_FOREACH(c, &a->clients, link)
		chan_stream_pause(c->stream, on && !c->id);
}

void trigger_drop(struct agent *a)
{
	struct client *c, *next;

	for (c = TAILQ_FIRST(&a->clients); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->id)
			client_free(c);
	}
}

int trigger_start(struct agent *a, struct err *e)
{
	_cleanup_free_ char *dir = xstrdup(a->trigger_path);
	char *slash = strrchr(dir, '/');
	int r;

	if (slash && slash != dir) {
		*slash = 0;
		r = fs_mkdir_p(dir, 0755, e);
		if (r < 0)
			return r;
	}
	/* every user of the qube may ask; dom0 decides */
	a->trigger_fd = unix_listen(a->trigger_path, SOCK_STREAM, 0777, e);
	if (a->trigger_fd < 0)
		return a->trigger_fd;
	a->trigger_io = ev_io_new(a->loop, a->trigger_fd, EV_READ, on_accept, a);
	return a->trigger_io ? 0 : err_set(e, EIO, "cannot watch '%s'", a->trigger_path);
}
