/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Device mapper by its ioctls: one table, one line. The library and its udev cookies are not
   wanted in an initramfs. */
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/init/init.h"
#include "base/str.h"

/* Chunk of the snapshot in sectors, as in the reference: 8 KiB. */
#define CHUNK_SECTORS 16

/* The kernel wants header, target and parameters in one piece of memory. */
struct dm_request {
	struct dm_ioctl io;
	struct dm_target_spec spec;
	char params[232];
};

static int dm_call(int fd, unsigned long op, struct dm_request *q, const char *name, uint32_t flags, struct err *e)
{
	q->io.version[0] = 4;
	q->io.data_size = sizeof *q;
	q->io.data_start = offsetof(struct dm_request, spec);
	q->io.flags = flags;
	if (str_copy(q->io.name, sizeof q->io.name, name) < 0)
		return err_set(e, ENAMETOOLONG, "device mapper name");
	if (ioctl(fd, op, q) < 0)
		return err_errno(e, errno, "device mapper call %lu for %s", op & 0xff, name);
	return 0;
}

static int link_name(const char *name, uint64_t dev, struct err *e)
{
	char target[32], link[64];

	if (str_printf(target, sizeof target, "../dm-%u", minor(dev)) < 0 ||
	    str_printf(link, sizeof link, "/dev/mapper/%s", name) < 0)
		return err_set(e, ENAMETOOLONG, "device mapper name");
	if (symlink(target, link) < 0 && errno != EEXIST)
		return err_errno(e, errno, "making %s", link);
	return 0;
}

int dm_snapshot(const char *name, const char *origin, const char *cow, uint64_t sectors, struct err *e)
{
	struct dm_request q = { 0 };
	_cleanup_fd_ int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	int err;

	if (fd < 0)
		return err_errno(e, errno, "opening /dev/mapper/control");
	err = dm_call(fd, DM_DEV_CREATE, &q, name, 0, e);
	if (err < 0)
		return err;
	q = (struct dm_request){ .io.target_count = 1, .spec.length = sectors };
	if (str_copy(q.spec.target_type, sizeof q.spec.target_type, "snapshot") < 0 ||
	    str_printf(q.params, sizeof q.params, "%s %s N %d", origin, cow, CHUNK_SECTORS) < 0)
		return err_set(e, ENAMETOOLONG, "device mapper table");
	err = dm_call(fd, DM_TABLE_LOAD, &q, name, 0, e);
	if (err < 0)
		return err;
	/* "Suspend" without its flag means resume: the table becomes active. */
	q = (struct dm_request){ 0 };
	err = dm_call(fd, DM_DEV_SUSPEND, &q, name, 0, e);
	if (err < 0)
		return err;
	return link_name(name, q.io.dev, e);
}
