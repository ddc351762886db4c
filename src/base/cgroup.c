/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Control groups: plain files below /sys/fs/cgroup, opened relative to a descriptor of our own tree. */
#include "base/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/rd.h"
#include "base/str.h"

static const char *const controllers[] = { "memory", "pids", "cpu" };

/* Where version 2 is mounted: alone, or beside version 1. */
static int open_hierarchy(struct err *e)
{
	static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_fd_ int fd = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct statfs st;

		if (fd >= 0 && fstatfs(fd, &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC)
			return STEAL_FD(fd);
	}
	return err_set(e, ENOENT, "this host has no control groups of version 2");
}

/* The group of this process, relative to the hierarchy ("" = its root). */
static int own_path(char out[PATH_MAX], struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct rd r, line;
	size_t len;
	int k = fs_read(AT_FDCWD, "/proc/self/cgroup", 65536, &text, &len, e);

	if (k < 0)
		return k;
	r = rd_mem(text, len);
	while (rd_line(&r, &line)) {
		struct rd id = rd_until(&line, ':'), names = rd_until(&line, ':');

		if (!rd_eq(&id, "0") || !rd_eq(&names, "") || rd_u8(&line) != '/')
			continue;
		rd_text(&line, out, PATH_MAX);
		if (rd_done(&line))
			return 0;
	}
	return err_set(e, ENOENT, "this process is in no control group of version 2");
}

static int open_below(int dir, const char *path, struct err *e)
{
	int fd = openat(dir, path[0] ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_errno(e, errno, "control group '%s'", path) : fd;
}

/* -ENOENT, without text, when the file is not there: its controller is missing. */
static int put(int dir, const char *file, const char *text)
{
	_cleanup_fd_ int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	return write_full(fd, text, strlen(text));
}

static bool delegated(int fd)
{
	char value[4];

	return (fgetxattr(fd, "user.delegate", value, sizeof value) == 1 && value[0] == '1') ||
	       (fgetxattr(fd, "trusted.delegate", value, sizeof value) == 1 && value[0] == '1');
}

/* "…/daemon" → its parent. */
static bool strip_daemon(char *path)
{
	char *slash = strrchr(path, '/');

	if (!streq(slash ? slash + 1 : path, CGROUP_DAEMON))
		return false;
	*(slash ? slash : path) = '\0';
	return true;
}

int cgroup_tree(struct err *e)
{
	_cleanup_fd_ int all = open_hierarchy(e);
	char path[PATH_MAX];
	int r = all < 0 ? all : own_path(path, e);

	if (r < 0)
		return r;
	if (!strip_daemon(path))
		return err_set(e, ENOENT, "no control group was delegated to this daemon");
	return open_below(all, path, e);
}

static void hand_down(int tree, char sign)
{
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		char text[16];

		if (str_printf(text, sizeof text, "%c%s", sign, controllers[i]) == 0)
			(void)put(tree, "cgroup.subtree_control", text);
	}
}

int cgroup_delegate(struct err *e)
{
	_cleanup_fd_ int all = open_hierarchy(e), own = -1;
	char path[PATH_MAX];
	int r = all < 0 ? all : own_path(path, e);

	if (r < 0)
		return r;
	if (strip_daemon(path))
		return 0; /* started again by itself */
	own = open_below(all, path, e);
	if (own < 0)
		return own;
	if (!delegated(own))
		return err_set(e, ENOENT, "the control group '/%s' is not delegated to this daemon", path);
	if (mkdirat(own, CGROUP_DAEMON, 0755) < 0 && errno != EEXIST)
		return err_errno(e, errno, "control group '%s/" CGROUP_DAEMON "'", path);
	/* A group that hands controllers down may hold no process itself. */
	r = put(own, CGROUP_DAEMON "/cgroup.procs", "0");
	if (r < 0)
		return err_errno(e, -r, "entering the control group '%s/" CGROUP_DAEMON "'", path);
	hand_down(own, '+'); /* one that this host lacks shows when limits are set */
	return 0;
}

