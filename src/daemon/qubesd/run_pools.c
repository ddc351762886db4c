/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Room in pools: looked at every few seconds and after each change of ours, told as event and notice before there is none, and kept below a
 * pool's size_limit. Where a pool has such a limit and little of it is left, the looks come closer: nothing but they hold its running qubes to it.
 */
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/run.h"
#include "storage/drivers.h"

#define LOOK_MS 10000
#define IDLE_MS 30000	/* when no qube runs */
#define SOON_MS 50	/* after a change, together with others */
#define CLOSE_MS 1000	/* as near as looks at a pool with a limit of its own come to each other */
#define FASTEST ((512ull << 20) / 1000) /* bytes a millisecond that its qubes are thought to write at most */
#define WARN_AT 90	/* percent, unless the pool says otherwise */
#define CALM 2		/* percent below a step before it counts as left */

enum level { L_GOOD, L_WARN, L_URGENT, L_FULL };

struct room {
	uint64_t size, used;
};

struct look {
	struct qd *d;
	char pool[64];
};

static uint64_t warn_at(const struct pool *p)
{
	uint64_t n = pool_number(p, "warn_at");

	return n ? MIN(n, (uint64_t)100) : WARN_AT;
}

static enum level level_of(const struct pool *p, const struct room *m, enum level now)
{
	uint64_t percent = m->size ? m->used / (m->size / 100 + 1) : 0, at = warn_at(p);
	uint64_t steps[] = { [L_WARN] = at, [L_URGENT] = (at + 100) / 2, [L_FULL] = 100 };
	enum level l = L_GOOD;

	for (unsigned i = L_WARN; i <= L_FULL; i++) {
		uint64_t step = i <= now && steps[i] > CALM ? steps[i] - CALM : steps[i];

		if (percent >= step || (i == L_FULL && m->used >= m->size))
			l = (enum level)i;
	}
	return l;
}

static void tell(struct qd *d, const struct pool *p, const struct room *m, enum level l)
{
	static const char *const names[] = { "good", "low", "very-low", "full" };
	uint64_t percent = MIN(m->used / (m->size / 100 + 1), (uint64_t)100);
	char size[24], used[24], text[300];

	if (str_printf(size, sizeof size, "%llu", (unsigned long long)m->size) < 0 || str_printf(used, sizeof used, "%llu", (unsigned long long)m->used) < 0)
		return;
	event(d->core, NULL, "pool-usage", "pool", p->name, "size", size, "usage", used, "level", names[l], NULL);
	run_commit(d);
	if (l == L_GOOD)
		return;
	(void)!snprintf(text, sizeof text, "%s %s: %llu %% of %llu MiB are used. %s", l == L_FULL ? "No room in pool" : "Little room in pool", p->name,
			(unsigned long long)percent, (unsigned long long)(m->size >> 20),
			l == L_FULL ? "Qubes that write to it are paused." : "Qubes that write to it are paused when it is full.");
	run_notice(d->runs, "", text);
}

/* Every running qube with a disk of its own in the pool. */
static void pause_all(struct qd *d, const struct pool *p)
{
	for (struct run *r = d->runs->list; r; r = r->next) {
		bool writes = false;

		for (unsigned i = 0; i < r->q->n_vols; i++)
			writes |= r->q->vols[i].rw && i != VOL_ROOT && streq(r->q->vols[i].pool, p->name);
		writes |= r->q->n_vols && r->q->vols[VOL_ROOT].save_on_stop && streq(r->q->vols[VOL_ROOT].pool, p->name);
		if (writes)
			run_pause_over_limit(r, p->name);
	}
}

static void judge(struct qd *d, struct pool *p, const struct room *m)
{
	enum level now = (enum level)p->level, l = level_of(p, m, now);

	p->level = (uint8_t)l;
	/* Downward only the end is news. */
	if (l > now || (l == L_GOOD && now != L_GOOD))
		tell(d, p, m, l);
	if (pool_over_limit(p))
		pause_all(d, p);
}

/* Milliseconds until the next look. The end of a file system needs none: what does not fit is refused by it. */
static uint64_t pause_after(const struct qd *d, const struct pool *p, const struct room *m)
{
	uint64_t left = m->size - MIN(m->used, m->size);

	if (!d->runs->list)
		return IDLE_MS;
	if (!pool_number(p, "size_limit") || left / FASTEST >= LOOK_MS)
		return LOOK_MS;
	return MAX(left / FASTEST, (uint64_t)CLOSE_MS);
}

