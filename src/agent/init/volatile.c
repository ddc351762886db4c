/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The volatile disk: partitioned anew at every boot (its content is thrown away), swap switched
   on. */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/swap.h>

#include "agent/init/init.h"
#include "agent/init/layout.h"
#include "base/io.h"
#include "base/str.h"

static int write_at(int fd, uint64_t offset, const void *p, size_t n, struct err *e)
{
	if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return err_errno(e, errno, "seeking on the volatile disk");
	int r = write_full(fd, p, n);

	return r < 0 ? err_errno(e, -r, "writing the volatile disk") : 0;
}

static int write_layout(const char *path, uint64_t sectors, struct err *e)
{
	struct volatile_layout l;
	uint8_t mbr[SECTOR];
	_cleanup_free_ uint8_t *swap = malloc(SWAP_PAGE);
	_cleanup_fd_ int fd = open(path, O_RDWR | O_CLOEXEC);
	int r;

	if (!swap)
		return err_set(e, ENOMEM, "out of memory");
	if (fd < 0)
		return err_errno(e, errno, "opening %s", path);
	r = layout_volatile(sectors, &l, e);
	if (r < 0)
		return r;
	layout_mbr(&l, mbr);
	layout_swap(l.swap_sectors, swap);
	r = write_at(fd, 0, mbr, sizeof mbr, e);
	if (r >= 0)
		r = write_at(fd, l.swap_start * SECTOR, swap, SWAP_PAGE, e);
	if (r < 0)
		return r;
	if (ioctl(fd, BLKRRPART) < 0)
		return err_errno(e, errno, "reading the partition table of %s", path);
	return 0;
}

int volatile_prepare(struct boot *b, struct err *e)
{
	const struct disk *d = &b->disks[DISK_VOLATILE];
	char path[32], part[32];
	int r;

	if (!d->kernel[0])
		return 0;
	if (str_printf(path, sizeof path, "/dev/%s", d->kernel) < 0 ||
	    str_printf(part, sizeof part, "/dev/%s1", d->kernel) < 0)
		return err_set(e, ENAMETOOLONG, "volatile disk");
	r = write_layout(path, d->sectors, e);
	if (r < 0)
		return r;
	r = disk_wait_node(b, part + strlen("/dev/"), 10000, e);
	if (r < 0)
		return r;
	/* A qube without swap works, so this is said and not fatal. */
	if (swapon(part, 0) < 0)
		dprintf(STDERR_FILENO, "bulkhead-init: no swap: %s\n", strerror(errno));
	else
		b->swap = true;
	return 0;
}
