/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which states may go: after a change that could matter, the key of every qube that may start from one is computed anew, and what the holder
 * has under any other key is dropped. The identities of the templates' roots come from the storage worker, one question a root.
 */
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/state.h"

#define SOON_MS 5000
#define AGAIN_MS 3600000 /* a kernel or QEMU may be replaced without anybody telling us */

/* One volume that qubes show. */
struct root {
	struct root *next;
	char pool[64], vid[120], head[64];
	char model[QNAME_MAX + 1]; /* a qube that shows it */
	enum volume_id id;
};

struct sweep {
	struct states *ss;
	struct root *roots, *asked;
	bool again; /* something changed meanwhile */
};

static void ask_next(struct sweep *s);

static void sweep_free(struct sweep *s)
{
	while (s->roots) {
		struct root *x = s->roots;

		s->roots = x->next;
		free(x);
	}
	s->ss->sweep = NULL;
	ev_timer_start(s->ss->sweep_timer, s->again ? SOON_MS : AGAIN_MS);
	free(s);
}

static struct root *shown_by(struct sweep *s, const struct qube *q, enum volume_id id)
{
	const struct volume *v = q->n_vols ? volume_source(s->ss->d->core, q, &q->vols[id], NULL) : NULL;
	struct root *x = v ? s->roots : NULL;

	while (x && (!streq(x->pool, v->pool) || !streq(x->vid, v->vid)))
		x = x->next;
	if (x || !v)
		return x;
	x = xcalloc(1, sizeof *x);
	memcpy(x->pool, v->pool, sizeof x->pool);
	memcpy(x->vid, v->vid, sizeof x->vid);
	memcpy(x->model, q->name.s, sizeof x->model);
	x->id = id;
	x->next = s->roots;
	s->roots = x;
	return x;
}

static bool counts(const struct core *c, const struct qube *q)
{
	const char *why;

	return (q->klass == K_APP || q->klass == K_DISP) && state_allowed(c, q, &why);
}

#define NAMES_MAX 16384 /* bytes of the names of qubes of one kind */

static void add_name(struct state_kind *k, const char *name)
{
	char *old = k->qubes;

	k->used = true;
	if (old && strlen(old) > NAMES_MAX)
		return;
	k->qubes = xasprintf("%s%s%s", old ? old : "", old ? " " : "", name);
	free(old);
}

static void mark_one(struct sweep *s, const struct qube *q)
{
	_cleanup_wr_ struct wr text = wr_grow(STATE_TEXT_MAX);
	struct root *x = counts(s->ss->d->core, q) ? shown_by(s, q, VOL_ROOT) : NULL;
	char key[STATE_KEY_LEN + 1];

	if (x && x->head[0] && state_compute(s->ss, q, x->head, &text, key, NULL) == 0)
		add_name(state_kind_get(s->ss, key, &text, q, NULL), q->name.s);
}

/* Every key that some qube has now is in the table, and marked. */
static void mark(struct sweep *s)
{
	struct core *core = s->ss->d->core;

	for (struct state_kind *k = s->ss->kinds; k; k = k->next) {
		k->used = k->builders != NULL;
		free(STEAL_PTR(k->qubes));
	}
	for (size_t i = 0; i < core->n_sorted; i++) {
		struct qube *q = core->sorted[i];

		mark_one(s, q);
		/* The next disposable of a template is expected any time. */
		if (q->klass == K_APP && prop_bool(core, q, P_template_for_dispvms)) {
			struct qube *disposable = state_disposable(q);

			mark_one(s, disposable);
			qube_free(disposable);
		}
	}
}

/* A preloaded disposable that shows what its template has no more. */
static void discard_outdated(struct sweep *s)
{
	static const enum volume_id ids[] = { VOL_ROOT, VOL_PRIVATE };
	struct core *core = s->ss->d->core;

	/* From the end: what is removed at once leaves the list. */
	for (size_t i = core->n_sorted; i-- > 0;) {
		struct qube *q = i < core->n_sorted ? core->sorted[i] : NULL;
		bool old = false;

		if (!q || !preload_waits(core, q))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(ids); k++) {
			const struct root *x = shown_by(s, q, ids[k]);

			old |= x && x->head[0] && q->vol_head[ids[k]][0] && !streq(x->head, q->vol_head[ids[k]]);
		}
		if (old)
			fill_discard(s->ss->d, q, "a volume of its template has changed");
	}
}

