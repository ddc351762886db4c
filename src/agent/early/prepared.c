/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file system that waits in the memory of a saved state for the empty private volume of a disposable: made once in the source, so that no clone
 * has to run mkfs and fill it. Its blocks that hold something are few (some hundred KiB); they are copied to the volume.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "agent/early/early.h"
#include "agent/early/private.h"
#include "base/fsx.h"
#include "base/log.h"
#include "proto/states.h"

#define PREPARED "/run/bulkhead/private.ext4"

/* The tree is made where it belongs, on a file system of its own that is thrown away. */
static int make_in(const char *image, struct err *e)
{
	static const struct early q = { .disposable = true };
	_cleanup_fd_ int fd = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0 || ftruncate(fd, STATE_PRIVATE_BYTES) < 0)
		return err_errno(e, errno, "making %s", image);
	r = fs_mkdir_p(RW, 0755, e);
	if (r < 0)
		return r;
	if (mount("tmpfs", RW, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
		return err_errno(e, errno, "mounting a place for the prepared volume");
	r = private_fill(e);
	if (r >= 0)
		r = private_make_fs(&q, image, RW, e);
	if (umount2(RW, MNT_DETACH) < 0 && r >= 0)
		r = err_errno(e, errno, "unmounting " RW);
	return r;
}

void prepared_make(void)
{
	struct err e = { 0 };
	int r = make_in(PREPARED, &e);

	if (r >= 0)
		return;
	log_warn("no volume is prepared for disposables: %s", err_text(&e, r));
	(void)unlink(PREPARED);
}

int prepared_put(const char *dev, struct err *e)
{
	_cleanup_fd_ int from = open(PREPARED, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), to = -1;
	uint64_t size = 0;
	int r;

	if (from < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "opening " PREPARED);
	to = open(dev, O_WRONLY | O_CLOEXEC);
	if (to < 0 || ioctl(to, BLKGETSIZE64, &size) < 0)
		return err_errno(e, errno, "opening %s", dev);
	/* A smaller one is made for its size. A larger one grows when it is mounted. */
	if (size < STATE_PRIVATE_BYTES)
		return 0;
	r = copy_data(from, to, size, e);
	return r < 0 ? r : 1;
}
