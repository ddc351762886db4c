/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An allowed call: from policyd's ticket to two joined streams. The target is made or started when that was allowed too; then each linkd gets
 * one end of a socketpair, and only when both have it the daemons are told to go on. Any failure refuses the call.
 */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/run.h"
#include "proto/appmenu.h"

#define PORT_FIRST 513u
#define PORT_N 256u
#define PORT_TRIES 8u

struct ticket {
	struct runs *rs;
	struct ipc_pd_ticket t;
	char target[QNAME_MAX + 1]; /* "" = dom0 */
	uint32_t target_qid, port;
	bool dispose;
	unsigned tries, open; /* replies that are awaited */
	int failed;
	int fds[2]; /* source's end, target's end */
	struct trace trace;
};

static void grant(struct ticket *k);

static void ticket_free(struct ticket *k)
{
	fd_closep(&k->fds[0]);
	fd_closep(&k->fds[1]);
	free(k);
}

/* What of the call logs may hold: of one to a RAM-only disposable not the service's argument, which can be a command line. */
static const struct ipc_pd_ticket *for_logs(const struct ticket *k)
{
	static struct ipc_pd_ticket t;
	const struct core *c = k->rs->d->core;
	const struct qube *q = qube_find(c, k->target[0] ? k->target : str_starts(k->t.target, "@dispvm:") ? k->t.target + strlen("@dispvm:") : "dom0");

	t = k->t;
	if (q && qube_ram_only(c, q))
		t.service[strcspn(t.service, "+")] = '\0';
	return &t;
}

/* The call goes on without us. */
static void done(struct ticket *k)
{
	k->trace.connected_us = now_us();
	/* policyd may have been heard before the daemon */
	if (!k->trace.asked_us)
		k->trace.asked_us = trace_when_asked(k->t.source_qid, k->t.request);
	trace_running(&k->trace, for_logs(k), k->target, k->target_qid, k->port);
	ticket_free(k);
}

static struct run *source_of(struct ticket *k)
{
	struct run *r = run_find(k->rs->d, k->t.source_qid);

	return r && streq(r->q->name.s, k->t.source) && r->qrexec && r->linkd ? r : NULL;
}

static void refuse(struct ticket *k, const char *why)
{
	struct ipc_qd_refuse m = { .request = k->t.request };
	struct run *src = source_of(k);
	struct qube *made = k->dispose ? qube_find(k->rs->d->core, k->target) : NULL;
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);

	log_warn("call %s from %s to %s failed: %s", log_escs(for_logs(k)->service), k->t.source, log_escs(k->t.target), why);
	trace_failed(&k->trace, for_logs(k), k->target, why);
	ipc_put_qd_refuse(&w, &m);
	if (src)
		(void)peer_send(src->qrexec, IPC_QD_REFUSE, &w, NULL, 0);
	/* also one that could not even begin to start */
	if (made)
		run_disp_end(k->rs->d, made, "its call failed");
	ticket_free(k);
}

/* Who the service sees as its caller: the qube, or the remote one that policy let it speak for. */
static const char *caller_of(const struct ticket *k)
{
	return k->t.policy_source[0] ? k->t.policy_source : k->t.source;
}

static const char *service(const struct ticket *k, char out[1100])
{
	bool plus = strchr(k->t.service, '+') != NULL;

	return str_printf(out, 1100, "%s%s", k->t.service, plus ? "" : "+") < 0 ? "" : out;
}

static bool connect_source(struct ticket *k, struct run *src)
{
	struct ipc_qd_connect m = { .request = k->t.request, .domain = k->target_qid, .port = k->port };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_qd_connect(&w, &m);
	return peer_send(src->qrexec, IPC_QD_CONNECT, &w, NULL, 0) == 0;
}

static void run_in_target(struct ticket *k, struct run *src)
{
	_cleanup_wr_ struct wr w = wr_grow(4096);
	struct ipc_qd_exec *m = xcalloc(1, sizeof *m);
	_cleanup_free_ struct ipc_qd_exec *own = m;
	struct run *target = run_find(k->rs->d, k->target_qid);
	char svc[1100];
	int r;

	m->domain = k->t.source_qid;
	m->port = k->port;
	r = str_printf(m->command, sizeof m->command, "%s:QUBESRPC %s %s", k->t.user, service(k, svc), caller_of(k));
	ipc_put_qd_exec(&w, m);
	if (r < 0 || !target || !target->qrexec) {
		refuse(k, r < 0 ? "the command is too long" : "the target is gone");
		return;
	}
	if (k->dispose && k->t.keep) {
		log_info("disposable %s stays after the call of %s from %s", k->target, log_escs(for_logs(k)->service), k->t.source);
	} else if (k->dispose) {
		target->dispose = true;
		target->dispose_peer = k->t.source_qid;
		target->dispose_port = k->port;
		run_save(target);
	}
	if (peer_send(target->qrexec, IPC_QD_EXEC, &w, NULL, 0) < 0 || !connect_source(k, src)) {
		refuse(k, "a daemon does not take its messages");
		return;
	}
	done(k);
}

