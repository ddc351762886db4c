/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pause and suspend, and their ends. Both stop the processors; a qube that is suspended is told so first (qubes.SuspendPre), and when it goes on
 * (qubes.SuspendPost). One that fails or hangs is not waited for: the state of a machine is never the guest's decision.
 */
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/state.h"

#define SERVICE_MS 60000

struct pausing {
	struct qd *d;
	uint32_t qid;
	struct call *c; /* NULL: the service took too long and the call went on without it */
	enum life_event ev;
	struct ev_timer *limit;
};

static const char *service_of(enum life_event ev)
{
	return ev == LIFE_EV_SUSPEND ? "qubes.SuspendPre" : ev == LIFE_EV_RESUME ? "qubes.SuspendPost" : NULL;
}

static void end(struct pausing *p, int k, const struct err *e)
{
	struct call *c = p->c;

	if (k < 0)
		c->err = *e;
	ev_timer_free(p->limit);
	free(p);
	call_finish(c, k);
}

static void serve(struct pausing *p, void (*then)(struct pausing *p));

static void finish(struct pausing *p)
{
	txn_sysinfo(p->d->core); /* the answer waits until policy knows */
	end(p, 0, NULL);
}

static void pause_done(void *arg, int k, struct msg *m, struct err *e)
{
	static const char *const names[LIFE_EVENT_N] = {
		[LIFE_EV_PAUSE] = "domain-paused",
		[LIFE_EV_SUSPEND] = "domain-paused",
		[LIFE_EV_UNPAUSE] = "domain-unpaused",
		[LIFE_EV_RESUME] = "domain-resumed",
	};
	struct pausing *p = arg;
	struct run *r = run_find(p->d, p->qid);

	if (k < 0 || !r || r->phase != PH_UP) {
		end(p, k, e);
		return;
	}
	if (p->ev == LIFE_EV_UNPAUSE || p->ev == LIFE_EV_RESUME)
		r->q->pause_reason[0] = '\0';
	run_state(r, p->ev);
	event(p->d->core, r->q, names[p->ev], NULL);
	if (p->ev == LIFE_EV_RESUME) {
		/* it runs from here on, whatever its service does */
		run_commit(p->d);
		serve(p, finish);
	} else {
		finish(p);
	}
}

/* Services and looks at a full pool take time: the state may be another one by now. */
static void pause_now(struct pausing *p)
{
	bool stop = p->ev == LIFE_EV_PAUSE || p->ev == LIFE_EV_SUSPEND;
	struct run *r = run_find(p->d, p->qid);
	struct err e = { 0 };
	int k;

	if (!r || r->phase != PH_UP)
		k = err_set(&e, AE_VM_NOT_RUNNING, "it is not running any more");
	else
		k = life_next(r->q->state, p->ev, &e);
	if (k >= 0)
		k = run_cmd(r, stop ? LD_STOP : state_unpaused(p->d, r->q), pause_done, p, &e);
	if (k < 0)
		end(p, k, &e);
}

/* --- the guest's part --------------------------------------------------------------------------------------------- */

struct asking {
	struct pausing *p; /* NULL when it was not waited for */
	void (*then)(struct pausing *p);
	struct qname name;
	const char *service;
};

static void on_limit(struct ev_timer *t, void *arg)
{
	struct asking *a = arg;
	struct pausing *p = STEAL_PTR(a->p);

	log_warn("%s in %s did not end in time: not waited for", a->service, a->name.s);
	ev_timer_free(t);
	p->limit = NULL;
	a->then(p);
}

static void served(void *arg, int k, const char *why)
{
	struct asking *a = arg;
	struct pausing *p = a->p;
	void (*then)(struct pausing *p) = a->then;

	if (k < 0)
		log_warn("%s in %s: %s", a->service, a->name.s, why);
	free(a);
	if (!p)
		return;
	ev_timer_free(p->limit);
	p->limit = NULL;
	then(p);
}

/* Calls the qube's service when it can be called, and goes on. */
static void serve(struct pausing *p, void (*then)(struct pausing *p))
{
	struct run *r = run_find(p->d, p->qid);
	struct asking *a;
	struct err e = { 0 };

	if (!r || r->phase != PH_UP || !r->agent_up || r->q->state != LIFE_RUNNING) {
		then(p);
		return;
	}
	a = xcalloc(1, sizeof *a);
	*a = (struct asking){ p, then, r->q->name, service_of(p->ev) };
	p->limit = ev_timer_new(p->d->loop, on_limit, a);
	ev_timer_start(p->limit, SERVICE_MS);
	if (run_guest_service(r, a->service, "root", "", served, a, &e) < 0)
		served(a, -EIO, e.msg);
}

/* There is room again, or not. */
static void may_go_on(void *arg, int k, struct err *e)
{
	if (k < 0)
		end(arg, k, e);
	else
		pause_now(arg);
}

int run_op_pause(void *ctx, struct qube *q, enum life_event ev, struct call *c)
{
	struct run *r = run_find(ctx, q->qid);
	struct pausing *p;
	int k = 0;

	if (!r || r->phase != PH_UP)
		return err_set(&c->err, AE_VM_NOT_RUNNING, "'%s' is not running", q->name.s);
	p = xcalloc(1, sizeof *p);
	*p = (struct pausing){ .d = ctx, .qid = q->qid, .c = c, .ev = ev };
	if (ev == LIFE_EV_SUSPEND) {
		serve(p, pause_now);
		return CALL_PENDING;
	}
	if (ev == LIFE_EV_UNPAUSE || ev == LIFE_EV_RESUME)
		k = run_disk_check(r, may_go_on, p, &c->err);
	if (k < 0) {
		free(p);
		return k;
	}
	if (k == 0)
		pause_now(p);
	return CALL_PENDING;
}
