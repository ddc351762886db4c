/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The life of a storage worker: descriptor 3 is a SEQPACKET socket; one SP_STORAGE message with a st_request comes in, one reply goes out. */
#include "storage/worker.h"

#include "base/log.h"
#include "proto/ipc.h"

#define FD_CHANNEL 3
#define REPLY_MAX (16 * 1024)

static int serve(const struct storage_worker *wk, const struct msg *m, struct err *e)
{
	static struct st_reply reply;
	static uint8_t buf[REPLY_MAX];
	struct wr w = wr_mem(buf, sizeof buf);
	const struct pool_driver *d;
	struct ipc_sp_storage head;
	struct st_request q;
	struct rd r = msg_rd(m);
	int k;

	if (m->type != IPC_SP_STORAGE || ipc_get_sp_storage(&r, &head) < 0 || st_request_get(&r, &q) < 0 || head.op != q.op)
		return err_set(e, EBADMSG, "malformed storage request");
	d = pool_driver_find(q.driver);
	if ((q.driver[0] || !wk->no_driver) && (!d || d->worker != wk->worker))
		return err_set(e, EINVAL, "driver '%s' is not the %s's", q.driver, wk->name);
	k = wk->confine(&q, e);
	if (k >= 0)
		k = storage_run(&q, &reply, e);
	if (k < 0)
		return k;
	st_reply_put(&w, &reply);
	k = msg_send(FD_CHANNEL, m->type, m->serial, MSG_F_REPLY, &w, NULL, 0);
	return k < 0 ? err_errno(e, -k, "sending the reply") : 0;
}

int storage_worker_main(const struct storage_worker *w)
{
	_cleanup_msg_ struct msg m = { 0 };
	struct err e = { 0 };
	int r;

	log_init(w->name, NULL, -1);
	r = msg_recv(FD_CHANNEL, &m);
	if (r <= 0)
		return r < 0 ? 1 : 0;
	r = serve(w, &m, &e);
	if (r < 0) {
		(void)ipc_send_err(FD_CHANNEL, m.type, m.serial, r, &e);
		return 1;
	}
	return 0;
}
