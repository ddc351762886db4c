/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The filler: keeps the queue of every disposable template as long as its owner wants it, one disposable at a time, when nothing else starts and
 * memory allows. Made, marked, started, one program run in it, paused. What it finds in a queue and cannot be used it takes away; so a restart of
 * this process needs nothing special.
 */
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/state.h"

#define LATER_MS 1000
#define ROOM_LATER_MS 10000
#define OPEN_MS 240000 /* for the first window of a program that is opened ahead */
#define FAILED_MS 30000 /* after a preloaded one did not come up */

/* What is run in it before it is paused. The first is all where programs run natively, and a clone has waited and run a program in its source;
   the emulator has to translate what a call needs, so there the way that calls take is gone twice. */
#define RUN_INS_CLONE 2 /* a clone begins with this one: each program costs memory that stays */
static const char *const run_ins[] = {
	"DEFAULT:QUBESRPC qubes.WaitForRunningSystem+ dom0",
	"DEFAULT:QUBESRPC qubes.VMShell+ dom0",
	"DEFAULT:QUBESRPC qubes.VMExec+true dom0",
	"DEFAULT:QUBESRPC qubes.VMExec+true dom0",
};

enum fill_phase { F_IDLE, F_BUILD, F_CREATE, F_START, F_OPEN, F_WARM, F_PAUSE };

/* When a template's queue may be filled again. */
struct rest {
	struct rest *next;
	char name[QNAME_MAX + 1];
	uint64_t until_us;
	bool filling; /* with a negative delay: from empty until full */
};

struct fill {
	struct states *ss;
	enum fill_phase phase;
	char t[QNAME_MAX + 1], name[QNAME_MAX + 1]; /* template, disposable; "" = none yet */
	char app[APPMENU_ID_CAP]; /* the program that is being opened in it */
	unsigned runs;
	struct rest *rests;
	bool said_room;
};

struct fill *fill_new(struct states *ss)
{
	struct fill *f = xcalloc(1, sizeof *f);

	f->ss = ss;
	return f;
}

bool fill_pauses(const struct fill *f, const struct qube *q)
{
	return (f->phase == F_PAUSE || f->phase == F_OPEN) && streq(f->name, q->name.s);
}

static struct rest *rest_of(struct fill *f, const char *name)
{
	struct rest *x = f->rests;

	while (x && !streq(x->name, name))
		x = x->next;
	if (x)
		return x;
	x = xcalloc(1, sizeof *x);
	memcpy(x->name, name, strlen(name) + 1);
	x->next = f->rests;
	f->rests = x;
	return x;
}

static void rest(struct fill *f, const char *name, uint64_t ms)
{
	rest_of(f, name)->until_us = now_us() + ms * 1000;
	state_later(f->ss, ms + 1);
}

void fill_used(struct qd *d, struct qube *t)
{
	int delay = preload_delay(d->core, t);

	rest(d->runs->states->fill, t->name.s, delay > 0 ? (uint64_t)delay * 1000 : 0);
}

void fill_discard(struct qd *d, struct qube *q, const char *why)
{
	struct qube *t = qube_template(d->core, q);

	log_info("preloaded disposable %s is removed: %s", q->name.s, why);
	if (t)
		preload_forget(d->core, t, q->name.s);
	run_commit(d);
	if (!run_find(d, q->qid)) {
		if (qube_halted(q) && !q->busy)
			qube_remove_now(d->core, q);
		return;
	}
	/* It removes itself when its machine has ended. */
	if (run_op_kill(d, q, NULL) < 0)
		log_warn("%s cannot be ended now: %s", q->name.s, life_name(q->state));
}

/* Why the disposable of this name may not stay in t's queue; NULL = it may. */
static const char *unfit(struct fill *f, const struct qube *t, const char *name)
{
	struct qd *d = f->ss->d;
	const struct qube *q = qube_find(d->core, name);
	const struct run *r = q ? run_find(d, q->qid) : NULL;
	bool current = f->phase != F_IDLE && streq(f->name, name);
	const char *prop;

	if (!q)
		return "it is gone";
	if (current && !r)
		return NULL; /* about to start */
	if (!r || r->phase >= PH_ENDING)
		return "it has ended";
	if (r->stale)
		return "its template was shut down";
	if (!preload_completed(q) && !current)
		return "it was left half-way";
	prop = preload_stale(d->core, t, q);
	if (prop)
		log_info("%s differs from its template: %s", name, prop);
	return prop ? "its template has changed" : NULL;
}