static void forget_unused(struct states *ss)
{
	struct state_kind *k, *next;
	const char *building = "";

	(void)build_runs(ss->build, &building);
	for (k = ss->kinds; k; k = next) {
		next = k->next;
		if (!k->used && !streq(k->key, building))
			state_kind_drop(ss, k);
	}
}

static void listed(void *arg, int k, const struct ipc_sp_state *v, size_t n, struct err *e)
{
	struct sweep *s = arg;
	struct states *ss = s->ss;

	if (k < 0) {
		if (k == -ENOTSUP)
			ss->unsupported = true;
		else
			log_warn("list of saved states: %s", err_text(e, k));
		sweep_free(s);
		return;
	}
	forget_unused(ss);
	for (struct state_kind *x = ss->kinds; x; x = x->next)
		x->there = false;
	for (size_t i = 0; i < n; i++) {
		struct state_kind *x = state_kind_find(ss, v[i].key);

		if (x) {
			x->there = true;
			continue;
		}
		log_info("the saved state %.8s is dropped: no qube is of that kind any more", v[i].key);
		if (state_drop(ss, v[i].key, NULL, NULL, e) < 0)
			log_warn("%s", e->msg);
	}
	sweep_free(s);
}

/* A root that nobody could tell about keeps what shows it: nothing is dropped for a failure of the disk. */
static void finish(struct sweep *s)
{
	struct err e = { 0 };

	for (const struct root *x = s->roots; x; x = x->next)
		if (!x->head[0]) {
			sweep_free(s);
			return;
		}
	mark(s);
	discard_outdated(s);
	if (state_list(s->ss, listed, s, &e) < 0) {
		log_warn("%s", e.msg);
		sweep_free(s);
	}
}

static void root_known(void *arg, int k, const struct st_reply *reply, struct err *e)
{
	struct sweep *s = arg;

	if (k < 0)
		log_debug("root %s: %s", s->asked->vid, err_text(e, k));
	else
		memcpy(s->asked->head, reply->head, sizeof s->asked->head);
	s->asked = s->asked->next;
	ask_next(s);
}

static void ask_next(struct sweep *s)
{
	struct core *core = s->ss->d->core;

	for (; s->asked; s->asked = s->asked->next) {
		const struct qube *q = qube_find(core, s->asked->model);
		struct st_request rq;
		struct err e = { 0 };

		if (q && q->n_vols && volume_request(core, q, &q->vols[s->asked->id], ST_START, &rq, &e) == 0 && rq.source[0] &&
		    storage_submit(s->ss->d, &rq, root_known, s, &e) == 0)
			return;
	}
	finish(s);
}

static void on_timer(struct ev_timer *t, void *arg)
{
	struct states *ss = arg;
	struct core *core = ss->d->core;
	struct sweep *s;

	if (ss->unsupported || !ss->program || ss->sweep)
		return;
	s = xcalloc(1, sizeof *s);
	s->ss = ss;
	ss->sweep = s;
	for (size_t i = 0; i < core->n_sorted; i++)
		if (counts(core, core->sorted[i])) {
			(void)shown_by(s, core->sorted[i], VOL_ROOT);
			if (preload_waits(core, core->sorted[i]))
				(void)shown_by(s, core->sorted[i], VOL_PRIVATE);
		}
	s->asked = s->roots;
	ask_next(s);
}

void sweep_soon(struct qd *d)
{
	struct states *ss = d->runs->states;

	if (ss->sweep) {
		ss->sweep->again = true;
		return;
	}
	if (!ss->sweep_timer)
		ss->sweep_timer = ev_timer_new(d->loop, on_timer, ss);
	ev_timer_start(ss->sweep_timer, SOON_MS);
}
