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
#define RAM_ONLY_MIB 1024 /* volatile disk in memory, where feature ram-only-size does not say */
#define RAM_ONLY_MIN_MIB 128

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

void run_disp_forget(struct qd *d, const char *name)
{
	struct ipc_sp_forget m = { 0 };
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	struct err e = { 0 };

	if (str_copy(m.name, sizeof m.name, name) < 0)
		return;
	ipc_put_sp_forget(&w, &m);
	if (peer_request(d->spawner, IPC_SP_FORGET, &w, NULL, 0, NULL, NULL, &e) < 0)
		log_warn("the logs of %s stay: %s", name, e.msg);
}

/* --- starts ---------------------------------------------------------------------------------------------------------------- */

uint8_t run_start_flags(const struct run *r)
{
	const struct core *c = r->d->core;
	const char *check = kv_get(&c->dom0->features, "memory-check");
	uint8_t flags = 0;

	if (r->q->klass == K_DISP && qube_ram_only(c, r->q))
		flags |= SP_RAM_ONLY;
	if (r->q->n_vols && volume_ephemeral(c, &r->q->vols[VOL_VOLATILE]))
		flags |= SP_RAM_DISKS;
	if (qube_feature(c->dom0, "ram-only-unencrypted-swap"))
		flags |= SP_SWAP_OK;
	if (check && !check[0])
		flags |= SP_MEMORY_UNSEEN;
	return flags;
}

/* In memory it is not a matter of what fits on a disk: what the guest writes there is taken from the host. */
uint64_t run_volatile_size(const struct core *c, const struct qube *q)
{
	uint64_t size = volume_on_disk(q->vols[VOL_VOLATILE].size), mib = RAM_ONLY_MIB;
	const char *v = qube_feature_inherited(c, q, "ram-only-size");

	if (q->klass != K_DISP || !qube_ram_only(c, q))
		return size;
	if (v && (str_u64(v, 1u << 20, &mib) < 0 || mib < RAM_ONLY_MIN_MIB))
		mib = RAM_ONLY_MIB;
	return MIN(size, mib << 20);
}

int run_disp_check(const struct run *r, struct err *e)
{
	for (unsigned i = 0; i < r->q->n_vols; i++)
		if (i != VOL_KERNEL && i != VOL_ROOT && run_start_flags(r) & SP_RAM_ONLY && volume_on_device(r->d->core, &r->q->vols[i]))
			return err_set(e, AE_STORAGE, "RAM-only: the %s volume of '%s' is a device of its pool; a disposable in memory needs a pool of files",
				       r->q->vols[i].name, r->q->name.s);
	return 0;
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
