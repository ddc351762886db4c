/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Volumes of qubes as configuration (specs/storage-backup.md §1.1): what exists, where it lies, what it shows. */
#include "base/str.h"
#include "core/prop_rules.h"
#include "storage/drivers.h"

#define GIB (1024ull * 1024 * 1024)

static const char *const volume_names[VOL_N] = { "root", "private", "volatile", "kernel" };

void volumes_init(struct qube *q)
{
	bool based = q->klass == K_APP || q->klass == K_DISP;

	if (q->klass == K_ADMIN || q->klass == K_REMOTE)
		return;
	q->n_vols = VOL_N;
	for (unsigned i = 0; i < VOL_N; i++) {
		struct volume *v = &q->vols[i];

		v->name = volume_names[i];
		v->rw = i != VOL_KERNEL;
		v->ephemeral = -1;
		v->revisions_to_keep = 0;
		v->keep_set = i == VOL_KERNEL;
		if (i != VOL_KERNEL && str_printf(v->vid, sizeof v->vid, "%s/%s/%s", q->klass == K_TEMPLATE ? "vm-templates" : "appvms",
						  q->name.s, v->name) < 0)
			abort(); /* names are bounded */
	}
	q->vols[VOL_ROOT].snap_on_start = based;
	q->vols[VOL_ROOT].save_on_stop = !based;
	q->vols[VOL_ROOT].size = based ? 0 : 10 * GIB;
	q->vols[VOL_PRIVATE].snap_on_start = q->klass == K_DISP;
	q->vols[VOL_PRIVATE].save_on_stop = q->klass != K_DISP;
	q->vols[VOL_PRIVATE].size = q->klass == K_DISP ? 0 : 2 * GIB;
	q->vols[VOL_VOLATILE].size = q->klass == K_DISP ? 12 * GIB : 10 * GIB;
}

struct volume *volume_find(struct qube *q, const char *name)
{
	for (size_t i = 0; i < q->n_vols; i++)
		if (streq(q->vols[i].name, name))
			return &q->vols[i];
	return NULL;
}

const struct volume *volume_source(const struct core *c, const struct qube *q, const struct volume *v, struct qube **ret_owner)
{
	size_t i = (size_t)(v - q->vols);
	struct qube *t;

	if (!v->snap_on_start)
		return NULL;
	/* The chain ends at the first volume that keeps its own content: DispVM, AppVM, TemplateVM. */
	for (t = qube_template(c, q); t && t->n_vols && t->vols[i].snap_on_start; t = qube_template(c, t))
		;
	if (!t || !t->n_vols)
		return NULL;
	if (ret_owner)
		*ret_owner = t;
	return &t->vols[i];
}

/* What shows another volume lies in its pool: also the disposables of a qube whose template changes. */
A(a_template)
{
	for (size_t i = 0; i < c->n_sorted; i++) {
		struct qube *x = c->sorted[i];

		for (size_t k = 0; k < x->n_vols && qube_halted(x); k++) {
			const struct volume *src = volume_source(c, x, &x->vols[k], NULL);
			struct volume v = x->vols[k];

			if (!src || streq(src->pool, v.pool))
				continue;
			memcpy(v.pool, src->pool, sizeof v.pool);
			txn_volume(c, x, &x->vols[k], &v);
		}
	}
}

uint64_t volume_size(const struct core *c, const struct qube *q, const struct volume *v)
{
	const struct volume *s = volume_source(c, q, v, NULL);

	return s ? s->size : v->size;
}

static const char *pool_option(const struct core *c, const struct volume *v, const char *key)
{
	const struct pool *p = pool_find(c, v->pool);

	return p ? kv_get(&p->config, key) : NULL;
}

int64_t volume_keep(const struct core *c, const struct volume *v)
{
	const char *s;
	int64_t n;

	if (v->keep_set)
		return v->revisions_to_keep;
	s = pool_option(c, v, "revisions_to_keep");
	return s && str_i64(s, -1, INT32_MAX, &n) == 0 ? n : 1;
}

