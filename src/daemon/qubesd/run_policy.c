/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * policyd: started by the spawner, fed with what decisions depend on, asked for nothing. A change of tags, classes or the like is answered only
 * when policyd has it. When it dies it is started again and gets everything anew; until then nobody decides, so nothing is allowed.
 */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/net.h"

#define DELAY_MIN_MS 100
#define DELAY_MAX_MS 10000

struct sync_wait {
	struct sync_wait *next;
	uint32_t token;
	struct call *c;
};

/* A question to policyd; they are answered in order. */
struct eval_wait {
	struct eval_wait *next;
	uint32_t token;
	policy_fn fn;
	void *arg;
};

/* What policyd was told last about a qube. */
struct sent {
	UT_hash_handle hh;
	char name[QNAME_MAX + 1];
	uint64_t hash;
	bool seen;
};

static void start(struct runs *rs);

static uint64_t hash_of(const struct wr *w)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < w->len; i++)
		h = (h ^ w->buf[i]) * 0x100000001b3u;
	return h;
}

static void copy_vm(const struct core *c, const struct qube *q, enum prop_id id, char *out, size_t cap)
{
	struct pval v;

	out[0] = '\0';
	if (props[id].classes & (1u << (unsigned)q->klass))
		(void)!str_copy(out, cap, prop_text(c, q, id, &v));
}

static void encode(const struct core *c, const struct qube *q, struct wr *w)
{
	static struct ipc_pd_sysinfo m; /* large */
	struct wr tags = wr_mem(m.tags, sizeof m.tags - 1);
	struct pval v;
	const struct label *label = label_find(c, prop_text(c, q, P_label, &v));

	memset(&m, 0, sizeof m);
	memcpy(m.name, q->name.s, sizeof m.name);
	memcpy(m.uuid, q->uuid.s, sizeof q->uuid.s);
	(void)!str_copy(m.klass, sizeof m.klass, klass_name(q->klass));
	copy_vm(c, q, P_default_dispvm, m.default_dispvm, sizeof m.default_dispvm);
	copy_vm(c, q, P_guivm, m.guivm, sizeof m.guivm);
	copy_vm(c, q, P_relayvm, m.relayvm, sizeof m.relayvm);
	copy_vm(c, q, P_transport_rpc, m.transport_rpc, sizeof m.transport_rpc);
	(void)!str_copy(m.power_state, sizeof m.power_state, life_name(q->state));
	(void)!str_copy(m.label, sizeof m.label, label ? label->value : "");
	(void)!str_copy(m.icon, sizeof m.icon, prop_text(c, q, P_icon, &v));
	if (props[P_template_for_dispvms].classes & (1u << (unsigned)q->klass))
		m.template_for_dispvms = prop_bool(c, q, P_template_for_dispvms);
	m.internal = (uint8_t)(qube_feature(q, "internal") | qube_ram_only(c, q) << 1);
	for (size_t i = 0; i < q->tags.n; i++) {
		wr_str(&tags, q->tags.v[i].key);
		wr_u8(&tags, ' ');
	}
	if (!wr_ok(&tags))
		log_warn("%s has more tags than a policy decision can see", q->name.s);
	ipc_put_pd_sysinfo(w, &m);
}

static void tell(struct runs *rs, uint32_t type, const struct wr *w)
{
	int k = rs->policyd ? peer_send(rs->policyd, type, w, NULL, 0) : 0;

	if (k < 0)
		log_warn("policyd: %s: %s", ipc_type_name(type), strerror(-k));
}

/* Sends records that differ from what policyd has; all of them when it has none. */
static void send_changes(struct runs *rs)
{
	const struct core *c = rs->d->core;
	_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);
	struct sent *x, *tmp;

	HASH_ITER(hh, rs->sent, x, tmp)
		x->seen = false;
	for (size_t i = 0; i < c->n_sorted; i++) {
		const struct qube *q = c->sorted[i];
		uint64_t h;

		wr_reset(&w);
		encode(c, q, &w);
		h = hash_of(&w);
		HASH_FIND_STR(rs->sent, q->name.s, x);
		if (!x) {
			x = xcalloc(1, sizeof *x);
			memcpy(x->name, q->name.s, sizeof x->name);
			x->hash = ~h;
			HASH_ADD_STR(rs->sent, name, x);
		}
		x->seen = true;
		if (x->hash != h)
			tell(rs, IPC_PD_SYSINFO, &w);
		x->hash = h;
	}
	HASH_ITER(hh, rs->sent, x, tmp) {
		struct ipc_pd_sysinfo_del del = { 0 };

		if (x->seen)
			continue;
		memcpy(del.name, x->name, sizeof del.name);
		wr_reset(&w);
		ipc_put_pd_sysinfo_del(&w, &del);
		tell(rs, IPC_PD_SYSINFO_DEL, &w);
		HASH_DEL(rs->sent, x);
		free(x);
	}
}

