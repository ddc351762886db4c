/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Handing out: a preloaded disposable leaves its queue before anybody else can be given it, then it is woken. Whoever asked gets its name when it
 * runs; when it does not wake, it gets one that is made for it.
 */
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/state.h"

struct taking {
	struct qd *d;
	struct call *c; /* who waits for it */
	char name[QNAME_MAX + 1];
};

/* The call begins anew, and gets one that is made now. */
static void without(struct taking *k, const char *why)
{
	struct call *c = k->c;
	struct qube *q = qube_find(k->d->core, k->name);

	log_warn("preloaded disposable %s cannot be used: %s", k->name, why);
	if (q && run_find(k->d, q->qid))
		(void)run_op_kill(k->d, q, NULL);
	free(k);
	free(STEAL_PTR(c->state));
	wr_reset(&c->out);
	c->fresh = true;
	(void)call_start(c); /* its framing was good before */
}

static void given(struct taking *k)
{
	struct call *c = k->c;

	free(k);
	call_finish(c, 0);
}

static void woken(void *arg, int r, struct msg *m, struct err *e)
{
	struct taking *k = arg;
	struct qube *q = qube_find(k->d->core, k->name);
	struct run *run = q ? run_find(k->d, q->qid) : NULL;

	if (r < 0 || !run || run->phase != PH_UP) {
		without(k, r < 0 ? err_text(e, r) : "it has ended");
		return;
	}
	run_state(run, LIFE_EV_UNPAUSE);
	event(k->d->core, q, "domain-unpaused", NULL);
	given(k);
}

static void wake(struct taking *k)
{
	struct qube *q = qube_find(k->d->core, k->name);
	struct run *r = q ? run_find(k->d, q->qid) : NULL;
	struct err e = { 0 };

	if (!r || r->phase != PH_UP) {
		without(k, "it has ended");
		return;
	}
	event(k->d->core, q, "domain-pre-unpaused", NULL);
	if (run_cmd(r, LD_WAKE, woken, k, &e) < 0)
		without(k, e.msg);
}

static void netvm_started(struct call *c)
{
	struct taking *k = c->conn;
	struct err e = c->err;
	int r = c->result;

	call_free(c);
	if (r < 0)
		without(k, err_text(&e, r));
	else
		wake(k);
}

static void up(struct call *c)
{
	struct taking *k = c->conn;
	struct err e = c->err;
	int r = c->result;

	call_free(c);
	if (r < 0)
		without(k, err_text(&e, r));
	else
		given(k);
}

/* How well q suits a call for this program ("" = any other call): one that has it open, one that has none open, one that others may be glad of. */
static int suits(const struct qube *q, const char *app)
{
	const char *open = preload_opened(q);

	return open && app[0] && streq(open, app) ? 2 : !open;
}

/* The one that is ready and suits best, the oldest of those; or else the first that is on its way. */
static struct qube *pick(struct qd *d, struct qube *t, const char *app)
{
	char name[QNAME_MAX + 1];
	struct qube *coming = NULL, *best = NULL;

	for (size_t at = 0; preload_next(t, &at, name);) {
		struct qube *q = qube_find(d->core, name);
		const struct run *r = q ? run_find(d, q->qid) : NULL;

		if (!r || r->stale || r->phase >= PH_ENDING || fill_pauses(d->runs->states->fill, q) || preload_stale(d->core, t, q))
			continue;
		if (preload_completed(q) && q->state == LIFE_PAUSED && r->phase == PH_UP && r->linkd && r->qrexec &&
		    (!best || suits(q, app) > suits(best, app)))
			best = q;
		if (!preload_completed(q) && !coming)
			coming = q;
	}
	return best ? best : coming;
}

int state_op_take(void *ctx, struct qube *t, struct call *c)
{
	struct qd *d = ctx;
	struct qube *q = pick(d, t, c->app), *net;
	struct taking *k;

	if (!q)
		return 0;
	k = xcalloc(1, sizeof *k);
	k->d = d;
	k->c = c;
	memcpy(k->name, q->name.s, sizeof k->name);
	preload_use(d->core, q);
	disposable_given(c, q);
	fill_used(d, t);
	log_debug("%s gets the preloaded disposable %s", c->src_name, k->name);
	net = run_missing_netvm(d, q);
	if (q->state != LIFE_PAUSED)
		internal_call(d, "admin.vm.Start", NULL, "dom0", k->name, up, k);
	else if (net)
		internal_call(d, "admin.vm.Start", NULL, "dom0", net->name.s, netvm_started, k);
	else
		wake(k);
	return CALL_PENDING;
}

void state_op_refresh(void *ctx)
{
	state_kick(ctx);
}

int state_op_suspend_host(void *ctx, bool pre, struct call *c)
{
	struct qd *d = ctx;

	d->runs->states->asleep = pre;
	if (pre)
		fill_drop_all(d, "the host is about to sleep");
	else
		state_kick(d);
	return run_op_suspend_host(ctx, pre, c);
}

enum ld_cmd state_unpaused(struct qd *d, struct qube *q)
{
	struct qube *t = qube_template(d->core, q);

	if (!preload_waits(d->core, q) || !t)
		return LD_CONT;
	preload_use(d->core, q);
	run_commit(d);
	fill_used(d, t);
	return LD_WAKE;
}