/* One queue: what is unfit leaves it, and what is too much. */
static void tidy(struct fill *f, struct qube *t)
{
	struct qd *d = f->ss->d;
	_cleanup_free_ struct qname *names = xcalloc(PRELOAD_MAX + 1, sizeof *names);
	unsigned max = f->ss->asleep ? 0 : preload_max(d->core, t), n = 0, stay = 0;
	char name[QNAME_MAX + 1];

	for (size_t at = 0; n < PRELOAD_MAX && preload_next(t, &at, name);)
		memcpy(names[n++].s, name, sizeof name);
	for (unsigned i = 0; i < n; i++) {
		struct qube *q = qube_find(d->core, names[i].s);
		const char *why = unfit(f, t, names[i].s);

		if (!why && ++stay > max)
			why = f->ss->asleep ? "the host is about to sleep" : "fewer are wanted";
		if (why && q && qube_template(d->core, q) == t) {
			fill_discard(d, q, why);
		} else if (why) {
			preload_forget(d->core, t, names[i].s);
			run_commit(d);
		}
	}
}

void fill_drop_all(struct qd *d, const char *why)
{
	struct qube *q;

	for (size_t i = d->core->n_sorted; i-- > 0;) {
		q = i < d->core->n_sorted ? d->core->sorted[i] : NULL;
		if (q && preload_waits(d->core, q))
			fill_discard(d, q, why);
	}
}

static bool wants(struct fill *f, const struct qube *t)
{
	unsigned n = preload_count(t), max = preload_max(f->ss->d->core, t);
	struct rest *x;
	uint64_t now = now_us();

	if (!max)
		return false;
	x = rest_of(f, t->name.s);
	x->filling = n < max && (x->filling || n == 0);
	if (n >= max || (preload_delay(f->ss->d->core, t) < 0 && !x->filling))
		return false;
	if (now < x->until_us)
		state_later(f->ss, (x->until_us - now) / 1000 + 1);
	return now >= x->until_us;
}

/* --- one filling ------------------------------------------------------------------------------------------------------ */

static void idle(struct fill *f)
{
	f->phase = F_IDLE;
	f->name[0] = '\0';
	state_kick(f->ss->d);
}

/* Gives the disposable as long as it still waits to be used: somebody may have taken it, or it is gone. */
static struct qube *mine(struct fill *f)
{
	struct qube *q = qube_find(f->ss->d->core, f->name);

	return q && preload_waits(f->ss->d->core, q) ? q : NULL;
}

static void give_up(struct fill *f, const char *why)
{
	struct qube *q = mine(f);

	rest(f, f->t, FAILED_MS);
	if (q)
		fill_discard(f->ss->d, q, why);
	idle(f);
}

static void paused(struct call *c)
{
	struct fill *f = c->conn;
	struct qube *q = mine(f);
	struct err e = c->err;
	int r = c->result;

	call_free(c);
	if (r < 0) {
		give_up(f, err_text(&e, r));
		return;
	}
	if (q) {
		preload_complete(f->ss->d->core, q);
		run_commit(f->ss->d);
		log_info("preloaded disposable %s of %s is ready", f->name, f->t);
	}
	idle(f);
}

static void run_in(struct fill *f);

static void ran(void *arg, int k)
{
	struct fill *f = arg;

	if (f->phase != F_WARM)
		return;
	/* A qube without that service, or too slow for it, is as good as one that was not run in. */
	if (k < 0)
		log_debug("%s was not run in: %s", f->name, strerror(-k));
	f->runs++;
	run_in(f);
}

static void run_in(struct fill *f)
{
	struct qd *d = f->ss->d;
	struct qube *q = mine(f);
	struct run *r = q ? run_find(d, q->qid) : NULL;
	struct err e = { 0 };

	if (!r || r->phase != PH_UP || q->state != LIFE_RUNNING) {
		idle(f);
		return;
	}
	f->phase = F_WARM;
	if (f->runs < (r->accel == ACCEL_TCG ? ARRAY_SIZE(run_ins) : 1) && warm_run(r, run_ins[f->runs], ran, f, &e) == 0)
		return;
	f->phase = F_PAUSE;
	internal_call(d, "admin.vm.Pause", NULL, "dom0", f->name, paused, f);
}

/* The program of the menu that it is to have open, its windows withheld by the agent there (docs/gui.md §6), until a call for that program comes. It has an
   identity and its private volume by now: nothing of the program is the same in two of them. */
static void opened(void *arg, int k)
{
	struct fill *f = arg;
	struct qube *q = f->phase == F_OPEN ? mine(f) : NULL;

	if (f->phase != F_OPEN)
		return;
	/* Where it does not open it is started when it is asked for. */
	if (k < 0)
		log_warn("%s did not open %s ahead: %s", f->name, f->app, strerror(-k));
	if (q && k == 0) {
		preload_open(f->ss->d->core, q, f->app);
		run_commit(f->ss->d);
	}
	run_in(f);
}