static void send_sync(struct runs *rs)
{
	struct ipc_pd_sync m = { .token = ++rs->sync_token };
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_pd_sync(&w, &m);
	tell(rs, IPC_PD_SYNC, &w);
}

void policy_push(struct runs *rs)
{
	if (!rs->policyd)
		return;
	send_changes(rs);
	send_sync(rs);
}

bool policy_sync(void *ctx, struct call *c)
{
	struct qd *d = ctx;
	struct runs *rs = d->runs;
	struct sync_wait *w, **p;

	if (!rs || !rs->policyd)
		return false;
	policy_push(rs);
	w = xcalloc(1, sizeof *w);
	w->token = rs->sync_token;
	w->c = c;
	for (p = &rs->syncs; *p; p = &(*p)->next)
		;
	*p = w;
	return true;
}

/* Ends the waiting of calls up to a token. */
static void synced(struct runs *rs, uint32_t token)
{
	while (rs->syncs && (int32_t)(rs->syncs->token - token) <= 0) {
		struct sync_wait *w = rs->syncs;
		struct call *c = w->c;

		rs->syncs = w->next;
		free(w);
		if (!net_sync(rs->d, c))
			call_synced(c);
	}
}

int policy_ask(void *ctx, const char *src, const char *service, const char *targets, policy_fn fn, void *arg, struct err *e)
{
	struct runs *rs = ((struct qd *)ctx)->runs;
	struct ipc_pd_eval *m;
	_cleanup_free_ void *own = m = xcalloc(1, sizeof *m);
	_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);
	struct eval_wait *x, **p;
	int k;

	if (!rs || !rs->policyd)
		return err_set(e, ENOTCONN, "policyd does not run");
	m->token = ++rs->eval_token;
	if (str_copy(m->source, sizeof m->source, src) < 0 || str_copy(m->service, sizeof m->service, service) < 0 ||
	    str_copy(m->targets, sizeof m->targets, targets) < 0)
		return err_set(e, ENAMETOOLONG, "a question that is too long");
	ipc_put_pd_eval(&w, m);
	k = peer_send(rs->policyd, IPC_PD_EVAL, &w, NULL, 0);
	if (k < 0)
		return err_errno(e, -k, "policyd");
	x = xcalloc(1, sizeof *x);
	*x = (struct eval_wait){ .token = m->token, .fn = fn, .arg = arg };
	for (p = &rs->evals; *p; p = &(*p)->next)
		;
	*p = x;
	return 0;
}

/* One answer, or NULL for all that are open when policyd has gone. */
static void evaluated(struct runs *rs, const struct ipc_pd_evaled *a)
{
	while (rs->evals && (!a || (int32_t)(rs->evals->token - a->token) <= 0)) {
		struct eval_wait *x = rs->evals;
		const char *answers = a && x->token == a->token ? a->answers : NULL;

		rs->evals = x->next;
		x->fn(x->arg, answers);
		free(x);
	}
}

void policy_attach(struct run *r)
{
	struct runs *rs = r->d->runs;
	struct ipc_pd_attach m = { .qid = r->q->qid };
	struct ipc_qd_policy_chan qm = { 0 };
	uint8_t buf[64], qbuf[8];
	struct wr w = wr_mem(buf, sizeof buf), qw = wr_mem(qbuf, sizeof qbuf);
	int pair[2], k;

	if (!rs->policyd || !r->qrexec)
		return;
	if (unix_pair(SOCK_SEQPACKET, pair) < 0) {
		log_error("%s cannot ask policyd: %s", r->q->name.s, strerror(errno));
		return;
	}
	memcpy(m.name, r->q->name.s, sizeof m.name);
	ipc_put_pd_attach(&w, &m);
	ipc_put_qd_policy_chan(&qw, &qm);
	k = peer_send(rs->policyd, IPC_PD_ATTACH, &w, &pair[0], 1);
	if (k >= 0)
		k = peer_send(r->qrexec, IPC_QD_POLICY_CHAN, &qw, &pair[1], 1);
	if (k < 0)
		log_error("%s cannot ask policyd: %s", r->q->name.s, strerror(-k));
	close(pair[0]);
	close(pair[1]);
}

