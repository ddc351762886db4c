/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The end of a run: by order, by force, by itself; then its volumes. Pause belongs here too. */
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/net.h"
#include "daemon/qubesd/state.h"
#include "daemon/qubesd/unfinished.h"

static void stop_volume(struct run *r);

static void kill_pid(struct run *r, uint32_t pid, uint64_t started)
{
	struct ipc_sp_kill k = { .pid = pid, .start = started };
	uint8_t buf[32];
	struct wr w = wr_mem(buf, sizeof buf);
	struct err e = { 0 };

	if (!pid)
		return;
	ipc_put_sp_kill(&w, &k);
	if (peer_request(r->d->spawner, IPC_SP_KILL, &w, NULL, 0, NULL, NULL, &e) < 0)
		log_warn("%s: %s", r->q->name.s, e.msg);
}

static void kill_linkd(struct run *r)
{
	kill_pid(r, r->linkd_pid, r->linkd_start);
}

static void on_kill(struct ev_timer *t, void *arg)
{
	struct run *r = arg;

	/* With linkd the lifeline goes, and with that QEMU. */
	kill_linkd(r);
}

void run_end(struct run *r)
{
	struct err e;

	r->phase = PH_ENDING;
	if (r->watch)
		ev_timer_stop(r->watch);
	if (r->limit)
		ev_timer_stop(r->limit);
	if (!r->kill)
		r->kill = ev_timer_new(r->d->loop, on_kill, r);
	ev_timer_start(r->kill, KILL_AFTER_MS);
	if (!r->linkd) {
		kill_linkd(r);
		run_gone(r);
		return;
	}
	/* Nothing of a disposable is kept: its machine need not end in order. linkd still delivers the last bytes of its calls. */
	if (run_is_disposable(r) && r->qemu_pid) {
		kill_pid(r, r->qemu_pid, r->qemu_start);
		return;
	}
	if (run_cmd(r, LD_QUIT, NULL, NULL, &e) < 0)
		kill_linkd(r);
}

void run_off(struct run *r)
{
	r->off = true;
	if (!r->kill)
		r->kill = ev_timer_new(r->d->loop, on_kill, r);
	ev_timer_start(r->kill, OFF_MS);
}

static void poll_gone(struct run *r);

static void on_gone_timer(struct ev_timer *t, void *arg)
{
	((struct run *)arg)->gone_waits = false;
	poll_gone(arg);
}

void run_machine_ended(struct run *r)
{
	if (r->gone_waits)
		ev_timer_start(r->gone, 0);
}

static void usage_known(void *arg, int k, struct msg *m, struct err *e)
{
	struct run *r = arg;

	if (k < 0 && k != -EPIPE) {
		run_cleanup(r);
		return;
	}
	/* As long as it lives its images are not touched, however long that takes. */
	if (++r->gone_polls == GONE_POLLS) {
		log_error("%s: QEMU (pid %u) does not end: killing it", r->q->name.s, r->qemu_pid);
		kill_pid(r, r->qemu_pid, r->qemu_start);
	}
	if (!r->gone)
		r->gone = ev_timer_new(r->d->loop, on_gone_timer, r);
	r->gone_waits = true;
	ev_timer_start(r->gone, r->gone_polls < GONE_POLLS ? GONE_POLL_MS : GONE_SLOW_MS);
}

/* The images may be committed only when QEMU has really let go of them. */
static void poll_gone(struct run *r)
{
	struct ipc_sp_usage_req q = { .pid = r->qemu_pid, .start = r->qemu_start };
	uint8_t buf[32];
	struct wr w = wr_mem(buf, sizeof buf);
	struct err e = { 0 };

	ipc_put_sp_usage_req(&w, &q);
	/* Without a spawner this process ends soon, and the next one finds the qube gone. */
	if (peer_request(r->d->spawner, IPC_SP_USAGE, &w, NULL, 0, usage_known, r, &e) < 0)
		log_warn("%s: %s", r->q->name.s, e.msg);
}

void run_gone(struct run *r)
{
	struct err e = { 0 };

	if (r->gone_polls || r->phase == PH_CLEANUP)
		return;
	if (r->phase == PH_FILL || r->phase == PH_BOOT) {
		err_set(&e, AE_VM, "'%s' ended while it was starting: see its log", r->q->name.s);
		run_fail(r, -AE_VM, &e); /* comes back here */
		if (r->gone_polls)
			return;
	}
	r->phase = PH_ENDING;
	r->gone_polls = 1;
	if (r->kill)
		ev_timer_stop(r->kill);
	policy_detach(r);
	run_disp_caller_gone(r);
	run_disconnect(r);
	poll_gone(r);
}

