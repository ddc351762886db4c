/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Removal: the row becomes "removing" (hidden) in one transaction, then the volumes go, then the row. A crash in between is finished
 * by api_sweep; removing a volume twice is harmless.
 */
#include "core/api/remove.h"

#include "base/log.h"
#include "base/str.h"

struct removal {
	struct core *core;
	struct qube *q;
	struct call *call;
	unsigned next_volume;
	bool was_shown;
};

static void step(struct removal *m);

static void finish(struct removal *m)
{
	struct core *core = m->core;
	struct call *c = m->call;
	char name[QNAME_MAX + 1];
	struct err e = { 0 };
	int r = 0;

	memcpy(name, m->q->name.s, sizeof name);
	if (c)
		c->locked = NULL;
	qube_release(core, m->q); /* they find nothing */
	if (m->was_shown) {
		event(core, m->q, "domain-remove-from-disk", NULL);
		event(core, NULL, "domain-delete", "vm", name, NULL);
	}
	txn_qube_del(core, m->q);
	if (c)
		call_finish(c, 0);
	else
		r = txn_commit(core, &e);
	if (r < 0)
		log_warn("the row of removed qube %s stays until the next start: %s", name, e.msg);
	free(m);
}

/* The row stays hidden; the next sweep tries again. */
static void abandon(struct removal *m, int r, struct err *e)
{
	struct call *c = m->call;

	log_warn("the volumes of %s could not be removed: %s", m->q->name.s, err_text(e, r));
	if (c) {
		c->err = *e;
		c->locked = NULL;
	}
	qube_release(m->core, m->q);
	if (c)
		call_finish(c, -r < ERR_DOMAIN_BASE ? err_set(&c->err, AE_STORAGE, "%s", err_text(e, r)) : r);
	free(m);
}

static void volume_gone(void *arg, int r, const struct st_reply *reply, struct err *e)
{
	struct removal *m = arg;

	if (r < 0) {
		abandon(m, r, e);
		return;
	}
	m->next_volume++;
	step(m);
}

/* On devices a crash leaves something also of what does not last. */
static bool has_storage(const struct core *c, const struct volume *v)
{
	return v->save_on_stop || volume_on_device(c, v);
}

static void step(struct removal *m)
{
	struct err e = { 0 };
	struct st_request rq;
	int r;

	while (m->next_volume < m->q->n_vols && !has_storage(m->core, &m->q->vols[m->next_volume]))
		m->next_volume++;
	if (m->next_volume == m->q->n_vols) {
		finish(m);
		return;
	}
	r = volume_request(m->core, m->q, &m->q->vols[m->next_volume], ST_REMOVE, &rq, &e);
	if (r == 0)
		r = m->core->ops->storage(m->core->ops_ctx, &rq, volume_gone, m, &e);
	if (r < 0)
		abandon(m, r, &e);
}

static void begin(struct core *core, struct qube *q, struct call *c, bool was_shown)
{
	struct removal *m = xcalloc(1, sizeof *m);

	q->busy = true;
	m->core = core;
	m->q = q;
	m->call = c;
	m->was_shown = was_shown;
	step(m);
}

void removal_start(struct core *core, struct qube *q, struct call *c)
{
	begin(core, q, c, false);
}

static int refuse(struct call *c)
{
	struct qube *q = c->dest;
	char by[96];

	if (q == c->core->dom0)
		return err_set(&c->err, AE_VM_IN_USE, "dom0 cannot be removed");
	if (!qube_halted(q) && q->klass != K_REMOTE)
		return err_set(&c->err, AE_VM_NOT_HALTED, "'%s' is not halted", q->name.s);
	if (prop_find(q, "installed_by_rpm") && prop_bool(c->core, q, P_installed_by_rpm))
		return err_set(&c->err, AE_VM_IN_USE, "'%s' belongs to a package: remove that", q->name.s);
	if (qube_used_by(c->core, q, by))
		return err_set(&c->err, AE_VM_IN_USE, "'%s' is the %s", q->name.s, by);
	return 0;
}

int api_remove(struct call *c)
{
	int r = refuse(c);

	if (r < 0)
		return r;
	event(c->core, NULL, "domain-pre-delete", "vm", c->dest->name.s, NULL);
	txn_qube_row(c->core, c->dest, ROW_REMOVING);
	r = txn_commit(c->core, &c->err);
	if (r < 0)
		return r;
	begin(c->core, c->dest, c, true);
	return CALL_PENDING;
}

void qube_remove_now(struct core *core, struct qube *q)
{
	struct err e = { 0 };

	event(core, NULL, "domain-pre-delete", "vm", q->name.s, NULL);
	txn_qube_row(core, q, ROW_REMOVING);
	if (txn_commit(core, &e) < 0) {
		log_warn("disposable %s stays: %s", q->name.s, e.msg);
		return;
	}
	begin(core, q, NULL, true);
}

void api_sweep(struct core *core)
{
	struct qube *q, *tmp;

	HASH_ITER(hh_name, core->by_name, q, tmp) {
		if (q->row == ROW_READY || q->busy)
			continue;
		log_info("qube %s was left half-way: removing it", q->name.s);
		begin(core, q, NULL, false);
	}
}
