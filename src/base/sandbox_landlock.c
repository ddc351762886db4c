/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Landlock rules by raw calls, with as many kinds of access as the running kernel knows. */
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/sandbox_parts.h"

/* Bits newer than the headers of the oldest system we build on. */
#define FS_REFER (1ull << 13)
#define FS_TRUNCATE (1ull << 14)
#define FS_IOCTL_DEV (1ull << 15)
#define FS_ALL_V1 ((1ull << 13) - 1)
#define NET_TCP_BIND 1ull
#define NET_TCP 3ull
#define SCOPE_ABSTRACT_UNIX 1ull

#define FS_READ (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* What a rule on a file (not a directory) may name. */
#define FS_FILE (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

static size_t attr_for(int abi, struct ruleset_attr *ret)
{
	ret->fs = FS_ALL_V1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
		  (abi >= 5 ? FS_IOCTL_DEV : 0);
	ret->scoped = SCOPE_ABSTRACT_UNIX;
	if (abi >= 6)
		return sizeof *ret;
	return abi >= 4 ? offsetof(struct ruleset_attr, scoped) : offsetof(struct ruleset_attr, net);
}

static int add_path(int ruleset, const struct sandbox_path *p, uint64_t handled, struct err *e)
{
	_cleanup_fd_ int fd = open(p->path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .parent_fd = fd };
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "sandbox: '%s'", p->path);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "sandbox: '%s'", p->path);
	rule.allowed_access = p->write || p->dev ? handled : FS_READ;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= FS_FILE;
	rule.allowed_access &= handled;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return err_errno(e, errno, "sandbox: Landlock rule for '%s'", p->path);
	return 0;
}

static int load(const struct sandbox_path *paths, size_t n, uint64_t net, struct err *e)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	_cleanup_fd_ int ruleset = -1;
	struct ruleset_attr attr;
	size_t size;

	if (abi < 1) {
		log_debug("sandbox: this kernel has no Landlock");
		return 0;
	}
	size = attr_for((int)abi, &attr);
	attr.net = net;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return err_errno(e, errno, "sandbox: Landlock");
	for (size_t i = 0; i < n; i++) {
		int r = add_path(ruleset, &paths[i], attr.fs, e);

		if (r < 0)
			return r;
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_errno(e, errno, "sandbox: Landlock");
	return 0;
}

int sandbox_load_landlock(const struct sandbox_path *paths, size_t n, struct err *e)
{
	return load(paths, n, NET_TCP, e);
}

int sandbox_load_landlock_inet(const struct sandbox_path *paths, size_t n, struct err *e)
{
	return load(paths, n, NET_TCP_BIND, e);
}
