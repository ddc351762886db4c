/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * image-worker: carries out one storage request and ends. Descriptor 3 is a SEQPACKET socket: one SP_STORAGE message with a
 * st_request comes in, one reply goes out. Before it touches the pool it confines itself to that pool's directory: it can reach no
 * other file, no network, and start nothing, since overlay headers were written by QEMUs that may have been taken over.
 */
#include <fcntl.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "proto/ipc.h"
#include "storage/drivers.h"
#include "storage/storage.h"

#define FD_CHANNEL 3
#define REPLY_MAX (16 * 1024)

static int confine(const struct st_request *q, struct err *e)
{
	struct sandbox_path path = { .path = q->pool_dir, .write = true };

	return sandbox_enter(SB_IMAGE_WORKER, &path, 1, e);
}

static int serve(const struct msg *m, struct err *e)
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
	if (q.driver[0] && (!d || d->worker != WORKER_IMAGE))
		return err_set(e, EINVAL, "driver '%s' is not the image-worker's", q.driver);
	k = confine(&q, e);
	if (k >= 0)
		k = storage_run(&q, &reply, e);
	if (k < 0)
		return k;
	st_reply_put(&w, &reply);
	k = msg_send(FD_CHANNEL, m->type, m->serial, MSG_F_REPLY, &w, NULL, 0);
	return k < 0 ? err_errno(e, -k, "sending the reply") : 0;
}

int main(void)
{
	_cleanup_msg_ struct msg m = { 0 };
	struct err e = { 0 };
	int r;

	log_init("image-worker", NULL, -1);
	r = msg_recv(FD_CHANNEL, &m);
	if (r <= 0)
		return r < 0 ? 1 : 0;
	r = serve(&m, &e);
	if (r < 0) {
		(void)ipc_send_err(FD_CHANNEL, m.type, m.serial, r, &e);
		return 1;
	}
	return 0;
}