static void open_app(struct fill *f)
{
	struct qube *q = mine(f), *t = q ? qube_template(f->ss->d->core, q) : NULL;
	struct run *r = q ? run_find(f->ss->d, q->qid) : NULL;
	char command[64 + APPMENU_ID_CAP];
	struct err e = { 0 };

	f->phase = F_OPEN;
	if (!t || !r || r->phase != PH_UP || q->state != LIFE_RUNNING || !preload_app(f->ss->d->core, t, f->app) ||
	    str_printf(command, sizeof command, "DEFAULT:QUBESRPC bulkhead.PreloadApp+%s dom0", f->app) < 0 ||
	    warm_run_for(r, command, OPEN_MS, opened, f, &e) < 0)
		run_in(f);
}

static void started(struct call *c)
{
	struct fill *f = c->conn;
	struct qube *q = mine(f);
	const struct run *run = q ? run_find(f->ss->d, q->qid) : NULL;
	struct err e = c->err;
	int r = c->result;

	call_free(c);
	if (r < 0) {
		log_warn("preloading %s: %s", f->name, err_text(&e, r));
		give_up(f, "it did not start");
		return;
	}
	f->runs = run && run->spec.start == VM_START_CLONE ? RUN_INS_CLONE : 0;
	open_app(f);
}

static void created(struct call *c)
{
	struct fill *f = c->conn;
	struct rd rd = rd_mem(c->out.buf, c->out.len);
	struct qd *d = f->ss->d;
	struct err e = c->err;
	struct qube *q;
	int r = c->result;

	if (r >= 0)
		rd_text(&rd, f->name, sizeof f->name);
	call_free(c);
	q = r < 0 ? NULL : qube_find(d->core, f->name);
	if (!q) {
		log_warn("a disposable of %s cannot be preloaded: %s", f->t, err_text(&e, r));
		give_up(f, "");
		return;
	}
	preload_enqueue(d->core, q, "the queue is not full");
	run_commit(d);
	f->phase = F_START;
	internal_call(d, "admin.vm.Start", NULL, "dom0", f->name, started, f);
}

static void create(struct fill *f)
{
	f->phase = F_CREATE;
	internal_call_fresh(f->ss->d, "admin.vm.CreateDisposable", f->t, created, f);
}

/* With a saved state of its kind the new one costs a fifth of the memory; without it, it boots. */
static void state_there(struct call *c)
{
	struct fill *f = c->conn;
	struct qube *t = qube_find(f->ss->d->core, f->t);

	if (c->result < 0)
		log_debug("%s has no saved state: %s", f->t, err_text(&c->err, c->result));
	call_free(c);
	if (t && !f->ss->asleep && preload_count(t) < preload_max(f->ss->d->core, t))
		create(f);
	else
		idle(f);
}

static bool have_room(struct fill *f, const struct qube *t)
{
	struct core *core = f->ss->d->core;
	uint64_t need = (uint64_t)MAX(prop_int(core, t, P_memory, 0), (int64_t)0) + preload_threshold(core);

	if (state_room(f->ss, need)) {
		f->said_room = false;
		return true;
	}
	if (!f->said_room)
		log_info("no disposable of %s is preloaded before %llu MiB of memory are free", t->name.s, (unsigned long long)need);
	f->said_room = true;
	state_later(f->ss, ROOM_LATER_MS);
	return false;
}

void fill_next(struct states *ss)
{
	struct fill *f = ss->fill;
	struct core *core = ss->d->core;
	struct qube *best = NULL;
	size_t n = 0;
	_cleanup_free_ struct qname *names = xcalloc(core->n_sorted + 1, sizeof *names);

	for (size_t i = 0; i < core->n_sorted; i++)
		if (core->sorted[i]->klass != K_ADMIN && (preload_count(core->sorted[i]) || preload_max(core, core->sorted[i])))
			names[n++] = core->sorted[i]->name;
	for (size_t i = 0; i < n; i++) {
		struct qube *t = qube_find(core, names[i].s);

		if (t)
			tidy(f, t);
		if (t && !ss->asleep && wants(f, t) && (!best || preload_count(t) < preload_count(best)))
			best = t;
	}
	if (f->phase != F_IDLE || !best)
		return;
	if (state_busy(ss->d)) {
		state_later(ss, LATER_MS);
		return;
	}
	if (!have_room(f, best))
		return;
	memcpy(f->t, best->name.s, sizeof f->t);
	f->name[0] = '\0';
	f->phase = F_BUILD;
	internal_call(ss->d, "admin.vm.state.Build", NULL, "dom0", f->t, state_there, f);
}
