/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The device in sysfs: PCI 1af4:1110 (ivshmem), memory behind its third address register. */
#include "agent/gui/bardev.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/str.h"

#define PCI "/sys/bus/pci/devices"
#define VENDOR "0x1af4\n"
#define DEVICE "0x1110\n"

static bool file_is(int dir, const char *name, const char *want)
{
	char got[16];
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof got);

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(want) && memcmp(got, want, (size_t)n) == 0;
}

static int open_memory(int dir)
{
	int fd = openat(dir, "enable", O_WRONLY | O_CLOEXEC);

	/* plugged without a driver, nobody has switched it on; on already is fine */
	if (fd >= 0) {
		(void)!write(fd, "1", 1);
		close(fd);
	}
	fd = openat(dir, "resource2_wc", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fd = openat(dir, "resource2", O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int bardev_open(void)
{
	DIR *d = opendir(PCI);
	struct dirent *ent;
	int r = -ENOENT;

	while (d && r == -ENOENT && (ent = readdir(d))) {
		_cleanup_fd_ int dir = ent->d_name[0] == '.' ? -1 : openat(dirfd(d), ent->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (dir >= 0 && file_is(dir, "vendor", VENDOR) && file_is(dir, "device", DEVICE))
			r = open_memory(dir);
	}
	if (d)
		closedir(d);
	return r;
}
