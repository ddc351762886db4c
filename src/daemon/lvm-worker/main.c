/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * lvm-worker: carries out one storage request in an LVM pool and ends (storage/worker.h). It is root, because
 * LVM is, but it reads nothing that a qube wrote: one typed request whose every name was checked, and what lvs prints. It sees only the
 * programs of the system, devices, and LVM's own directories; it has no network.
 */
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/rootfs.h"
#include "storage/worker.h"

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

static int confine(const struct st_request *q, struct err *e)
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

int main(void)
{
	return storage_worker_main(&(struct storage_worker){ .name = "lvm-worker", .worker = WORKER_LVM, .confine = confine });
}
