/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Kernel modules from the initramfs. /modules.list is made at build time from the kernel's own
 * dependency table: each line is "GROUP FILE", dependencies first, so no resolver is needed here.
 */
#include <fcntl.h>
#include <sys/syscall.h>

#include "agent/init/init.h"
#include "base/fsx.h"
#include "base/rd.h"
#include "base/str.h"

#define MODULES_LIST "/modules.list"

static int load_file(const char *name, struct err *e)
{
	char path[160];
	_cleanup_fd_ int fd = -1;

	if (str_printf(path, sizeof path, MODULES_DIR "/%s", name) < 0)
		return err_set(e, ENAMETOOLONG, "a module name is too long");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "opening %s", path);
	if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
		return err_errno(e, errno, "loading %s", path);
	return 0;
}

int modules_load(const char *group, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	struct rd r, line;
	int err;

	err = fs_read(AT_FDCWD, MODULES_LIST, 64 * 1024, &text, &len, e);
	if (err == -ENOENT)
		return 0;	/* a kernel with everything built in */
	if (err < 0)
		return err;
	r = rd_mem(text, len);
	while (rd_line(&r, &line)) {
		char name[128];
		struct rd word = rd_until(&line, ' ');

		rd_text(&line, name, sizeof name);
		if (!rd_ok(&word) || !rd_ok(&line))
			return err_set(e, EINVAL, MODULES_LIST ": a line is not \"GROUP FILE\"");
		if (!rd_eq(&word, group))
			continue;
		err = load_file(name, e);
		if (err < 0)
			return err;
	}
	return 0;
}
