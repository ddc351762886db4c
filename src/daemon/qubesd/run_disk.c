/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Disks of running qubes: a disk without room stops its qube until there is some again, and a disk can grow while it is in use. Also the one
 * way by which the core tells the user's session something.
 */
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/run.h"

#define ROOM_LEAST (1u << 20) /* with less free a pool is full: an image grows by whole clusters and their tables */
#define NOTICE_GAP_US (10ull * 1000000) /* between two notices about the same qube */

const char *const run_serials[VOL_N] = { "root", "private", "volatile", "modules" };

void run_notice(struct runs *rs, const char *source, const char *text)
{
	struct ipc_pd_notice m = { 0 };
	_cleanup_wr_ struct wr w = wr_grow(1024);

	log_warn("%s%s%s", source, source[0] ? ": " : "", text);
	if (!rs->policyd)
		return;
	(void)!str_copy(m.source, sizeof m.source, source);
	(void)!snprintf(m.text, sizeof m.text, "%s", text);
	ipc_put_pd_notice(&w, &m);
	(void)peer_send(rs->policyd, IPC_PD_NOTICE, &w, NULL, 0);
}

/* The volume whose disk linkd names in front of its text; NULL for one that is none of ours. */
static const struct volume *volume_of(const struct run *r, const char *text)
{
	size_t n = strcspn(text, " ");

	for (unsigned i = 0; i < VOL_N; i++)
		if (strlen(run_serials[i]) == n && strncmp(run_serials[i], text, n) == 0)
			return &r->q->vols[i];
	return NULL;
}

/* Tells why a qube stands still: event, notice, and what qvm-ls shows. */
static void stand_still(struct run *r, const char *reason)
{
	char text[300];

	(void)!snprintf(r->q->pause_reason, sizeof r->q->pause_reason, "%s", reason);
	if (r->q->state == LIFE_RUNNING)
		run_state(r, LIFE_EV_PAUSE);
	event(r->d->core, r->q, "domain-paused", "reason", reason, NULL);
	run_commit(r->d);
	if (now_us() < r->notice_us)
		return;
	r->notice_us = now_us() + NOTICE_GAP_US;
	(void)!snprintf(text, sizeof text, "'%s' is paused: %s. Make room, then: qvm-unpause %s", r->q->name.s, reason, r->q->name.s);
	run_notice(r->d->runs, r->q->name.s, text);
}

void run_disk_error(struct run *r, uint32_t bits, const char *text)
{
	const struct volume *v = volume_of(r, text);
	struct err e = { 0 };
	char reason[200];

	if (!(bits & LD_DISK_STOPPED))
		return;
	if (bits & LD_DISK_FULL)
		(void)!snprintf(reason, sizeof reason, "pool %s is full", v ? v->pool : "of its disk");
	else
		(void)!snprintf(reason, sizeof reason, "disk error (%s)", text);
	(void)!str_copy(r->full_pool, sizeof r->full_pool, bits & LD_DISK_FULL && v ? v->pool : "");
	event(r->d->core, r->q, "domain-disk-error", "volume", v ? v->name : "", "pool", v ? v->pool : "", "full",
	      bits & LD_DISK_FULL ? "True" : "False", "text", text, NULL);
	run_commit(r->d);
	if (r->phase == PH_BOOT) {
		err_set(&e, AE_STORAGE, "'%s' cannot start: %s", r->q->name.s, reason);
		run_fail(r, -AE_STORAGE, &e);
	} else if (r->phase == PH_UP) {
		stand_still(r, reason);
	}
}

void run_pause_over_limit(struct run *r, const char *pool)
{
	char reason[200];
	struct err e;

	if (r->phase != PH_UP || r->q->state != LIFE_RUNNING)
		return;
	(void)!snprintf(reason, sizeof reason, "pool %s has reached its size_limit", pool);
	(void)!str_copy(r->full_pool, sizeof r->full_pool, pool);
	if (run_cmd(r, LD_STOP, NULL, NULL, &e) == 0)
		stand_still(r, reason);
}

struct check {
	struct qd *d;
	char pool[64], qube[32];
	void (*fn)(void *arg, int k, struct err *e);
	void *arg;
};

