/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Storage operations of the core: one message to the spawner each. */
#include "storage/storage.h"

#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/state.h"
#include "storage/drivers.h"

struct pending {
	struct qd *d;
	storage_fn fn;
	void *arg;
	uint8_t op;
	char driver[24], place[200];
};

/* Starts, stops and empty volumes are frequent and take little: only where little counts. */
static bool moves_room(uint8_t op, bool *little)
{
	*little = op == ST_CREATE || op == ST_REMOVE || op == ST_START || op == ST_STOP;
	return *little || op == ST_CLONE || op == ST_RESIZE || op == ST_IMPORT_END || op == ST_REVERT;
}

static void on_reply(void *arg, int r, struct msg *m, struct err *e)
{
	struct pending p = *(struct pending *)arg;
	struct st_reply reply = { 0 };
	bool little;

	free(arg);
	if (r == 0) {
		struct rd rd = msg_rd(m);

		if (st_reply_get(&rd, &reply) < 0)
			r = err_set(e, EBADMSG, "malformed answer of the storage worker");
	}
	p.fn(p.arg, r, r < 0 ? NULL : &reply, e);
	/* A committed state has changed, and with it perhaps what saved machines show of it. */
	if (r >= 0 && p.d->runs && (p.op == ST_STOP || p.op == ST_IMPORT_END || p.op == ST_REVERT || p.op == ST_CLONE || p.op == ST_RESIZE))
		sweep_soon(p.d);
	/* Also one that failed may have taken or given back room. */
	if (p.d->runs && moves_room(p.op, &little))
		run_pools_changed(p.d, p.driver, p.place, little);
}

int storage_submit(void *ctx, const struct st_request *q, storage_fn fn, void *arg, struct err *e)
{
	struct qd *d = ctx;
	_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);
	struct ipc_sp_storage head = { .op = q->op };
	struct pending *p;
	int r;

	ipc_put_sp_storage(&w, &head);
	st_request_put(&w, q);
	p = xcalloc(1, sizeof *p);
	*p = (struct pending){ .d = d, .fn = fn, .arg = arg, .op = q->op };
	memcpy(p->driver, q->driver, sizeof p->driver);
	memcpy(p->place, q->pool_dir, sizeof p->place);
	r = peer_request(d->spawner, IPC_SP_STORAGE, &w, NULL, 0, on_reply, p, e);
	if (r < 0)
		free(p);
	return r;
}

struct sweep {
	struct qd *d;
	void (*done)(struct qd *d);
	unsigned open; /* answers that are awaited, and one for the loop that asks */
};

static void swept(void *arg, int r, const struct st_reply *reply, struct err *e)
{
	struct sweep *s = arg;

	/* A pool that is away now is no reason not to serve the others. */
	if (r < 0)
		log_warn("tidying a pool: %s", err_text(e, r));
	if (--s->open)
		return;
	s->done(s->d);
	free(s);
}

void storage_sweep(struct qd *d, void (*done)(struct qd *d))
{
	struct sweep *s = xcalloc(1, sizeof *s);
	struct err e = { 0 };

	*s = (struct sweep){ d, done, 1 };
	for (const struct pool *p = d->core->pools; p; p = p->next) {
		const struct pool_driver *driver = pool_driver_find(p->driver);
		struct st_request rq = { .op = ST_SWEEP };

		if (!driver || driver->kind == POOL_KERNELS || str_copy(rq.driver, sizeof rq.driver, p->driver) < 0 ||
		    str_copy(rq.pool_dir, sizeof rq.pool_dir, pool_dir(p)) < 0)
			continue;
		if (storage_submit(d, &rq, swept, s, &e) == 0)
			s->open++;
		else
			log_warn("tidying pool %s: %s", p->name, e.msg);
	}
	swept(s, 0, NULL, &e);
}
