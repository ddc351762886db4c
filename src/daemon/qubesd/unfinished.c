/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Updates that do not come to their end. */
#include "daemon/qubesd/unfinished.h"

#include "base/log.h"
#include "core/api/api.h"
#include "daemon/qubesd/run.h"

#define FEATURE "update-unfinished"

struct leftover {
	struct qd *d;
	struct qube *q; /* stays: it is busy */
	size_t volume;
};

static void next_volume(struct leftover *l);

bool unfinished_is(const struct qube *q)
{
	return kv_get(&q->features, FEATURE) != NULL;
}

void unfinished_done(struct core *core, struct qube *q)
{
	if (!unfinished_is(q))
		return;
	log_warn("%s: an update did not come to its end: the qube is as it was before", q->name.s);
	feature_change(core, q, FEATURE, NULL);
}

static void volume_done(void *arg, int r, const struct st_reply *reply, struct err *e)
{
	struct leftover *l = arg;

	/* The mark stays then, and the next start of this daemon tries again. */
	if (r < 0) {
		log_error("%s: taking back an update: volume '%s': %s", l->q->name.s, l->q->vols[l->volume].name, err_text(e, r));
		qube_release(l->d->core, l->q);
		free(l);
		return;
	}
	l->volume++;
	next_volume(l);
}

static void next_volume(struct leftover *l)
{
	struct core *core = l->d->core;
	struct st_request rq;
	struct err e = { 0 };

	for (; l->volume < l->q->n_vols; l->volume++) {
		const struct volume *v = &l->q->vols[l->volume];
		int r;

		if (!v->save_on_stop)
			continue;
		r = volume_request(core, l->q, v, ST_STOP, &rq, &e);
		rq.ok = true;
		if (r == 0)
			r = storage_submit(l->d, &rq, volume_done, l, &e);
		if (r < 0)
			volume_done(l, r, NULL, &e);
		return;
	}
	unfinished_done(core, l->q);
	if (txn_commit(core, &e) < 0)
		log_error("%s: %s", l->q->name.s, e.msg);
	qube_release(core, l->q);
	free(l);
}

void unfinished_start(struct qd *d)
{
	for (size_t i = 0; d->runs && i < d->core->n_sorted; i++) {
		struct qube *q = d->core->sorted[i];
		struct leftover *l;

		if (!unfinished_is(q) || !qube_halted(q) || q->busy)
			continue;
		l = xcalloc(1, sizeof *l);
		*l = (struct leftover){ .d = d, .q = q };
		q->busy = true;
		next_volume(l);
	}
}