/* All volumes are stopped: the qube is halted. */
static void finish(struct run *r)
{
	struct qd *d = r->d;
	struct qube *q = r->q;
	struct call *starters = r->starters, *enders = r->enders, *waiters = r->waiters, *again = r->again;
	struct err e = r->start_err;
	bool failed = r->failed, dispose = false, forget = !r->failed || r->killed; /* why it did not start is to be read */
	char name[QNAME_MAX + 1];

	run_remove_files(q);
	if (!r->retry)
		unfinished_done(d->core, q);
	memset(q->vol_head, 0, sizeof q->vol_head);
	q->start_time = 0;
	q->start_id[0] = '\0';
	q->pause_reason[0] = '\0';
	if (r->retry) {
		/* Still the same request: the second try, from the beginning. */
		r->linkd_pid = r->qemu_pid = 0;
		r->gone_polls = 0;
		r->failed = false;
		q->state = LIFE_TRANSIENT;
		run_begin(r);
		return;
	}
	r->starters = r->enders = r->waiters = r->again = NULL;
	run_state(r, LIFE_EV_GONE);
	run_free(r);
	if (!failed) {
		event(d->core, q, "domain-stopped", NULL);
		event(d->core, q, "domain-shutdown", NULL);
	}
	dispose = q->klass == K_DISP && prop_bool(d->core, q, P_auto_cleanup);
	memcpy(name, q->name.s, sizeof name);
	run_commit(d);
	if (!e.code)
		err_set(&e, AE_VM, "'%s' was stopped while it was starting", name);
	calls_end(&starters, -e.code, &e);
	calls_end(&enders, 0, NULL);
	calls_end(&waiters, 0, NULL);
	/* An unnamed disposable does not outlive its run. The calls above may have removed or started it: look again. */
	q = qube_find(d->core, name);
	if (dispose && q && qube_halted(q) && !q->busy) {
		err_set(&e, AE_VM_NOT_FOUND, "disposable '%s' is gone", name);
		calls_end(&again, -AE_VM_NOT_FOUND, &e);
		if (forget)
			run_disp_forget(d, name);
		qube_remove_now(d->core, q);
		return;
	}
	while (again) {
		struct call *c = again;
		int k;

		again = c->next;
		c->next = NULL;
		q = qube_find(d->core, name);
		k = q ? run_op_start(d, q, c) : err_set(&c->err, AE_VM_NOT_FOUND, "'%s' was removed meanwhile", name);
		if (k != CALL_PENDING)
			call_finish(c, k);
	}
}

static void volume_stopped(void *arg, int k, const struct st_reply *reply, struct err *e)
{
	struct run *r = arg;

	/* What could not be committed stays dirty and is continued by the next start. */
	if (k < 0)
		log_error("%s: stopping volume '%s': %s", r->q->name.s, r->q->vols[r->volume].name, err_text(e, k));
	r->volume++;
	stop_volume(r);
}

static void stop_volume(struct run *r)
{
	struct st_request rq;
	struct err e = { 0 };

	for (; r->volume < VOL_N; r->volume++) {
		const struct volume *v = &r->q->vols[r->volume];

		if (!r->storage_started[r->volume] || (!v->save_on_stop && !volume_on_device(r->d->core, v)))
			continue;
		if (volume_request(r->d->core, r->q, v, ST_STOP, &rq, &e) == 0) {
			rq.ok = unfinished_is(r->q);
			if (storage_submit(r->d, &rq, volume_stopped, r, &e) == 0)
				return;
		}
		log_error("%s: stopping volume '%s': %s", r->q->name.s, v->name, e.msg);
	}
	finish(r);
}

void run_cleanup(struct run *r)
{
	r->phase = PH_CLEANUP;
	r->volume = 0;
	net_down(r);
	if (r->shutdown_limit)
		ev_timer_stop(r->shutdown_limit);
	stop_volume(r);
}

static void on_shutdown_limit(struct ev_timer *t, void *arg)
{
	struct run *r = arg;
	struct err e = { 0 };
	int k = err_set(&e, AE_VM_SHUTDOWN_TIMEOUT, "'%s' did not shut down in time", r->q->name.s);

	event(r->d->core, r->q, "domain-shutdown-failed", "reason", e.msg, NULL);
	run_commit(r->d);
	calls_end(&r->waiters, k, &e);
}

