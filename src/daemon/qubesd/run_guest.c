/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A call that dom0 itself makes in a running qube: a service gets a few bytes and answers by its exit code. What comes back is the guest's:
 * of it this file looks at lengths and kinds of messages, the exit code, and the first line of the error output, which is cut and escaped.
 */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/run.h"
#include "proto/qrexec.h"

#define PORT_LAST 768u /* calls that dom0's clients start are numbered from the other end */
#define PORT_TRIES 8u
#define LIMIT_MS 120000
#define BUF_MAX (QX_CHUNK + 64)

struct guest_call {
	struct qd *d;
	uint32_t qid, port;
	unsigned tries;
	char *command, *input;
	guest_fn fn;
	void *arg;
	int fd; /* our end; -1 until it is joined */
	struct ev_io *io;
	struct ev_timer *limit;
	bool hello;
	uint8_t *buf;
	size_t n;
	char said[160]; /* first bytes of stderr */
	size_t n_said;
};

static void grant(struct guest_call *g);

static void end(struct guest_call *g, int r, const char *why)
{
	guest_fn fn = g->fn;
	void *arg = g->arg;
	char text[2 * sizeof g->said];

	g->said[strcspn(g->said, "\r\n")] = '\0';
	(void)str_escape(text, sizeof text, g->said, strlen(g->said));
	ev_io_free(g->io);
	ev_timer_free(g->limit);
	fd_closep(&g->fd);
	free(g->command);
	free(g->input);
	free(g->buf);
	free(g);
	fn(arg, r, r == 0 || !text[0] ? why : text);
}

static void on_limit(struct ev_timer *t, void *arg)
{
	end(arg, -ETIMEDOUT, "the qube did not answer in time");
}

static void keep_said(struct guest_call *g, const struct qx_frame *f)
{
	struct rd body = f->body;
	size_t n = MIN(rd_left(&body), sizeof g->said - 1 - g->n_said);

	memcpy(g->said + g->n_said, body.p, n);
	g->n_said += n;
	g->said[g->n_said] = '\0';
}

/* True while more is to come. */
static bool on_frame(struct guest_call *g, const struct qx_frame *f)
{
	struct rd body = f->body;
	uint32_t code;

	if (!g->hello) {
		g->hello = f->type == QX_HELLO && qx_get_hello(f->body, &code) == 0 && code >= QX_VERSION_MIN;
		if (!g->hello)
			end(g, -EPROTO, "the qube broke the protocol of the call");
		return g->hello;
	}
	if (f->type == QX_DATA_STDERR)
		keep_said(g, f);
	if (f->type != QX_DATA_EXIT_CODE)
		return true;
	code = rd_u32le(&body);
	if (!rd_done(&body))
		end(g, -EPROTO, "the qube broke the protocol of the call");
	else
		end(g, code ? -EIO : 0, code ? "the service failed" : "");
	return false;
}

static void on_data(struct ev_io *io, int fd, int events, void *arg)
{
	struct guest_call *g = arg;
	ssize_t k = recv(fd, g->buf + g->n, BUF_MAX - g->n, MSG_DONTWAIT);

	if (k < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (k <= 0) {
		end(g, -ECONNRESET, "the qube ended the call");
		return;
	}
	g->n += (size_t)k;
	for (;;) {
		struct qx_frame f;
		int r = qx_frame(&f, g->buf, g->n, QX_CHUNK);

		if (r < 0) {
			end(g, r, "the qube broke the protocol of the call");
			return;
		}
		if (r == 0)
			return;
		if (!on_frame(g, &f))
			return;
		g->n -= f.size;
		memmove(g->buf, g->buf + f.size, g->n);
	}
}

/* HELLO and the whole input fit into any socket's buffer: nothing waits here. */
static int say(struct guest_call *g)
{
	_cleanup_wr_ struct wr w = wr_grow(1024);

	qx_put_hdr(&w, QX_HELLO, 4);
	wr_u32le(&w, QX_VERSION);
	qx_put_hdr(&w, QX_DATA_STDIN, (uint32_t)strlen(g->input));
	wr_str(&w, g->input);
	qx_put_hdr(&w, QX_DATA_STDIN, 0);
	if (!wr_ok(&w))
		return -EMSGSIZE;
	return send(g->fd, w.buf, w.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)w.len ? 0 : -EPIPE;
}

static void granted(void *arg, int k, struct msg *m, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(4096);
	struct guest_call *g = arg;
	struct run *r = run_find(g->d, g->qid);
	struct ipc_qd_exec *x;
	int n;

	if (k == -EADDRINUSE && ++g->tries < PORT_TRIES) {
		fd_closep(&g->fd);
		grant(g);
		return;
	}
	if (k < 0 || !r || !r->qrexec) {
		end(g, k < 0 ? k : -ESRCH, k < 0 ? err_text(e, k) : "the qube has gone");
		return;
	}
	x = xcalloc(1, sizeof *x);
	x->port = g->port;
	n = str_copy(x->command, sizeof x->command, g->command);
	ipc_put_qd_exec(&w, x);
	free(x);
	if (n == 0)
		n = peer_send(r->qrexec, IPC_QD_EXEC, &w, NULL, 0);
	if (n == 0)
		n = say(g);
	if (n < 0) {
		end(g, n, strerror(-n));
		return;
	}
	g->io = ev_io_new(g->d->loop, g->fd, EV_READ, on_data, g);
	g->limit = ev_timer_new(g->d->loop, on_limit, g);
	ev_timer_start(g->limit, LIMIT_MS);
}

/* Joins one end of a new stream with the channel that the guest will open to dom0. */
static void grant(struct guest_call *g)
{
	struct run *r = run_find(g->d, g->qid);
	struct ipc_ld_ticket m = { 0 };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);
	struct err e = { 0 };
	int pair[2], k;

	if (!r || !r->linkd || unix_pair(SOCK_STREAM, pair) < 0) {
		end(g, -ESRCH, "the qube has gone");
		return;
	}
	g->fd = pair[0];
	g->port = PORT_LAST - r->d->runs->next_port++ % 64;
	m.port = g->port;
	ipc_put_ld_ticket(&w, &m);
	k = fd_nonblock(g->fd, true);
	if (k == 0)
		k = peer_request(r->linkd, IPC_LD_TICKET, &w, &pair[1], 1, granted, g, &e);
	close(pair[1]);
	if (k < 0)
		end(g, k, err_text(&e, k));
}

int run_guest_service(struct run *r, const char *service, const char *user, const char *input, guest_fn fn, void *arg, struct err *e)
{
	struct guest_call *g;

	if (!r->qrexec || !r->linkd || !r->agent_up)
		return err_set(e, AE_VM_NOT_RUNNING, "'%s' has no qrexec agent that could be called", r->q->name.s);
	g = xcalloc(1, sizeof *g);
	*g = (struct guest_call){ .d = r->d, .qid = r->q->qid, .fn = fn, .arg = arg, .fd = -1, .buf = xmalloc(BUF_MAX),
				  .command = xasprintf("%s:QUBESRPC %s+ dom0", user, service), .input = xstrdup(input) };
	/* told with the next commit: who calls may have a change of its own open */
	event(r->d->core, r->q, "domain-cmd-pre-run", "start_guid", "False", NULL);
	grant(g);
	return 0;
}
