/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Minimal roots, user namespace maps, capabilities: the parts of confinement that proc.c and sandbox.c share. */
#include "base/rootfs.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* <sys/mount.h> and <linux/mount.h> of this libc define the same names differently: only the latter is used, with raw calls. */
#define UMOUNT_DETACH 2

static int sys_mount(const char *from, const char *to, const char *type, unsigned long flags,
		     const char *data)
{
	return syscall(SYS_mount, from, to, type, flags, data) < 0 ? -errno : 0;
}

/* Creates the parents of a path relative to the working directory, and the last component itself as a directory or empty file. */
static int make_place(const char *rel, bool dir)
{
	char p[PATH_MAX];
	size_t n = strlen(rel);
	int fd;

	if (n == 0 || n >= sizeof p)
		return -ENAMETOOLONG;
	memcpy(p, rel, n + 1);
	for (size_t i = 1; i < n; i++) {
		if (p[i] != '/')
			continue;
		p[i] = '\0';
		/* Below an earlier read-only bind the place exists already; the mount itself tells if it does not. */
		(void)mkdir(p, 0755);
		p[i] = '/';
	}
	if (dir) {
		(void)mkdir(p, 0755);
		return 0;
	}
	fd = open(p, O_CREAT | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd >= 0)
		close(fd);
	return 0;
}

static int take_source(const struct proc_bind *b, bool *ret_dir)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID };
	struct stat st;
	long fd = syscall(SYS_open_tree, AT_FDCWD, b->path,
			  (unsigned)(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
	int r = 0;

	if (fd < 0)
		return -errno;
	if (!b->rw)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	if (!b->dev)
		attr.attr_set |= MOUNT_ATTR_NODEV;
	if (fstat((int)fd, &st) < 0 || syscall(SYS_mount_setattr, (int)fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
					       sizeof attr) < 0)
		r = -errno;
	if (r < 0) {
		close((int)fd);
		return r;
	}
	*ret_dir = S_ISDIR(st.st_mode);
	return (int)fd;
}

static int place_source(int tree, const char *path, bool dir)
{
	while (*path == '/')
		path++;
	if (!*path)
		return -EINVAL;
	(void)make_place(path, dir);
	return syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

/* Any directory will do as the place of the new root: the sources were taken before, and pivot_root makes it "/". */
static int stage_root(void)
{
	static const char *const places[] = { "/tmp", "/run", "/mnt", "/var", "/etc" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (sys_mount("root", places[i], "tmpfs", MS_NOSUID | MS_NODEV,
			      "mode=0755,size=1m,nr_inodes=4k") == 0)
			return chdir(places[i]) < 0 ? -errno : 0;
	return -errno;
}

static int private_dirs(bool proc)
{
	int r;

	if (mkdir("tmp", 01777) < 0)
		return -errno;
	r = sys_mount("tmp", "tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m");
	if (r < 0)
		return r;
	if (!proc)
		return 0;
	if (mkdir("proc", 0555) < 0)
		return -errno;
	r = sys_mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	/* Inside a container whose own /proc is partly hidden the kernel forbids a new one: the child then has none. */
	return r == -EPERM ? 0 : r;
}

static int swap_root(void)
{
	int r;

	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return -errno;
	if (syscall(SYS_umount2, ".", UMOUNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	r = sys_mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL);
	return r;
}

int rootfs_enter(const struct proc_bind *binds, size_t n, bool proc, const char **ret_step)
{
	int trees[ROOTFS_BINDS_MAX];
	bool dirs[ROOTFS_BINDS_MAX] = { false };
	int r;

	*ret_step = "making mounts private";
	if (n > ROOTFS_BINDS_MAX)
		return -E2BIG;
	r = sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		*ret_step = binds[i].path;
		trees[i] = take_source(&binds[i], &dirs[i]);
		if (trees[i] < 0 && !(binds[i].optional && trees[i] == -ENOENT))
			return trees[i];
	}
	*ret_step = "mounting the new root";
	r = stage_root();
	if (r == 0)
		r = private_dirs(proc);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (trees[i] < 0)
			continue;
		*ret_step = binds[i].path;
		r = place_source(trees[i], binds[i].path, dirs[i]);
		if (r < 0)
			return r;
		close(trees[i]);
	}
	*ret_step = "pivot_root";
	return swap_root();
}

static int write_at(int dirfd, const char *name, const char *text, size_t n)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, n) != (ssize_t)n)
		r = -errno;
	close(fd);
	return r;
}

/* "ID ID 1" without snprintf, which may take locks. */
static size_t id_line(char out[40], unsigned id)
{
	char digits[12];
	size_t n = 0, d = 0;

	do {
		digits[d++] = (char)('0' + id % 10);
		id /= 10;
	} while (id);
	for (int k = 0; k < 2; k++) {
		for (size_t i = d; i > 0; i--)
			out[n++] = digits[i - 1];
		out[n++] = ' ';
	}
	out[n++] = '1';
	return n;
}

int userns_map(int procfd, uid_t uid, gid_t gid)
{
	char line[40];
	int r = write_at(procfd, "setgroups", "deny", 4);

	/* A nested namespace may have it denied already. */
	if (r < 0 && r != -EPERM)
		return r;
	r = write_at(procfd, "uid_map", line, id_line(line, uid));
	if (r < 0)
		return r;
	return write_at(procfd, "gid_map", line, id_line(line, gid));
}

int caps_drop_all(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
			return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	return syscall(SYS_capset, &hdr, data) < 0 ? -errno : 0;
}