static void arm(struct qd *d);

/* The look after this one. */
static void next_look(struct qd *d, struct pool *p, uint64_t ms)
{
	p->look_us = now_us() + (p->look_again ? SOON_MS : ms) * 1000;
	p->look_again = false;
	arm(d);
}

static void counted(void *arg, int k, const struct st_reply *reply, struct err *e)
{
	struct look look = *(struct look *)arg;
	struct pool *p = pool_find(look.d->core, look.pool);
	struct room m;
	uint64_t free_bytes = 0, limit;

	free(arg);
	if (!p)
		return;
	p->counting = false;
	if (k < 0 || str_u64(reply->text, UINT64_MAX, &free_bytes) < 0) {
		log_warn("usage of pool %s: %s", look.pool, k < 0 ? err_text(e, k) : "the worker's answer is no number");
		next_look(look.d, p, LOOK_MS);
		return;
	}
	limit = pool_number(p, "size_limit");
	p->used = limit ? reply->usage : 0;
	p->size = m.size = reply->size;
	p->room = MIN(free_bytes, reply->size);
	m.used = m.size - p->room;
	/* The nearer end counts: the limit, or that of the place itself. */
	if (limit && (m.size <= m.used || limit <= reply->usage || limit - reply->usage < m.size - m.used))
		m = (struct room){ limit, reply->usage };
	judge(look.d, p, &m);
	next_look(look.d, p, pause_after(look.d, p, &m));
}

static void count(struct qd *d, struct pool *p)
{
	struct st_request rq = { .op = ST_USAGE };
	struct look *look;
	struct err e = { 0 };

	if (p->counting || str_copy(rq.driver, sizeof rq.driver, p->driver) < 0 || str_copy(rq.pool_dir, sizeof rq.pool_dir, pool_dir(p)) < 0)
		return;
	look = xcalloc(1, sizeof *look);
	look->d = d;
	memcpy(look->pool, p->name, sizeof look->pool);
	p->counting = true;
	if (storage_submit(d, &rq, counted, look, &e) == 0)
		return;
	p->counting = false;
	free(look);
}

/* Always by a worker: this process has a root of its own, in which file systems that were mounted later are not seen. */
static bool looked_at(const struct pool *p)
{
	const struct pool_driver *driver = pool_driver_find(p->driver);

	return driver && driver->kind != POOL_KERNELS;
}

static void arm(struct qd *d)
{
	uint64_t now = now_us(), at = now + IDLE_MS * 1000ull;

	for (const struct pool *p = d->core->pools; p; p = p->next)
		if (looked_at(p) && !p->counting)
			at = MIN(at, p->look_us);
	ev_timer_start(d->runs->pools, at > now ? (at - now) / 1000 + 1 : 0);
}

static void on_look(struct ev_timer *t, void *arg)
{
	struct qd *d = arg;
	uint64_t now = now_us();

	for (struct pool *p = d->core->pools; p; p = p->next) {
		if (!looked_at(p) || p->counting || p->look_us > now)
			continue;
		p->look_us = now + LOOK_MS * 1000ull;
		count(d, p);
	}
	arm(d);
}

void run_pools_look(void *ctx, struct pool *p)
{
	struct qd *d = ctx;
	uint64_t soon = now_us() + SOON_MS * 1000;

	p->look_again = p->counting;
	if (p->counting || !d->runs || !d->runs->pools)
		return;
	p->look_us = MIN(p->look_us, soon);
	arm(d);
}

void run_pools_changed(struct qd *d, const char *driver, const char *place, bool little)
{
	uint64_t soon_enough = now_us() + LOOK_MS * 1000ull;

	for (struct pool *p = d->core->pools; p; p = p->next) {
		if (!streq(p->driver, driver) || !streq(pool_dir(p), place))
			continue;
		if (!little || pool_number(p, "size_limit")) {
			run_pools_look(d, p);
		} else if (p->look_us > soon_enough && d->runs->pools) {
			/* the first qube runs now: idle looks are too rare */
			p->look_us = soon_enough;
			arm(d);
		}
	}
}

void run_pools_start(struct qd *d)
{
	d->runs->pools = ev_timer_new(d->loop, on_look, d);
	ev_timer_start(d->runs->pools, LOOK_MS);
}
