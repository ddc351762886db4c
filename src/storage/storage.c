/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Codec of storage requests, checks that every driver relies on, and dispatch. */
#include "storage/storage.h"

#include "base/str.h"
#include "storage/vol.h" /* vol_open, names; drivers are known through their table only */

#define ST_SIZE_MAX (64ull << 40)

/* In the order of pool_drivers, whose rows without volumes have none. */
static const struct pool_ops *const ops_of[] = {
#define DRIVER(ops, ...) &pool_##ops,
#define DRIVER_NO_VOLUMES(...) NULL,
#include "storage/drivers.def"
};

void st_request_put(struct wr *w, const struct st_request *q)
{
	wr_u8(w, q->op);
	wr_lstr(w, q->driver);
	wr_lstr(w, q->pool_dir);
	wr_lstr(w, q->vid);
	wr_lstr(w, q->source);
	wr_u8(w, q->rw);
	wr_u8(w, q->snap_on_start);
	wr_u8(w, q->save_on_stop);
	wr_u8(w, q->ok);
	wr_u32le(w, (uint32_t)q->revisions_to_keep);
	wr_u64le(w, q->size);
	wr_lstr(w, q->revision);
}

static bool get_bool(struct rd *r)
{
	uint8_t v = rd_u8(r);

	if (v > 1)
		rd_fail(r);
	return v == 1;
}

static bool path_of_volume(const char *s)
{
	return vm_path_ok(s) && strchr(s, '/');
}

static bool of_pool(uint8_t op)
{
	return op == ST_PROBE || op == ST_SWEEP || op == ST_USAGE;
}

static bool request_ok(const struct st_request *q)
{
	const struct pool_driver *d = pool_driver_find(q->driver);

	if (q->op >= ST_OP_N || !vm_abs_ok(q->pool_dir))
		return false;
	if (of_pool(q->op) && q->op != ST_PROBE && (q->vid[0] || q->source[0] || q->revision[0]))
		return false;
	if (q->op == ST_PROBE && !q->driver[0])
		return true;
	if (!d || d->kind == POOL_KERNELS || !pool_place_ok(d, q->pool_dir))
		return false;
	if (of_pool(q->op))
		return true;
	if (!path_of_volume(q->vid) || (q->source[0] && !path_of_volume(q->source)))
		return false;
	if (q->revision[0] && (!vm_path_ok(q->revision) || strchr(q->revision, '/')))
		return false;
	return q->size <= ST_SIZE_MAX && q->size % 512 == 0 && q->revisions_to_keep >= -1;
}

int st_request_get(struct rd *r, struct st_request *ret)
{
	struct st_request q;

	memset(&q, 0, sizeof q);
	q.op = rd_u8(r);
	rd_lstr(r, q.driver, sizeof q.driver);
	rd_lstr(r, q.pool_dir, sizeof q.pool_dir);
	rd_lstr(r, q.vid, sizeof q.vid);
	rd_lstr(r, q.source, sizeof q.source);
	q.rw = get_bool(r);
	q.snap_on_start = get_bool(r);
	q.save_on_stop = get_bool(r);
	q.ok = get_bool(r);
	q.revisions_to_keep = (int32_t)rd_u32le(r);
	q.size = rd_u64le(r);
	rd_lstr(r, q.revision, sizeof q.revision);
	if (!rd_done(r))
		return -EBADMSG;
	if (!request_ok(&q))
		return -EINVAL;
	*ret = q;
	return 0;
}

void st_reply_put(struct wr *w, const struct st_reply *p)
{
	wr_u64le(w, p->size);
	wr_u64le(w, p->usage);
	wr_u64le(w, p->meta_size);
	wr_u64le(w, p->meta_usage);
	wr_u8(w, p->dirty);
	wr_u8(w, p->own);
	wr_lstr(w, p->head);
	wr_lstr(w, p->driver);
	if (p->n_layers > VM_LAYERS_MAX)
		wr_fail(w);
	wr_u32le(w, p->n_layers);
	for (uint32_t i = 0; i < p->n_layers && i < VM_LAYERS_MAX; i++) {
		wr_lstr(w, p->layers[i].path);
		wr_u8(w, p->layers[i].format);
	}
	wr_lstr(w, p->text);
}

int st_reply_get(struct rd *r, struct st_reply *ret)
{
	struct st_reply p;

	memset(&p, 0, sizeof p);
	p.size = rd_u64le(r);
	p.usage = rd_u64le(r);
	p.meta_size = rd_u64le(r);
	p.meta_usage = rd_u64le(r);
	p.dirty = get_bool(r);
	p.own = get_bool(r);
	rd_lstr(r, p.head, sizeof p.head);
	rd_lstr(r, p.driver, sizeof p.driver);
	p.n_layers = rd_u32le(r);
	if (p.n_layers > VM_LAYERS_MAX)
		rd_fail(r);
	for (uint32_t i = 0; rd_ok(r) && i < p.n_layers; i++) {
		rd_lstr(r, p.layers[i].path, sizeof p.layers[i].path);
		p.layers[i].format = rd_u8(r);
		if (!vm_path_ok(p.layers[i].path) || p.layers[i].format >= VM_FMT_N)
			rd_fail(r);
	}
	rd_lstr(r, p.text, sizeof p.text);
	if (!rd_done(r))
		return -EBADMSG;
	*ret = p;
	return 0;
}

