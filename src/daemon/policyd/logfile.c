/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The decision log as two files of bounded size: when the log is full its content takes the place of the old one. Done by copying, because a
 * confined policyd holds only the two descriptors, and because others append to the same log.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/paths.h"
#include "daemon/policyd/pd.h"

#define LOG_MAX (4 << 20) /* bytes of each file */
#define LOG_LOOK (1 << 13) /* how much we write before we look at the size again: by so much the log may be longer */

static int open_one(enum path_id id, int *fd, struct err *e)
{
	if (*fd < 0)
		*fd = open(path_get(id), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	return *fd < 0 ? err_errno(e, errno, "decision log '%s'", path_get(id)) : 0;
}

int pd_log_open(struct pd *pd, struct err *e)
{
	int r = open_one(PATH_POLICY_LOG, &pd->log_fd, e);

	return r < 0 ? r : open_one(PATH_POLICY_LOG_OLD, &pd->log_old_fd, e);
}

static int copy(int from, int to)
{
	uint8_t buf[65536];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(from, buf, sizeof buf, at)) > 0) {
		int r = write_full(to, buf, (size_t)n);

		if (r < 0)
			return r;
		at += n;
	}
	return n < 0 ? -errno : 0;
}

static void move_aside(struct pd *pd)
{
	int r = ftruncate(pd->log_old_fd, 0) < 0 ? -errno : copy(pd->log_fd, pd->log_old_fd);

	/* A crash between the two leaves entries twice, never none. */
	if (r == 0 && ftruncate(pd->log_fd, 0) < 0)
		r = -errno;
	if (r < 0)
		log_error("the decision log cannot be shortened: %s", strerror(-r));
}

void pd_log_write(struct pd *pd, const void *p, size_t n)
{
	struct stat st;

	if (pd->log_fd < 0)
		return;
	pd->log_unseen += n;
	if (pd->log_old_fd >= 0 && pd->log_unseen > LOG_LOOK && fstat(pd->log_fd, &st) == 0) {
		pd->log_unseen = 0;
		if (st.st_size + (off_t)n > LOG_MAX)
			move_aside(pd);
	}
	if (write_full(pd->log_fd, p, n) < 0)
		log_error("cannot write the decision log");
}
