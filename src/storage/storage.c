/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Codec of storage requests, checks that every driver relies on, and dispatch. */
#include "storage/storage.h"

#include "base/str.h"
#include "storage/vol.h"

#define ST_SIZE_MAX (64ull << 40)

static const struct pool_ops *const drivers[] = { &pool_reflink, &pool_qcow2 };

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

static bool driver_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (streq(drivers[i]->name, name))
			return true;
	return false;
}

static bool request_ok(const struct st_request *q)
{
	if (q->op >= ST_OP_N || !vm_abs_ok(q->pool_dir))
		return false;
	if (q->op == ST_PROBE)
		return !q->driver[0];
	if (!driver_known(q->driver) || !vm_path_ok(q->vid) || !strchr(q->vid, '/'))
		return false;
	if (q->source[0] && (!vm_path_ok(q->source) || !strchr(q->source, '/')))
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
	wr_u8(w, p->dirty);
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
	p.dirty = get_bool(r);
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

static int probe(const struct st_request *q, struct st_reply *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		int r = drivers[i]->probe(q->pool_dir, e);

		if (r < 0)
			return r;
		if (r > 0)
			return str_copy(ret->driver, sizeof ret->driver, drivers[i]->name);
	}
	return err_set(e, ENOTSUP, "no storage driver fits '%s'", q->pool_dir);
}

static int run_op(const struct pool_ops *ops, struct vol *v, const struct st_request *q, struct st_reply *ret,
		  struct err *e)
{
	switch ((enum st_op)q->op) {
	case ST_CREATE:
		return ops->create(v, q->size, e);
	case ST_REMOVE:
		return vol_remove(v, ops->owns, e);
	case ST_START:
		return ops->start(v, q, ret, e);
	case ST_STOP:
		return ops->stop(v, q, ret, e);
	case ST_CLONE:
		return ops->clone(v, q, e);
	case ST_RESIZE:
		return ops->resize(v, q->size, e);
	case ST_IMPORT_BEGIN:
		return vol_import_begin(v, q->size, ret->text, sizeof ret->text, e);
	case ST_IMPORT_END:
		return q->ok ? ops->import(v, q, e) : vol_import_drop(v, e);
	case ST_INFO:
		return ops->info(v, ret, e);
	case ST_LIST_REVISIONS:
		return ops->revisions(v, q, ret, e);
	case ST_REVERT:
		return ops->revert(v, q, e);
	case ST_PROBE:
	case ST_OP_N:
		break;
	}
	return err_set(e, EINVAL, "storage: no such operation");
}

int storage_run(const struct st_request *q, struct st_reply *ret, struct err *e)
{
	_cleanup_(vol_fini) struct vol v = VOL_INIT;
	int r;

	memset(ret, 0, sizeof *ret);
	if (!request_ok(q))
		return err_set(e, EINVAL, "storage request is not valid");
	if (q->op == ST_PROBE)
		return probe(q, ret, e);
	/* A volume that only shows its source's state, or nothing that lasts, has no files of its own. */
	if (q->op == ST_STOP && (q->snap_on_start || !q->save_on_stop))
		return 0;
	if (q->op == ST_START && q->snap_on_start)
		r = q->source[0] ? 0 : err_set(e, EINVAL, "has no source");
	else
		r = vol_open(&v, q->pool_dir, q->vid, q->op == ST_CREATE || q->op == ST_CLONE || q->op == ST_IMPORT_BEGIN, e);
	if (r == -ENOENT && q->op == ST_REMOVE)
		return 0;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(drivers); i++)
		if (streq(drivers[i]->name, q->driver))
			r = run_op(drivers[i], &v, q, ret, e);
	return r < 0 ? err_add(e, r, "volume %s", q->vid) : 0;
}
