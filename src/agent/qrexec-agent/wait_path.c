/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes-wait-path PATH: ends when something with this name is there. For service scripts, which would have to look again and again. */
#include <limits.h>
#include <sys/inotify.h>

#include "base/str.h"

#define EVENTS (IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* Watches the deepest directory on the way that exists: what is missing appears there first. */
static int watch(int fd, const char *path)
{
	char dir[PATH_MAX];
	char *slash;

	if (str_copy(dir, sizeof dir, path) < 0)
		return -ENAMETOOLONG;
	while ((slash = strrchr(dir, '/'))) {
		int w;

		slash[slash == dir] = 0;
		w = inotify_add_watch(fd, dir, EVENTS);
		if (w >= 0)
			return w;
		if ((errno != ENOENT && errno != ENOTDIR) || slash == dir)
			return -errno;
	}
	return -EINVAL;
}

static int wait_for(const char *path)
{
	_cleanup_fd_ int fd = inotify_init1(IN_CLOEXEC);
	char drop[4096] __attribute__((aligned(8)));

	if (fd < 0)
		return -errno;
	for (;;) {
		int w = watch(fd, path);

		if (access(path, F_OK) == 0)
			return 0;
		if (w < 0)
			return w;
		if (read(fd, drop, sizeof drop) < 0 && errno != EINTR)
			return -errno;
		(void)inotify_rm_watch(fd, w);
	}
}

int main(int argc, char **argv)
{
	int r;

	if (argc != 2 || argv[1][0] != '/') {
		fprintf(stderr, "usage: qubes-wait-path /ABSOLUTE/PATH\n");
		return 2;
	}
	r = wait_for(argv[1]);
	if (r == 0)
		return 0;
	fprintf(stderr, "qubes-wait-path: %s: %s\n", argv[1], strerror(-r));
	return 1;
}
