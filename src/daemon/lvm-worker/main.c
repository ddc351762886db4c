/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * lvm-worker: carries out one storage request in an LVM pool and ends; the image-worker's counterpart with the same messages. It is root, because
 * LVM is, but it reads nothing that a qube wrote: one typed request whose every name was checked, and what lvs prints. It sees only the
 * programs of the system, devices, and LVM's own directories; it has no network.
 */
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/rootfs.h"
#include "proto/ipc.h"
#include "storage/drivers.h"
#include "storage/storage.h"

#define FD_CHANNEL 3
#define REPLY_MAX (16 * 1024)

/* What LVM's programs need. Its locks and the sockets of udev are in /run; udev tells LVM about new nodes over SysV semaphores, so the namespace of
   these stays the host's. */
static const struct proc_bind visible[] = {
	{ .path = "/usr" },
	{ .path = "/bin", .optional = true },
	{ .path = "/sbin", .optional = true },
	{ .path = "/lib", .optional = true },
	{ .path = "/lib64", .optional = true },
	{ .path = "/etc/ld.so.cache", .optional = true },
	{ .path = "/etc/lvm", .rw = true, .optional = true },
	{ .path = "/dev", .rw = true, .dev = true },
	{ .path = "/sys" },
	{ .path = "/proc", .rw = true },
	{ .path = "/run/lvm", .rw = true, .optional = true },
	{ .path = "/run/lock", .rw = true, .optional = true },
	{ .path = "/run/udev", .optional = true },
};

static int confine(struct err *e)
{
	const char *step = "";
	int r;

	if (geteuid() != 0)
		return err_set(e, EPERM, "LVM pools need the system service: this instance runs as a user");
	/* Two places that LVM makes itself on a host that never used it. */
	(void)mkdir("/run/lvm", 0700);
	(void)mkdir("/run/lock", 0755);
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0)
		return err_errno(e, errno, "new namespaces");
	r = rootfs_enter(visible, ARRAY_SIZE(visible), false, &step);
	if (r < 0)
		return err_errno(e, -r, "minimal root: %s", step);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(e, errno, "confinement");
	return 0;
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
	if (!d || d->worker != WORKER_LVM)
		return err_set(e, EINVAL, "driver '%s' is not the lvm-worker's", q.driver);
	k = confine(e);
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

	log_init("lvm-worker", NULL, -1);
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