static void room_known(void *arg, int k, const struct st_reply *reply, struct err *e)
{
	struct check x = *(struct check *)arg;
	uint64_t left = 0;

	free(arg);
	if (k >= 0 && str_u64(reply->text, UINT64_MAX, &left) == 0 && left < ROOM_LEAST)
		k = err_set(e, AE_STORAGE, "pool '%s' is still full: make room first, '%s' would stop again at once", x.pool, x.qube);
	/* A worker that cannot tell is no reason to keep a qube from going on. */
	x.fn(x.arg, k == -AE_STORAGE ? k : 0, e);
}

int run_disk_check(struct run *r, void (*fn)(void *arg, int k, struct err *e), void *arg, struct err *e)
{
	const struct pool *p = r->full_pool[0] ? pool_find(r->d->core, r->full_pool) : NULL;
	struct st_request rq = { .op = ST_USAGE };
	struct check *x;

	if (!r->q->pause_reason[0] || !p)
		return 0;
	if (pool_over_limit(p))
		return err_set(e, AE_STORAGE, "pool '%s' still holds more than its size_limit: remove something, or raise it with "
			       "'qvm-pool set %s -o size_limit=BYTES'", p->name, p->name);
	if (str_copy(rq.driver, sizeof rq.driver, p->driver) < 0 || str_copy(rq.pool_dir, sizeof rq.pool_dir, pool_dir(p)) < 0)
		return 0;
	x = xcalloc(1, sizeof *x);
	*x = (struct check){ .d = r->d, .fn = fn, .arg = arg };
	memcpy(x->pool, p->name, sizeof x->pool);
	memcpy(x->qube, r->q->name.s, sizeof x->qube);
	if (storage_submit(r->d, &rq, room_known, x, e) == 0)
		return 1;
	free(x);
	return 0;
}

/* --- a larger disk ------------------------------------------------------------------------------------------------ */

struct growing {
	struct call *c;
	void (*fn)(struct call *c, int r);
};

static void grown(void *arg, int k, struct msg *m, struct err *e)
{
	struct growing g = *(struct growing *)arg;

	free(arg);
	if (k < 0)
		k = err_set(&g.c->err, AE_STORAGE, "the running qube cannot use a larger disk: %s", err_text(e, k));
	g.fn(g.c, k);
}

int run_op_grow(void *ctx, struct qube *q, unsigned vol, uint64_t size, struct call *c, void (*fn)(struct call *c, int r))
{
	struct run *r = run_find(ctx, q->qid);
	struct ipc_ld_resize m = { .size = size };
	struct growing *g;
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	int k;

	if (!r || r->phase != PH_UP || !r->linkd)
		return err_set(&c->err, AE_VM_NOT_RUNNING, "'%s' is not running", q->name.s);
	(void)!str_copy(m.disk, sizeof m.disk, run_serials[vol]);
	ipc_put_ld_resize(&w, &m);
	g = xcalloc(1, sizeof *g);
	*g = (struct growing){ c, fn };
	k = peer_request(r->linkd, IPC_LD_RESIZE, &w, NULL, 0, grown, g, &c->err);
	if (k < 0)
		free(g);
	return k;
}

static void guest_done(void *arg, int k, const char *text)
{
	struct growing g = *(struct growing *)arg;

	free(arg);
	if (k < 0)
		k = err_set(&g.c->err, AE_STORAGE, "%s", text);
	g.fn(g.c, k);
}

int run_op_guest(void *ctx, struct qube *q, const char *service, const char *user, const char *input, struct call *c,
		 void (*fn)(struct call *c, int r))
{
	struct run *r = run_find(ctx, q->qid);
	struct growing *g;
	int k;

	if (!r || r->phase != PH_UP || q->state != LIFE_RUNNING)
		return err_set(&c->err, AE_VM_NOT_RUNNING, "'%s' is not running", q->name.s);
	g = xcalloc(1, sizeof *g);
	*g = (struct growing){ c, fn };
	k = run_guest_service(r, service, user, input, guest_done, g, &c->err);
	if (k < 0)
		free(g);
	return k;
}
