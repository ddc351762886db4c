/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding the port without udev: sysfs gives each port's name, devtmpfs its node. */
#include <dirent.h>
#include <fcntl.h>

#include "agent/agentd/agentd.h"
#include "base/str.h"
#include "proto/fds.h"

#define SYS_PORTS "/sys/class/virtio-ports"

static bool has_name(const char *port)
{
	static const char want[] = LINKD_PORT_NAME "\n";
	char path[128], name[64];
	ssize_t n;
	int fd;

	if (str_printf(path, sizeof path, SYS_PORTS "/%s/name", port) < 0)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, name, sizeof name);
	close(fd);
	return n == (ssize_t)sizeof want - 1 && memcmp(name, want, sizeof want - 1) == 0;
}

int port_open(struct err *e)
{
	DIR *d = opendir(SYS_PORTS);
	struct dirent *ent;
	char path[300];
	int fd = -ENOENT;

	if (!d)
		return err_set(e, ENOENT, "no virtio ports");
	while (fd == -ENOENT && (ent = readdir(d))) {
		if (ent->d_name[0] == '.' || !has_name(ent->d_name) ||
		    str_printf(path, sizeof path, "/dev/%s", ent->d_name) < 0)
			continue;
		fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			fd = err_errno(e, errno, "opening '%s'", path);
	}
	closedir(d);
	if (fd == -ENOENT && e && !e->code)
		err_set(e, ENOENT, "no virtio port " LINKD_PORT_NAME);
	return fd;
}
