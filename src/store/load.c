/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From rows to objects. The file is ours, but it may be old, new, or edited by hand: every value is checked again. */
#include "base/log.h"
#include "base/str.h"
#include "core/device.h"
#include "store/internal.h"

struct loader {
	struct store *s;
	struct core *c;
	struct err *e;
};

/* Calls fn for each row of a query. */
static int each(struct loader *l, const char *sql, int (*fn)(struct loader *l, sqlite3_stmt *st))
{
	sqlite3_stmt *st = NULL;
	int r = 0, k;

	if (sqlite3_prepare_v2(store_db(l->s), sql, -1, &st, NULL) != SQLITE_OK)
		return store_fail(store_db(l->s), l->e, "database");
	while (r == 0 && (k = sqlite3_step(st)) != SQLITE_DONE)
		r = k == SQLITE_ROW ? fn(l, st) : store_fail(store_db(l->s), l->e, "database");
	sqlite3_finalize(st);
	return r;
}

static const char *col(sqlite3_stmt *st, int i)
{
	const char *s = (const char *)sqlite3_column_text(st, i);

	return s ? s : "";
}

static int damaged(struct loader *l, const char *table, sqlite3_stmt *st)
{
	char shown[80];

	return err_set(l->e, EUCLEAN, "table %s has a row that makes no sense: '%s'", table,
		       str_escape(shown, sizeof shown, col(st, 0), strlen(col(st, 0))));
}

static int row_label(struct loader *l, sqlite3_stmt *st)
{
	struct label *x = xcalloc(1, sizeof *x);
	int64_t idx = sqlite3_column_int64(st, 1);

	x->index = (uint32_t)idx;
	if (idx < 1 || idx > UINT32_MAX || str_copy(x->name, sizeof x->name, col(st, 0)) < 0 || !label_ok(x->name) ||
	    str_copy(x->value, sizeof x->value, col(st, 2)) < 0) {
		free(x);
		return damaged(l, "labels", st);
	}
	label_link(l->c, x);
	return 0;
}

static int row_pool(struct loader *l, sqlite3_stmt *st)
{
	struct pool *p = xcalloc(1, sizeof *p);

	if (str_copy(p->name, sizeof p->name, col(st, 0)) < 0 || !pool_ok(p->name) ||
	    str_copy(p->driver, sizeof p->driver, col(st, 1)) < 0) {
		free(p);
		return damaged(l, "pools", st);
	}
	pool_link(l->c, p);
	return 0;
}

static int row_pool_config(struct loader *l, sqlite3_stmt *st)
{
	struct pool *p = pool_find(l->c, col(st, 0));

	if (p)
		kv_set(&p->config, col(st, 1), col(st, 2));
	return 0;
}

static int row_qube(struct loader *l, sqlite3_stmt *st)
{
	int64_t qid = sqlite3_column_int64(st, 1);
	enum klass k = klass_parse(col(st, 3));
	struct uuid uuid;
	struct qname name;
	struct qube *q;

	if (uuid_parse(&uuid, col(st, 0)) < 0 || qid < 0 || qid > QID_MAX || l->c->by_qid[qid] || k == K_N ||
	    qname_parse(&name, col(st, 2), NULL) < 0 || (k == K_ADMIN) != (qid == 0))
		return damaged(l, "qubes", st);
	q = qube_alloc(name.s, &uuid, (uint32_t)qid, k);
	q->row = streq(col(st, 4), "ready") ? ROW_READY : streq(col(st, 4), "creating") ? ROW_CREATING : ROW_REMOVING;
	qube_link(l->c, q);
	return 0;
}

static struct qube *owner(struct loader *l, sqlite3_stmt *st)
{
	struct qube *q = NULL;
	const char *uuid = col(st, 0);

	HASH_FIND(hh_uuid, l->c->by_uuid, uuid, strlen(uuid), q); /* hidden ones too */
	return q;
}

static int row_prop(struct loader *l, sqlite3_stmt *st)
{
	struct qube *q = owner(l, st);
	const struct prop *p = q ? prop_find(q, col(st, 1)) : NULL;

	if (!p || strlen(col(st, 2)) >= PV_BUF) {
		log_warn("qube %s: stored property '%s' is not known", q ? q->name.s : "?", log_escs(col(st, 1)));
		return 0;
	}
	free(q->props[prop_id(p)]);
	q->props[prop_id(p)] = xstrdup(col(st, 2));
	return 0;
}