/* One row. 0 and a text: it does not fit. */
static int probe_row(size_t i, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	int r = ops_of[i]->probe(q->pool_dir, e);

	if (r > 0 && str_copy(ret->driver, sizeof ret->driver, pool_drivers[i].name) < 0)
		abort(); /* names of drivers are constants */
	return r;
}

static int probe(const struct st_request *q, struct st_reply *ret, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < pool_drivers_n; i++) {
		/* Without a name only a directory can be meant. */
		if (ops_of[i] && (q->driver[0] ? streq(q->driver, pool_drivers[i].name) : pool_drivers[i].kind == POOL_FILES))
			r = probe_row(i, q, ret, e);
	}
	if (r == 0)
		return e && e->code ? -e->code : err_set(e, ENOTSUP, "no storage driver fits '%s'", q->pool_dir);
	return MIN(r, 0);
}

static int pool_op(const struct pool_driver *d, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	const struct pool_ops *ops = ops_of[d - pool_drivers];

	if (q->op == ST_USAGE)
		return ops->usage ? ops->usage(q->pool_dir, ret, e) : err_set(e, ENOTSUP, "driver %s does not tell usage", d->name);
	return ops->sweep ? ops->sweep(q->pool_dir, e) : 0;
}

static int export_op(const struct pool_ops *ops, struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	char file[160];
	int r;

	if (ops->export_end)
		return q->op == ST_EXPORT_BEGIN ? ops->export_begin(v, q->revision, ret, e) : ops->export_end(v, q->revision, e);
	r = vol_export_name(v, q->revision, file, e);
	if (r < 0)
		return r;
	if (q->op == ST_EXPORT_END)
		return vol_unlink(v, file, e);
	r = ops->export_begin(v, file, ret, e);
	return r < 0 ? r : vol_path(v, file, ret->text, sizeof ret->text, e);
}

static int run_op(const struct pool_ops *ops, struct vol *v, const struct st_request *q, struct st_reply *ret,
		  struct err *e)
{
	switch ((enum st_op)q->op) {
	case ST_CREATE:
		return ops->create(v, q->size, e);
	case ST_REMOVE:
		return ops->remove(v, e);
	case ST_START:
		return ops->start(v, q, ret, e);
	case ST_STOP:
		return ops->stop(v, q, ret, e);
	case ST_CLONE:
		return ops->clone(v, q, e);
	case ST_RESIZE:
		return ops->resize(v, q->size, e);
	case ST_IMPORT_BEGIN:
		return ops->import_begin(v, q, ret, e);
	case ST_IMPORT_END:
		return q->ok ? ops->import(v, q, e) : ops->import_drop(v, e);
	case ST_INFO:
		return ops->info(v, ret, e);
	case ST_LIST_REVISIONS:
		return ops->revisions(v, q, ret, e);
	case ST_REVERT:
		return ops->revert(v, q, e);
	case ST_EXPORT_BEGIN:
	case ST_EXPORT_END:
		return export_op(ops, v, q, ret, e);
	case ST_PROBE:
	case ST_SWEEP:
	case ST_USAGE:
	case ST_OP_N:
		break;
	}
	return err_set(e, EINVAL, "storage: no such operation");
}

int storage_open_device(const char *place, const char *name, bool rw, struct err *e)
{
	for (size_t i = 0; i < pool_drivers_n; i++)
		if (pool_drivers[i].kind == POOL_DEVICES && pool_place_ok(&pool_drivers[i], place))
			return ops_of[i]->open(place, name, rw, e);
	return err_set(e, EACCES, "'%s' is not a pool of devices", place);
}

/* The names of a volume, and for one of files its directory. */
static int open_volume(struct vol *v, const struct pool_driver *d, const struct st_request *q, struct err *e)
{
	if (q->op == ST_START && q->snap_on_start && !q->source[0])
		return err_set(e, EINVAL, "has no source");
	if (d->kind != POOL_FILES || (q->op == ST_START && q->snap_on_start))
		return vol_parse(v, q->pool_dir, q->vid, e);
	return vol_open(v, q->pool_dir, q->vid, q->op == ST_CREATE || q->op == ST_CLONE || q->op == ST_IMPORT_BEGIN, e);
}

int storage_run(const struct st_request *q, struct st_reply *ret, struct err *e)
{
	_cleanup_(vol_fini) struct vol v = VOL_INIT;
	const struct pool_driver *d = pool_driver_find(q->driver);
	int r;

	memset(ret, 0, sizeof *ret);
	if (!request_ok(q))
		return err_set(e, EINVAL, "storage request is not valid");
	if (q->op == ST_PROBE)
		return probe(q, ret, e);
	if (of_pool(q->op))
		return pool_op(d, q, ret, e);
	/* In a pool of files, a volume that only shows its source's state, or nothing that lasts, has no files of its own. */
	if (q->op == ST_STOP && d->kind == POOL_FILES && (q->snap_on_start || !q->save_on_stop))
		return 0;
	r = open_volume(&v, d, q, e);
	if (r == -ENOENT && (q->op == ST_REMOVE || q->op == ST_EXPORT_END))
		return 0;
	if (r >= 0)
		r = run_op(ops_of[d - pool_drivers], &v, q, ret, e);
	return r < 0 ? err_add(e, r, "volume %s", q->vid) : 0;
}
