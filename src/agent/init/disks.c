/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Disks are known by the serial number that dom0 gave them (docs/design.md section 3), never by
 * their order. Waiting is done on the kernel's device events, so nothing polls.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include "agent/init/init.h"
#include "base/io.h"
#include "base/rd.h"
#include "base/str.h"

static const struct {
	const char *serial, *name;
	bool partitions;
} disk_names[DISK_N] = {
	[DISK_ROOT] = { "root", "xvda", true },
	[DISK_PRIVATE] = { "private", "xvdb", false },
	[DISK_VOLATILE] = { "volatile", "xvdc", true },
	[DISK_MODULES] = { "modules", "xvdd", false },
};

int uevent_open(struct err *e)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	struct sockaddr_storage any = { 0 };
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	memcpy(&any, &addr, sizeof addr);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof addr) < 0)
		return err_errno(e, errno, "listening for device events");
	return STEAL_FD(fd);
}

/* uevent_wait sleeps until something happened since the last call and empties the queue: what it
   was is read from /sys. */
static int uevent_wait(int fd, uint64_t deadline_us, const char *what, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char scrap[8];

	for (;;) {
		uint64_t now = now_us();
		int r;

		if (now >= deadline_us)
			return err_set(e, ETIMEDOUT, "%s did not appear", what);
		r = poll(&p, 1, (int)MIN((deadline_us - now) / 1000 + 1, UINT64_C(60000)));
		if (r < 0 && errno != EINTR)
			return err_errno(e, errno, "waiting for a device");
		if (r > 0)
			break;
	}
	while (recv(fd, scrap, sizeof scrap, 0) >= 0 || errno == ENOBUFS || errno == EINTR)
		;
	return 0;
}

/* attr reads a one-line file below /sys/block/DEV. */
static int attr(int dirfd, const char *dev, const char *name, char *ret, size_t cap)
{
	char path[64];
	_cleanup_fd_ int fd = -1;
	ssize_t n;

	if (str_printf(path, sizeof path, "%s/%s", dev, name) < 0)
		return -ENAMETOOLONG;
	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read_full(fd, ret, cap - 1);
	if (n < 0)
		return (int)n;
	while (n > 0 && ret[n - 1] == '\n')
		n--;
	ret[n] = '\0';
	return 0;
}

static int disk_read(int dirfd, const char *dev, struct disk *ret)
{
	char text[32];
	struct disk d = { 0 };

	if (str_copy(d.kernel, sizeof d.kernel, dev) < 0)
		return -ENAMETOOLONG;
	if (attr(dirfd, dev, "size", text, sizeof text) < 0 || str_u64(text, UINT64_MAX, &d.sectors) < 0)
		return -EINVAL;
	if (attr(dirfd, dev, "ro", text, sizeof text) < 0)
		return -EINVAL;
	d.read_only = streq(text, "1");
	*ret = d;
	return 0;
}

static int disks_scan(struct boot *b, struct err *e)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *ent;

	if (!dir)
		return err_errno(e, errno, "opening /sys/block");
	while ((ent = readdir(dir))) {
		char serial[32];

		if (!str_starts(ent->d_name, "vd") ||
		    attr(dirfd(dir), ent->d_name, "serial", serial, sizeof serial) < 0)
			continue;
		for (size_t i = 0; i < DISK_N; i++)
			if (streq(serial, disk_names[i].serial))
				disk_read(dirfd(dir), ent->d_name, &b->disks[i]);
	}
	closedir(dir);
	return 0;
}

static bool root_needs_layer(const struct boot *b)
{
	return b->args.root_mode == ROOT_RO || (b->args.root_mode == ROOT_AUTO && b->disks[DISK_ROOT].read_only);
}

int disks_wait(struct boot *b, int timeout_ms, struct err *e)
{
	uint64_t deadline = now_us() + (uint64_t)timeout_ms * 1000;

	for (;;) {
		const char *missing = NULL;
		int r = disks_scan(b, e);

		if (r < 0)
			return r;
		if (!b->disks[DISK_ROOT].kernel[0])
			missing = "the root disk";
		else if (root_needs_layer(b) && !b->disks[DISK_VOLATILE].kernel[0])
			missing = "the volatile disk";
		if (!missing)
			return 0;
		r = uevent_wait(b->uevents, deadline, missing, e);
		if (r < 0)
			return r;
	}
}

int disk_wait_node(struct boot *b, const char *name, int timeout_ms, struct err *e)
{
	uint64_t deadline = now_us() + (uint64_t)timeout_ms * 1000;
	char path[48];

	if (str_printf(path, sizeof path, "/dev/%s", name) < 0)
		return err_set(e, ENAMETOOLONG, "device name");
	while (access(path, F_OK) < 0) {
		int r = uevent_wait(b->uevents, deadline, path, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int link_one(const char *target, const char *name, const char *suffix, struct err *e)
{
	char to[32], from[48];

	if (str_printf(to, sizeof to, "%s%s", target, suffix) < 0 ||
	    str_printf(from, sizeof from, "/dev/%s%s", name, suffix) < 0)
		return err_set(e, ENAMETOOLONG, "device name");
	if (symlink(to, from) < 0 && errno != EEXIST)
		return err_errno(e, errno, "making %s", from);
	return 0;
}

int disks_link(const struct boot *b, struct err *e)
{
	for (size_t i = 0; i < DISK_N; i++) {
		const char *dev = b->disks[i].kernel;
		int r;

		if (!dev[0])
			continue;
		r = link_one(dev, disk_names[i].name, "", e);
		for (char n = '1'; r == 0 && disk_names[i].partitions && n <= '4'; n++) {
			char path[48], suffix[2] = { n, '\0' };

			if (str_printf(path, sizeof path, "/dev/%s%c", dev, n) == 0 && access(path, F_OK) == 0)
				r = link_one(dev, disk_names[i].name, suffix, e);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* part_label finds PARTNAME=... in a partition's uevent file: the kernel has already parsed the
   partition table. */
static bool part_label_is(int dirfd, const char *dev, unsigned n, const char *label)
{
	char name[40], text[512];
	struct rd r, line;

	if (str_printf(name, sizeof name, "%s%u/uevent", dev, n) < 0 || attr(dirfd, dev, name, text, sizeof text) < 0)
		return false;
	r = rd_mem(text, strlen(text));
	while (rd_line(&r, &line)) {
		struct rd key = rd_until(&line, '=');

		if (rd_eq(&key, "PARTNAME"))
			return rd_eq(&line, label);
	}
	return false;
}

int root_partition(const struct boot *b, char *ret, size_t cap, struct err *e)
{
	const char *dev = b->disks[DISK_ROOT].kernel;
	char path[48];
	_cleanup_fd_ int dirfd = open("/sys/block", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		return err_errno(e, errno, "opening /sys/block");
	for (unsigned n = 1; n <= 16; n++)
		if (part_label_is(dirfd, dev, n, "Root filesystem"))
			return str_printf(ret, cap, "%s%u", dev, n);
	if (str_printf(path, sizeof path, "%s/%s3", dev, dev) == 0 && faccessat(dirfd, path, F_OK, 0) == 0)
		return str_printf(ret, cap, "%s3", dev);
	return str_copy(ret, cap, dev);
}