static int row_global(struct loader *l, sqlite3_stmt *st)
{
	const struct prop *p = prop_find(NULL, col(st, 1));

	if (!p || strlen(col(st, 2)) >= PV_BUF) {
		log_warn("stored property '%s' of the system is not known", log_escs(col(st, 1)));
		return 0;
	}
	free(l->c->globals[prop_id(p)]);
	l->c->globals[prop_id(p)] = xstrdup(col(st, 2));
	return 0;
}

static int row_feature(struct loader *l, sqlite3_stmt *st)
{
	struct qube *q = owner(l, st);

	if (q)
		kv_set(&q->features, col(st, 1), col(st, 2));
	return 0;
}

static int row_tag(struct loader *l, sqlite3_stmt *st)
{
	struct qube *q = owner(l, st);

	if (q)
		kv_set(&q->tags, col(st, 1), "");
	return 0;
}

static int row_device(struct loader *l, sqlite3_stmt *st)
{
	struct qube *q = owner(l, st);

	if (!q || !device_row_ok(col(st, 1), col(st, 2))) {
		log_warn("qube %s: a stored assignment of a device is not understood: '%s'", q ? q->name.s : "?", log_escs(col(st, 1)));
		return 0;
	}
	kv_set(&q->devices, col(st, 1), col(st, 2));
	return 0;
}

static int row_number(struct loader *l, sqlite3_stmt *st)
{
	uint64_t id, when;

	if (str_u64(col(st, 1), DISP_NUMBERS - 1, &id) < 0 || str_u64(col(st, 2), INT64_MAX, &when) < 0)
		return damaged(l, "disposable_numbers", st);
	l->c->disp_used[id] = (int64_t)when;
	return 0;
}

static int row_text(struct loader *l, sqlite3_stmt *st)
{
	struct qube *q = owner(l, st);
	char **slot = !q ? NULL : streq(col(st, 1), "notes") ? &q->notes : streq(col(st, 1), "firewall") ? &q->firewall : NULL;

	if (slot) {
		free(*slot);
		*slot = xstrdup(col(st, 2));
	}
	return 0;
}

static int row_volume(struct loader *l, sqlite3_stmt *st)
{
	struct qube *q = owner(l, st);
	struct volume *v = q ? volume_find(q, col(st, 1)) : NULL;
	int64_t size = sqlite3_column_int64(st, 3);

	if (!v)
		return 0;
	if (size < 0 || str_copy(v->pool, sizeof v->pool, col(st, 2)) < 0)
		return damaged(l, "volumes", st);
	v->size = (uint64_t)size;
	v->rw = sqlite3_column_int(st, 4) != 0;
	if (sqlite3_column_type(st, 5) != SQLITE_NULL) {
		v->keep_set = true;
		v->revisions_to_keep = sqlite3_column_int64(st, 5);
	}
	v->ephemeral = sqlite3_column_type(st, 6) == SQLITE_NULL ? -1 : (int8_t)(sqlite3_column_int(st, 6) != 0);
	return 0;
}

int store_load(struct store *s, struct core *c, struct err *e)
{
	static const struct {
		const char *sql;
		int (*fn)(struct loader *l, sqlite3_stmt *st);
	} steps[] = {
		{ "SELECT name, idx, value FROM labels", row_label },
		{ "SELECT name, driver FROM pools", row_pool },
		{ "SELECT owner, key, value FROM pool_config", row_pool_config },
		{ "SELECT owner, key, value FROM globals", row_global },
		{ "SELECT uuid, qid, name, class, state FROM qubes", row_qube },
		{ "SELECT owner, key, value FROM props", row_prop },
		{ "SELECT owner, key, value FROM features", row_feature },
		{ "SELECT owner, key, value FROM tags", row_tag },
		{ "SELECT owner, key, value FROM device_assignments", row_device },
		{ "SELECT owner, key, value FROM disposable_numbers", row_number },
		{ "SELECT owner, key, value FROM texts", row_text },
		{ "SELECT owner, name, pool, size, rw, keep, ephemeral FROM volumes", row_volume },
	};
	struct loader l = { .s = s, .c = c, .e = e };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(steps) && r == 0; i++)
		r = each(&l, steps[i].sql, steps[i].fn);
	if (r == 0 && !c->dom0)
		r = err_set(e, EUCLEAN, "the database has no dom0");
	return r;
}
