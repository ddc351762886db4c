/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When a disposable's time is over: the one call that it was made for has ended, its caller is gone, or nobody holds it any more. It ends by
 * force, since nothing of it is to be kept.
 */
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/run.h"

/* After a restart of the core: so long it waits for the holders of before. */
#define HOLD_GRACE_MS 10000

bool run_is_disposable(const struct run *r)
{
	return r->q->klass == K_DISP && prop_bool(r->d->core, r->q, P_auto_cleanup);
}

/* Running: it ends, and its end removes it. Halted: it is removed. On its way: that way ends with its removal. */
void run_disp_end(struct qd *d, struct qube *q, const char *why)
{
	log_info("disposable %s ends: %s", q->name.s, why);
	if (run_find(d, q->qid))
		(void)run_op_kill(d, q, NULL);
	else if (!q->busy)
		qube_remove_now(d->core, q);
}

/* --- calls ---------------------------------------------------------------------------------------------------------------- */

void run_disp_call_ended(struct run *target, uint32_t peer, uint32_t port)
{
	if (target->dispose && target->dispose_peer == peer && target->dispose_port == port && target->phase == PH_UP)
		run_disp_end(target->d, target->q, "its call has ended");
}

void run_disp_channel_ended(struct run *r, uint32_t peer, uint32_t port)
{
	struct run *target = run_find(r->d, peer);

	/* r is the disposable, or the one that called it: with either end the call is over, whatever the guest says. */
	run_disp_call_ended(r, peer, port);
	if (target && target != r)
		run_disp_call_ended(target, r->q->qid, port);
}

void run_disp_caller_gone(struct run *caller)
{
	struct run *next;

	for (struct run *r = caller->d->runs->list; r; r = next) {
		next = r->next;
		if (r != caller && r->dispose && r->dispose_peer == caller->q->qid && r->phase == PH_UP)
			run_disp_end(r->d, r->q, "its caller is gone");
	}
}

/* --- holders ---------------------------------------------------------------------------------------------------------------- */

static bool is_held(const struct core *c, const char *name)
{
	for (const struct subscriber *s = c->holds; s; s = s->next)
		if (streq(s->only, name))
			return true;
	return false;
}

static void on_look(struct ev_timer *t, void *arg)
{
	struct qd *d = arg;

	/* From the end: removing takes one out of the list. */
	for (size_t i = d->core->n_sorted; i-- > 0;) {
		struct qube *q = d->core->sorted[i];

		if (!q->held || is_held(d->core, q->name.s))
			continue;
		q->held = false;
		run_disp_end(d, q, "nobody holds it");
	}
	run_commit(d);
}

static struct ev_timer *look;
static bool grace; /* just started: holders may not be back yet */

void run_op_hold(void *ctx)
{
	struct qd *d = ctx;

	/* What is held now is held after a restart of the core as well. */
	for (struct run *r = d->runs ? d->runs->list : NULL; r; r = r->next)
		if (r->q->held && r->phase >= PH_FILL && r->phase <= PH_UP && !r->held_saved) {
			r->held_saved = true;
			run_save(r);
		}
	if (grace)
		return;
	if (!look)
		look = ev_timer_new(d->loop, on_look, d);
	ev_timer_start(look, 1); /* not from within the end of a connection */
}

static void on_grace(struct ev_timer *t, void *arg)
{
	grace = false;
	on_look(t, arg);
	ev_timer_free(t);
}

void run_disp_start(struct qd *d)
{
	grace = true;
	ev_timer_start(ev_timer_new(d->loop, on_grace, d), HOLD_GRACE_MS);
}