void cgroup_release(void)
{
	_cleanup_fd_ int all = open_hierarchy(NULL), tree = -1;
	char path[PATH_MAX], *slash;

	if (all < 0 || own_path(path, NULL) < 0)
		return;
	slash = strrchr(path, '/');
	/* In the tree itself, or one below it: a manager starts its clean-up in a group ".control". */
	tree = open_below(all, path, NULL);
	if (tree >= 0 && !delegated(tree) && slash) {
		*slash = '\0';
		close(tree);
		tree = open_below(all, path, NULL);
	}
	if (tree >= 0 && delegated(tree))
		hand_down(tree, '-');
}

static const char *const limit_files[] = { "memory.max", "pids.max", "cpu.weight" };
#define N_LIMITS ARRAY_SIZE(limit_files)
#define LIMITS_ATTR "user.bulkhead.limits"

static int put_limits(int dir, const char *name, const uint64_t values[N_LIMITS], unsigned *ret_set, struct err *e)
{
	for (size_t i = 0; i < N_LIMITS; i++) {
		char text[24];
		int r = str_printf(text, sizeof text, "%llu", (unsigned long long)values[i]);

		if (r >= 0)
			r = put(dir, limit_files[i], text);
		if (r < 0 && r != -ENOENT)
			return err_errno(e, -r, "control group '%s': %s", name, limit_files[i]);
		if (r >= 0)
			*ret_set |= 1u << i;
	}
	/* What runs out of memory is the qube, not one thread of it. */
	(void)put(dir, "memory.oom.group", "1");
	return 0;
}

int cgroup_make(int tree, const char *name, const struct cgroup_limits *l, unsigned *ret_set, struct err *e)
{
	const uint64_t values[N_LIMITS] = { l->memory_max, l->pids_max, l->cpu_weight };
	_cleanup_fd_ int dir = -1;

	*ret_set = 0;
	if (mkdirat(tree, name, 0755) < 0 && errno != EEXIST)
		return err_errno(e, errno, "control group '%s'", name);
	dir = open_below(tree, name, e);
	if (dir < 0)
		return dir;
	(void)fsetxattr(dir, LIMITS_ATTR, values, sizeof values, 0); /* for cgroup_restore, on this machine */
	return put_limits(dir, name, values, ret_set, e);
}

int cgroup_enter(int tree, const char *name, pid_t pid, struct err *e)
{
	_cleanup_fd_ int dir = open_below(tree, name, e);
	char text[16];
	int r;

	if (dir < 0)
		return dir;
	r = str_printf(text, sizeof text, "%d", (int)pid);
	if (r >= 0)
		r = put(dir, "cgroup.procs", text);
	return r < 0 ? err_errno(e, -r, "control group '%s': process %d", name, (int)pid) : 0;
}

static void watch_events(int tree, const char *name, int watch)
{
	char path[PATH_MAX];

	if (str_printf(path, sizeof path, "/proc/self/fd/%d/%s/cgroup.events", tree, name) == 0)
		(void)inotify_add_watch(watch, path, IN_MODIFY);
}

static DIR *open_groups(int tree)
{
	int fd = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

void cgroup_restore(int tree)
{
	DIR *d = open_groups(tree);
	struct dirent *de;

	while (d && (de = readdir(d))) {
		_cleanup_fd_ int dir = str_starts(de->d_name, CGROUP_QUBE) ? open_below(tree, de->d_name, NULL) : -1;
		uint64_t values[N_LIMITS];
		unsigned set = 0;

		if (dir >= 0 && fgetxattr(dir, LIMITS_ATTR, values, sizeof values) == sizeof values)
			(void)put_limits(dir, de->d_name, values, &set, NULL);
	}
	if (d)
		closedir(d);
}

void cgroup_sweep(int tree, int watch)
{
	DIR *d = open_groups(tree);
	struct dirent *de;

	while (d && (de = readdir(d)))
		/* Refused while a process is in it. */
		if (str_starts(de->d_name, CGROUP_QUBE) && unlinkat(tree, de->d_name, AT_REMOVEDIR) < 0 && watch >= 0)
			watch_events(tree, de->d_name, watch);
	if (d)
		closedir(d);
}
