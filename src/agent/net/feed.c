/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See feed.h. */
#include "agent/net/feed.h"

#include <sys/mman.h>

#include "base/io.h"
#include "base/proc.h"

int net_feed(const char *path, const char *const *argv, struct wr *text, bool quiet, struct err *e)
{
	struct proc_spec s = { .path = path, .argv = argv, .keep_stderr = !quiet };
	_cleanup_fd_ int fd = -1;
	int r;

	if (!wr_ok(text))
		return err_set(e, EINVAL, "values that cannot be written down");
	if (text->len == 0)
		return 0;
	fd = memfd_create("text", MFD_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "memfd_create");
	r = write_full(fd, text->buf, text->len);
	if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, r < 0 ? -r : errno, "writing the text");
	s.fds[s.n_fds].fd = fd;
	s.fds[s.n_fds++].as = 0;
	return proc_run(&s, e);
}