bool volume_ephemeral(const struct core *c, const struct volume *v)
{
	const char *s;
	bool b = false;

	if (v->snap_on_start || v->save_on_stop || !v->rw)
		return false;
	if (v->ephemeral >= 0)
		return v->ephemeral != 0;
	s = pool_option(c, v, "ephemeral_volatile");
	return s && str_bool(s, &b) == 0 && b;
}

int volume_request(const struct core *c, const struct qube *q, const struct volume *v, enum st_op op, struct st_request *ret,
		   struct err *e)
{
	const struct pool *p = pool_find(c, v->pool);
	const struct volume *s = volume_source(c, q, v, NULL);

	memset(ret, 0, sizeof *ret);
	if (!p)
		return err_set(e, AE_POOL_NOT_FOUND, "the pool of volume '%s' of '%s' does not exist", v->name, q->name.s);
	ret->op = (uint8_t)op;
	ret->rw = v->rw;
	ret->snap_on_start = v->snap_on_start;
	ret->save_on_stop = v->save_on_stop;
	ret->revisions_to_keep = (int32_t)volume_keep(c, v);
	ret->size = volume_on_disk(volume_size(c, q, v));
	if (str_copy(ret->driver, sizeof ret->driver, p->driver) < 0 ||
	    str_copy(ret->pool_dir, sizeof ret->pool_dir, pool_dir(p)) < 0 ||
	    str_copy(ret->vid, sizeof ret->vid, v->vid) < 0 ||
	    (s && str_copy(ret->source, sizeof ret->source, s->vid) < 0))
		return err_set(e, AE_STORAGE, "the path of pool '%s' is too long", p->name);
	return 0;
}

const char *pool_option_value(const void *arg, const char *name)
{
	const struct pool *p = arg;

	return kv_get(&p->config, name);
}

const char *pool_dir(const struct pool *p)
{
	static char ring[4][200];
	static unsigned next;
	const struct pool_driver *d = pool_driver_find(p->driver);
	char *out = ring[next++ % ARRAY_SIZE(ring)];

	return d && pool_expand(d->place, pool_option_value, p, out, sizeof ring[0]) == 0 ? out : "";
}

uint64_t pool_number(const struct pool *p, const char *option)
{
	const char *s = kv_get(&p->config, option);
	uint64_t n;

	return s && str_u64(s, INT64_MAX, &n) == 0 ? n : 0;
}

bool pool_over_limit(const struct pool *p)
{
	uint64_t limit = pool_number(p, "size_limit");

	return limit && p->used >= limit;
}

int pool_takes(const struct pool *p, uint64_t size, struct err *e)
{
	uint64_t most = pool_number(p, "volume_limit");

	if (most && size > most)
		return err_set(e, AE_STORAGE, "pool '%s' takes volumes of at most %llu bytes (its volume_limit)", p->name, (unsigned long long)most);
	if (pool_over_limit(p))
		return err_set(e, AE_STORAGE, "pool '%s' holds %llu bytes, as much as its size_limit allows: remove something or raise the limit",
			       p->name, (unsigned long long)p->used);
	return 0;
}

bool volume_on_device(const struct core *c, const struct volume *v)
{
	const struct pool *p = pool_find(c, v->pool);
	const struct pool_driver *d = p ? pool_driver_find(p->driver) : NULL;

	return d && d->kind == POOL_DEVICES;
}

const char *pool_default_for(const struct core *c, enum volume_id id)
{
	static const enum prop_id by_volume[VOL_N] = {
		[VOL_ROOT] = P_g_default_pool_root,
		[VOL_PRIVATE] = P_g_default_pool_private,
		[VOL_VOLATILE] = P_g_default_pool_volatile,
		[VOL_KERNEL] = P_g_default_pool_kernel,
	};
	static struct pval v;

	return prop_text(c, NULL, by_volume[id], &v);
}

bool pool_used(const struct core *c, const char *name)
{
	const struct qube *q, *tmp;

	HASH_ITER(hh_name, c->by_name, q, tmp)
		for (size_t i = 0; i < q->n_vols; i++)
			if (streq(q->vols[i].pool, name))
				return true;
	return false;
}