static void told_to_shut_down(void *arg, int k, struct msg *m, struct err *e)
{
	if (k < 0)
		log_warn("power button: %s", err_text(e, k));
}

int run_op_shutdown(void *ctx, struct qube *q, bool wait, struct call *c)
{
	struct run *r = run_find(ctx, q->qid);
	int k = life_next(q->state, LIFE_EV_SHUTDOWN, &c->err);

	if (k < 0)
		return k;
	if (!r || r->phase == PH_ENDING || r->phase == PH_CLEANUP) {
		if (!r || !wait)
			return 0;
	} else if (!r->linkd) {
		return run_op_kill(ctx, q, c); /* nothing of it runs yet */
	} else {
		k = run_cmd(r, LD_POWERDOWN, told_to_shut_down, NULL, &c->err);
		if (k < 0)
			return k;
		run_state(r, LIFE_EV_SHUTDOWN);
	}
	if (!wait)
		return 0;
	if (!r->shutdown_limit)
		r->shutdown_limit = ev_timer_new(r->d->loop, on_shutdown_limit, r);
	ev_timer_start(r->shutdown_limit, run_timeout_ms(r, P_shutdown_timeout));
	call_push(&r->waiters, c);
	return CALL_PENDING;
}

int run_op_kill(void *ctx, struct qube *q, struct call *c)
{
	struct run *r = run_find(ctx, q->qid);
	int k = life_next(q->state, LIFE_EV_KILL, c ? &c->err : NULL);
	struct err e = { 0 };

	if (k < 0)
		return k;
	if (!r)
		return c ? err_set(&c->err, AE_VM_NOT_STARTED, "'%s' is not running", q->name.s) : 0;
	call_push(&r->enders, c);
	switch (r->phase) {
	case PH_NETVM:
	case PH_STORAGE:
	case PH_SPAWN:
		/* The step under way cannot be taken back: it ends the run when it is done. */
		err_set(&e, AE_VM, "'%s' was killed while it was starting", q->name.s);
		r->killed = true;
		if (r->phase == PH_NETVM) {
			run_fail(r, -AE_VM, &e);
		} else {
			r->failed = true;
			r->start_err = e;
			r->killed = true;
		}
		break;
	case PH_FILL:
	case PH_BOOT:
		r->killed = true;
		err_set(&e, AE_VM, "'%s' was killed while it was starting", q->name.s);
		run_fail(r, -AE_VM, &e);
		break;
	case PH_UP:
		run_state(r, LIFE_EV_KILL);
		run_end(r);
		break;
	case PH_ENDING:
	case PH_CLEANUP:
	default:
		break;
	}
	return CALL_PENDING;
}

static void usage_answer(void *arg, int k, struct msg *m, struct err *e)
{
	struct call *c = arg;
	struct ipc_sp_usage u = { 0 };
	const struct run *r;
	struct qube *q = qube_find(c->core, c->dest_name);
	int64_t memory = q ? prop_int(c->core, q, P_memory, 0) * 1024 : 0;

	if (k == 0) {
		struct rd rd = msg_rd(m);

		if (ipc_get_sp_usage(&rd, &u) < 0)
			u = (struct ipc_sp_usage){ 0 };
	}
	wr_printf(&c->out, "mem=%lld mem_static_max=%lld cputime=%llu power_state=%s", (long long)memory, (long long)memory,
		  (unsigned long long)u.cpu_ms, q ? life_name(q->state) : "Halted");
	r = q ? run_find(c->core->ops_ctx, q->qid) : NULL;
	if (r && r->phase == PH_UP)
		wr_printf(&c->out, " start=%s", r->spec.start == VM_START_CLONE ? "clone" : "cold");
	call_finish(c, 0);
}

int run_op_current_state(void *ctx, struct qube *q, struct call *c)
{
	struct run *r = run_find(ctx, q->qid);
	struct ipc_sp_usage_req rq = { 0 };
	uint8_t buf[32];
	struct wr w = wr_mem(buf, sizeof buf);
	int k;

	if (r)
		rq = (struct ipc_sp_usage_req){ .pid = r->qemu_pid, .start = r->qemu_start };
	ipc_put_sp_usage_req(&w, &rq);
	k = peer_request(r ? r->d->spawner : ((struct qd *)ctx)->spawner, IPC_SP_USAGE, &w, NULL, 0, usage_answer, c, &c->err);
	return k < 0 ? k : CALL_PENDING;
}