static void runner_started(void *arg, int r, struct msg *m, struct err *e)
{
	struct ticket *k = arg;
	struct run *src = source_of(k);

	if (r < 0 || !src)
		refuse(k, r < 0 ? err_text(e, r) : "the source is gone");
	else if (!connect_source(k, src))
		refuse(k, "the source's daemon does not take its messages");
	else
		done(k);
}

/* Is it a call that the core answers itself? Some methods of the Admin API are programs when a qube calls them. */
static bool is_admin(const char *text)
{
	char name[96];
	size_t n = strcspn(text, "+");
	const struct method *m;

	if (n >= sizeof name || !str_starts(text, "admin."))
		return false;
	memcpy(name, text, n);
	name[n] = '\0';
	m = method_find(name);
	return m && m->socket & SOCK_ADMIN && !(m->flags & MF_PROGRAM);
}

/* One end stays here, with the caller's name written by us; the other one is for the program that passes bytes on. Gives the latter. */
static int open_admin(struct ticket *k, struct err *e)
{
	int pair[2], r;

	if (unix_pair(SOCK_STREAM, pair) < 0)
		return err_errno(e, errno, "socketpair");
	r = fd_nonblock(pair[0], true);
	if (r < 0)
		close(pair[0]);
	else
		r = server_adopt(k->rs->d->server, pair[0], k->t.service, caller_of(k), k->t.requested_target, e);
	if (r < 0) {
		close(pair[1]);
		return r;
	}
	return pair[1];
}

static void run_in_dom0(struct ticket *k)
{
	_cleanup_wr_ struct wr w = wr_grow(4096);
	struct ipc_sp_dom0_service *m = xcalloc(1, sizeof *m);
	_cleanup_free_ struct ipc_sp_dom0_service *own = m;
	bool keyword = k->t.requested_target[0] == '@';
	const char *wanted = k->t.requested_target + (keyword ? 1 : 0);
	char svc[1100];
	struct err e = { 0 };
	_cleanup_fd_ int theirs = -1;
	int fds[2] = { k->fds[1], -1 }, r = str_copy(m->service, sizeof m->service, service(k, svc));

	if (r == 0)
		r = str_copy(m->source, sizeof m->source, caller_of(k));
	m->source_qid = k->t.source_qid;
	memcpy(m->user, k->t.user, sizeof m->user);
	(void)!str_copy(m->target_type, sizeof m->target_type, keyword ? "keyword" : "name");
	(void)!str_copy(m->target, sizeof m->target, wanted);
	ipc_put_sp_dom0_service(&w, m);
	if (r == 0 && is_admin(k->t.service)) {
		r = open_admin(k, &e);
		theirs = fds[1] = r;
	}
	if (r >= 0)
		r = peer_request(k->rs->d->spawner, IPC_SP_DOM0_SERVICE, &w, fds, fds[1] >= 0 ? 2 : 1, runner_started, k, &e);
	if (r < 0)
		refuse(k, err_text(&e, r));
	else
		fd_closep(&k->fds[1]);
}

static void granted(void *arg, int r, struct msg *m, struct err *e)
{
	struct ticket *k = arg;
	struct run *src = source_of(k);

	if (r < 0)
		k->failed = r;
	if (--k->open)
		return;
	fd_closep(&k->fds[0]);
	if (k->target[0])
		fd_closep(&k->fds[1]);
	if (!src) {
		refuse(k, "the source is gone");
	} else if (k->failed == -EADDRINUSE && ++k->tries < PORT_TRIES) {
		fd_closep(&k->fds[1]);
		grant(k);
	} else if (k->failed < 0) {
		refuse(k, strerror(-k->failed));
	} else if (k->target[0]) {
		run_in_target(k, src);
	} else {
		run_in_dom0(k);
	}
}

static int grant_one(struct ticket *k, struct run *r, uint32_t peer, int fd, bool guest_listens, struct err *e)
{
	struct ipc_ld_ticket m = { .peer = peer, .port = k->port, .guest_listens = guest_listens };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);
	int n;

	ipc_put_ld_ticket(&w, &m);
	n = peer_request(r->linkd, IPC_LD_TICKET, &w, &fd, 1, granted, k, e);
	if (n == 0)
		k->open++;
	return n;
}

