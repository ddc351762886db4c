/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What systemd and udev's helpers would make later and calls need at once: mounts, device files,
   an empty /tmp, loopback. */
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/early/early.h"
#include "base/fsx.h"
#include "base/str.h"

static int loopback_up(struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq q = { .ifr_name = "lo" };

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &q) < 0)
		return err_errno(e, errno, "loopback");
	q.ifr_flags = (short)(q.ifr_flags | IFF_UP);
	return ioctl(fd, SIOCSIFFLAGS, &q) < 0 ? err_errno(e, errno, "loopback") : 0;
}

/* static_nodes makes the device files whose first use loads a driver; udev's tools for that are
   not worth their start. */
static int static_nodes(struct err *e)
{
	static const struct {
		const char *path;
		mode_t mode;
		unsigned major, minor;
	} nodes[] = { { "/dev/fuse", 0666, 10, 229 }, { "/dev/net/tun", 0666, 10, 200 }, { "/dev/loop-control", 0660, 10, 237 },
		      { "/dev/ppp", 0600, 108, 0 } };

	mkdir("/dev/net", 0755);
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		if (mknod(nodes[i].path, S_IFCHR | 0600, makedev(nodes[i].major, nodes[i].minor)) < 0 && errno != EEXIST)
			return err_errno(e, errno, "making %s", nodes[i].path);
		if (chmod(nodes[i].path, nodes[i].mode) < 0)
			return err_errno(e, errno, "mode of %s", nodes[i].path);
	}
	return 0;
}

/* tmp_reset empties /tmp now: done later by systemd, it would take away files of the first
   calls. */
static int tmp_reset(struct err *e)
{
	static const struct {
		const char *path;
		mode_t mode;
	} dirs[] = { { "/tmp", 01777 }, { "/tmp/.X11-unix", 01777 }, { "/tmp/.ICE-unix", 01777 } };
	_cleanup_fd_ int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct dirent *ent;
	DIR *dir = fd >= 0 ? fdopendir(dup(fd)) : NULL;
	int r = 0;

	while (r >= 0 && dir && (ent = readdir(dir)))
		if (!streq(ent->d_name, ".") && !streq(ent->d_name, ".."))
			r = fs_rm_rf(fd, ent->d_name, e);
	if (dir)
		closedir(dir);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(dirs); i++)
		if ((mkdir(dirs[i].path, 0700) < 0 && errno != EEXIST) || chmod(dirs[i].path, dirs[i].mode) < 0)
			r = err_errno(e, errno, "making %s", dirs[i].path);
	return r;
}

int early_basics(struct err *e)
{
	static const struct {
		const char *type, *dst, *data;
		unsigned long flags;
	} fs[] = {
		{ "devpts", "/dev/pts", "mode=0620,gid=5,ptmxmode=0666", MS_NOSUID | MS_NOEXEC },
		{ "tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV },
	};
	static const struct {
		const char *from, *to;
	} links[] = { { "/proc/self/fd", "/dev/fd" }, { "fd/0", "/dev/stdin" }, { "fd/1", "/dev/stdout" }, { "fd/2", "/dev/stderr" } };
	unsigned gid = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fs); i++) {
		mkdir(fs[i].dst, 0755);
		if (mount(fs[i].type, fs[i].dst, fs[i].type, fs[i].flags, fs[i].data) < 0 && errno != EBUSY)
			return err_errno(e, errno, "mounting %s", fs[i].dst);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlink(links[i].from, links[i].to) < 0 && errno != EEXIST)
			return err_errno(e, errno, "making %s", links[i].to);
	if (mkdir("/run/bulkhead", 0755) < 0 && errno != EEXIST)
		return err_errno(e, errno, "making /run/bulkhead");
	if (mkdir("/run/qubes", 0775) < 0 && errno != EEXIST)
		return err_errno(e, errno, "making /run/qubes");
	if (id_lookup("/etc/group", "qubes", &gid, NULL) == 0 &&
	    (chown("/run/qubes", 0, gid) < 0 || chmod("/run/qubes", 02775) < 0))
		return err_errno(e, errno, "owner of /run/qubes");
	int r = tmp_reset(e);

	if (r >= 0)
		r = static_nodes(e);
	return r < 0 ? r : loopback_up(e);
}
