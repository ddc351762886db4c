/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One Admin API request as it comes from a socket, through framing, checks and handlers of a small system without a database. */
#include "base/paths.h"
#include "core/api/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static int ok0(void *ctx, struct err *e)
{
	return 0;
}

static void none(void *ctx)
{
}

static int ok_qube(void *ctx, const struct qube *q, struct err *e)
{
	return 0;
}

static int ok_kv(void *ctx, enum kv_table t, const char *owner, const char *key, const char *value, struct err *e)
{
	return 0;
}

static int ok_volume(void *ctx, const struct qube *q, const struct volume *v, struct err *e)
{
	return 0;
}

static int ok_label(void *ctx, const struct label *l, struct err *e)
{
	return 0;
}

static int ok_pool(void *ctx, const struct pool *p, struct err *e)
{
	return 0;
}

static const struct db_ops db = { ok0, ok0, none, ok_qube, ok_qube, ok_kv, ok_volume, ok_label, ok_label, ok_pool, ok_pool };

/* Storage operations fail at once, so that no call stays open. */
static int no_storage(void *ctx, const struct st_request *q, storage_fn fn, void *arg, struct err *e)
{
	return err_set(e, EIO, "no storage");
}

static const struct core_ops ops = { .storage = no_storage };

static void on_done(struct call *c)
{
	_cleanup_wr_ struct wr w = wr_grow(1u << 20);

	call_answer(c, &w);
	if (!wr_ok(&w) || w.len < 2)
		abort(); /* every well framed request is answered */
	sink += w.len;
	call_free(c);
}

static struct core *make(void)
{
	static const struct uuid a = { "00000000-0000-4000-8000-000000000001" }, b = { "00000000-0000-4000-8000-000000000002" };
	struct core *c = core_new(&ops, NULL, &db, NULL);
	struct qube *t = qube_alloc("deb", &a, 1, K_TEMPLATE), *q = qube_alloc("work", &b, 2, K_APP);
	struct err e;

	if (paths_init("/nonexistent", &e) < 0 || core_init_fresh(c, "file-qcow2", &e) < 0)
		abort();
	for (unsigned i = 0; i < VOL_N; i++) {
		memcpy(t->vols[i].pool, "default", 8);
		memcpy(q->vols[i].pool, "default", 8);
	}
	txn_qube_add(c, t);
	txn_qube_add(c, q);
	txn_prop(c, t, P_label, "black");
	txn_prop(c, q, P_label, "red");
	txn_prop(c, q, P_template, "deb");
	c->no_vms = true;
	if (txn_commit(c, &e) < 0)
		abort();
	return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A new system each time keeps inputs independent of each other. First byte: the socket. */
	struct core *c = make();
	struct call *call;
	uint8_t *bytes;

	if (size < 1) {
		core_free(c);
		return 0;
	}
	bytes = xmalloc(size);
	memcpy(bytes, data + 1, size - 1);
	call = call_new(c, bytes, size - 1, 1u << (data[0] % 3));
	call->done = on_done;
	if (call_start(call) < 0)
		call_free(call);
	core_free(c);
	return 0;
}