/* Ports go round, so that one is used again only after all others; what is still in use is refused by linkd and the next one taken. Calls
   that dom0 starts are numbered from the low end by the qube's daemon, so calls to dom0 come from the high end. */
static uint32_t pick_port(struct ticket *k)
{
	uint32_t n = k->rs->next_port++ % PORT_N;

	return k->target[0] ? PORT_FIRST + n : PORT_FIRST + PORT_N - 1 - n % (PORT_N / 2);
}

static void grant(struct ticket *k)
{
	struct run *src = source_of(k), *target = k->target[0] ? run_find(k->rs->d, k->target_qid) : NULL;
	struct err e = { 0 };
	int r;

	if (!src || (k->target[0] && (!target || !target->linkd || !target->qrexec || target->phase != PH_UP))) {
		refuse(k, src ? "the target does not run" : "the source is gone");
		return;
	}
	k->failed = 0;
	if (!k->trace.started_us)
		k->trace.started_us = now_us();
	k->port = pick_port(k);
	if (unix_pair(SOCK_STREAM, k->fds) < 0) {
		refuse(k, strerror(errno));
		return;
	}
	r = grant_one(k, src, k->target_qid, k->fds[0], true, &e);
	if (r == 0 && target) {
		r = grant_one(k, target, k->t.source_qid, k->fds[1], false, &e);
		if (r < 0)
			k->failed = r; /* the source's answer is still to come */
		return;
	}
	if (r < 0)
		refuse(k, err_text(&e, r));
}

static void target_started(struct call *c)
{
	struct ticket *k = c->conn;
	int r = c->result;
	struct err e = c->err;

	call_free(c);
	if (r < 0)
		refuse(k, err_text(&e, r));
	else
		grant(k);
}

/* The target is a qube by now: running, or to be started. */
static void use_target(struct ticket *k)
{
	struct qube *q = qube_find(k->rs->d->core, k->target);

	if (!q || q->klass == K_ADMIN || q->klass == K_REMOTE) {
		refuse(k, "there is no such qube to run it in");
		return;
	}
	memcpy(k->target, q->name.s, sizeof k->target);
	k->target_qid = q->qid;
	if (q->state == LIFE_RUNNING)
		grant(k);
	else if (q->state == LIFE_PAUSED || q->state == LIFE_SUSPENDED)
		refuse(k, "the target is paused");
	else if (!k->t.autostart && !k->dispose)
		refuse(k, "the target does not run and may not be started for it");
	else
		internal_call(k->rs->d, "admin.vm.Start", NULL, "dom0", k->target, target_started, k);
}

static void disposable_made(struct call *c)
{
	struct ticket *k = c->conn;
	struct err e = c->err;
	int r = c->result;
	struct rd rd = rd_mem(c->out.buf, c->out.len);

	rd_text(&rd, k->target, sizeof k->target);
	call_free(c);
	if (r < 0 || !rd_done(&rd)) {
		refuse(k, err_text(&e, r));
		return;
	}
	k->dispose = true;
	use_target(k);
}

/* One that has the program of the call open already, if there is. */
static void disposable_for(struct ticket *k, const char *template)
{
	static const char starts[] = "qubes.StartApp+";
	const char *app = str_starts(k->t.service, starts) ? k->t.service + sizeof starts - 1 : "";
	char body[APPMENU_ID_CAP + 8] = "";

	if (appmenu_id_ok(app) && str_printf(body, sizeof body, "app=%s", app) < 0)
		body[0] = '\0';
	internal_call_with(k->rs->d, "admin.vm.CreateDisposable", k->t.source, template, body, disposable_made, k);
}

void ticket_new(struct runs *rs, struct msg *m)
{
	struct ticket *k = xcalloc(1, sizeof *k);
	struct rd rd = msg_rd(m);
	const char *target = k->t.target;

	k->rs = rs;
	k->fds[0] = k->fds[1] = -1;
	if (ipc_get_pd_ticket(&rd, &k->t) < 0 || !rd_done(&rd)) {
		log_error("policyd: malformed ticket");
		free(k);
		return;
	}
	k->trace.asked_us = trace_when_asked(k->t.source_qid, k->t.request);
	k->trace.policy_us = now_us();
	if (!source_of(k)) {
		refuse(k, "the source is gone");
	} else if (streq(target, "dom0") || streq(target, "@adminvm")) {
		grant(k);
	} else if (str_starts(target, "@dispvm:")) {
		disposable_for(k, target + strlen("@dispvm:"));
	} else {
		struct qube *q = qube_find(rs->d->core, target);

		if (q)
			memcpy(k->target, q->name.s, sizeof k->target);
		use_target(k);
	}
}