void policy_detach(struct run *r)
{
	struct ipc_pd_detach m = { .qid = r->q->qid };
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_pd_detach(&w, &m);
	tell(r->d->runs, IPC_PD_DETACH, &w);
}

static void on_msg(struct peer *p, struct msg *m)
{
	struct runs *rs = p->arg;
	struct rd rd = msg_rd(m);
	static struct ipc_pd_evaled a; /* large */
	struct ipc_pd_synced s;
	struct ipc_pd_notify n;

	if (m->type == IPC_PD_SYNCED && ipc_get_pd_synced(&rd, &s) == 0 && rd_done(&rd))
		synced(rs, s.token);
	else if (m->type == IPC_PD_EVALED && ipc_get_pd_evaled(&rd, &a) == 0 && rd_done(&rd))
		evaluated(rs, &a);
	else if (m->type == IPC_PD_TICKET)
		ticket_new(rs, m);
	else if (m->type == IPC_PD_CALL)
		run_gui_call(rs->d, m);
	else if (m->type == IPC_PD_NOTIFY && ipc_get_pd_notify(&rd, &n) == 0)
		log_info("notice: call %s from %s to %s: %s", log_escs(n.service), n.source, log_escs(n.target), n.resolution);
	else
		log_warn("policyd: unexpected message %s", ipc_type_name(m->type));
}

static void forget_all(struct runs *rs)
{
	struct sent *x, *tmp;

	HASH_ITER(hh, rs->sent, x, tmp) {
		HASH_DEL(rs->sent, x);
		free(x);
	}
}

static void on_again(struct ev_timer *t, void *arg)
{
	start(arg);
}

static void again(struct runs *rs)
{
	rs->policyd_delay_ms = MIN(rs->policyd_delay_ms ? rs->policyd_delay_ms * 2 : DELAY_MIN_MS, (uint64_t)DELAY_MAX_MS);
	if (!rs->policyd_again)
		rs->policyd_again = ev_timer_new(rs->d->loop, on_again, rs);
	ev_timer_start(rs->policyd_again, rs->policyd_delay_ms);
}

static void on_gone(struct peer *p)
{
	struct runs *rs = p->arg;

	log_warn("policyd ended: every call is refused until it runs again");
	rs->policyd = NULL;
	peer_free(p);
	forget_all(rs);
	/* Without a policyd nothing is decided by old facts. */
	synced(rs, rs->sync_token);
	evaluated(rs, NULL);
	again(rs);
}

static const struct peer_ops policyd_ops = { .msg = on_msg, .gone = on_gone };

static void started(void *arg, int k, struct msg *m, struct err *e)
{
	struct runs *rs = arg;
	struct ipc_pd_sysinfo_begin b = { 0 };
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);

	if (k >= 0 && m->n_fds != 1)
		k = err_set(e, EBADMSG, "no channel to policyd came");
	if (k >= 0) {
		rs->policyd = peer_new(rs->d->loop, STEAL_FD(m->fds[0]), &policyd_ops, rs, "policyd");
		k = rs->policyd ? 0 : err_set(e, EBADF, "cannot watch policyd");
	}
	if (k < 0) {
		log_error("policyd: %s", err_text(e, k));
		again(rs);
		return;
	}
	ipc_put_pd_sysinfo_begin(&w, &b);
	tell(rs, IPC_PD_SYSINFO_BEGIN, &w);
	policy_push(rs);
	for (struct run *r = rs->list; r; r = r->next)
		if (r->phase == PH_BOOT || r->phase == PH_UP)
			policy_attach(r);
}

static void start(struct runs *rs)
{
	struct ipc_sp_start_policyd q = { 0 };
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);
	struct err e = { 0 };

	ipc_put_sp_start_policyd(&w, &q);
	if (peer_request(rs->d->spawner, IPC_SP_START_POLICYD, &w, NULL, 0, started, rs, &e) < 0)
		log_error("%s", e.msg);
}

int policy_start(struct runs *rs, struct err *e)
{
	start(rs);
	return 0;
}
