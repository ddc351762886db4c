/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls that policyd makes in a GUI domain: questions and notices for the user who sits there. The core makes the channel and orders both sides; the bytes
 * go from a confined process of that qube's identity straight to policyd and are never seen here. Whatever fails closes policyd's stream, which is a refusal.
 */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/run.h"

#define PORT_LAST 768u /* calls that dom0's clients start are numbered from the other end */
#define PORT_N 128u
#define PORT_TRIES 8u

struct gui_call {
	struct qd *d;
	struct ipc_pd_call m;
	uint32_t qid, port;
	unsigned tries;
	int data, stream; /* the runner's ends: of the data channel, and policyd's */
};

static void grant(struct gui_call *g);

static void drop(struct gui_call *g, const char *why)
{
	if (why)
		log_warn("%s in %s: %s", g->m.service, g->m.guivm, why);
	fd_closep(&g->data);
	fd_closep(&g->stream);
	free(g);
}

/* The qube's qid may have gone to another one while we waited. */
static struct run *target(const struct gui_call *g)
{
	struct run *r = run_find(g->d, g->qid);

	return r && streq(r->q->name.s, g->m.guivm) && r->linkd && r->qrexec && r->phase == PH_UP && r->q->state == LIFE_RUNNING ? r : NULL;
}

static void runner_started(void *arg, int k, struct msg *m, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(4096);
	struct gui_call *g = arg;
	struct run *r = target(g);
	struct ipc_qd_exec *x;

	if (k < 0 || !r) {
		drop(g, k < 0 ? err_text(e, k) : "it does not run any more");
		return;
	}
	x = xcalloc(1, sizeof *x);
	x->port = g->port;
	k = str_printf(x->command, sizeof x->command, "DEFAULT:QUBESRPC %s+ dom0", g->m.service);
	ipc_put_qd_exec(&w, x);
	free(x);
	if (k == 0)
		k = peer_send(r->qrexec, IPC_QD_EXEC, &w, NULL, 0);
	drop(g, k < 0 ? strerror(-k) : NULL);
}

static void granted(void *arg, int k, struct msg *m, struct err *e)
{
	struct gui_call *g = arg;
	struct ipc_sp_call q = { .qid = g->qid };
	int fds[2] = { g->data, g->stream };
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);

	if (k == -EADDRINUSE && ++g->tries < PORT_TRIES) {
		fd_closep(&g->data);
		grant(g);
		return;
	}
	if (k >= 0) {
		memcpy(q.name, g->m.guivm, sizeof q.name);
		ipc_put_sp_call(&w, &q);
		k = peer_request(g->d->spawner, IPC_SP_CALL, &w, fds, 2, runner_started, g, e);
	}
	if (k < 0)
		drop(g, err_text(e, k));
}

static void grant(struct gui_call *g)
{
	struct run *r = target(g);
	struct ipc_ld_ticket m = { 0 };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);
	struct err e = { 0 };
	int pair[2], k;

	if (!r || unix_pair(SOCK_STREAM, pair) < 0) {
		drop(g, "it does not run");
		return;
	}
	g->data = pair[0];
	g->port = PORT_LAST - g->d->runs->next_port++ % PORT_N;
	m.port = g->port;
	ipc_put_ld_ticket(&w, &m);
	k = peer_request(r->linkd, IPC_LD_TICKET, &w, &pair[1], 1, granted, g, &e);
	close(pair[1]);
	if (k < 0)
		drop(g, err_text(&e, k));
}

void run_gui_call(struct qd *d, struct msg *m)
{
	struct gui_call *g = xcalloc(1, sizeof *g);
	struct rd rd = msg_rd(m);
	const struct qube *q;

	*g = (struct gui_call){ .d = d, .data = -1, .stream = -1 };
	if (ipc_get_pd_call(&rd, &g->m) < 0 || !rd_done(&rd) || m->n_fds != 1 || (!streq(g->m.service, "policy.Ask") && !streq(g->m.service, "policy.Notify"))) {
		log_error("policyd: malformed call");
		free(g);
		return;
	}
	g->stream = STEAL_FD(m->fds[0]);
	q = qube_find(d->core, g->m.guivm);
	if (!q || q->klass == K_ADMIN || q->klass == K_REMOTE) {
		drop(g, "there is no such qube");
		return;
	}
	g->qid = q->qid;
	grant(g);
}
