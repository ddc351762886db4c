/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Moving pages through a pipe. */
#include "qrexec/bulk.h"

#include <fcntl.h>

/* Pieces of a message are often shorter than a page, and each takes a slot: four times as many as full pages would need. */
#define BULK_PIPE_SIZE (256 * 1024)

static int open_pipe(struct bulk *b)
{
	int fds[2];

	if (b->r >= 0)
		return 0;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -EINVAL;
	b->r = fds[0];
	b->w = fds[1];
	(void)fcntl(b->w, F_SETPIPE_SZ, BULK_PIPE_SIZE);
	return 0;
}

void bulk_widen(int fd)
{
	int size = fcntl(fd, F_GETPIPE_SZ); /* fails for everything else */

	if (size > 0 && size < BULK_PIPE_SIZE)
		(void)fcntl(fd, F_SETPIPE_SZ, BULK_PIPE_SIZE);
}

static ssize_t move(int from, int to, size_t n)
{
	ssize_t r;

	do {
		r = splice(from, NULL, to, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (r < 0 && errno == EINTR);
	if (r >= 0)
		return r;
	/* what a confined process or an odd descriptor answers: the caller then copies */
	return errno == ENOSYS || errno == EPERM || errno == EACCES || errno == ESPIPE ? -EINVAL : -errno;
}

ssize_t bulk_fill(struct bulk *b, int fd, size_t n)
{
	ssize_t r = open_pipe(b);

	if (r < 0)
		return r;
	r = move(fd, b->w, n);
	if (r > 0)
		b->len = (size_t)r;
	return r == -ECONNRESET || r == -EIO ? 0 : r;
}

ssize_t bulk_drain(struct bulk *b, int fd)
{
	ssize_t r = move(b->r, fd, b->len);

	if (r > 0)
		b->len -= (size_t)r;
	return r;
}

ssize_t bulk_read(struct bulk *b, void *p, size_t cap)
{
	size_t done = 0;

	while (b->len && done < cap) {
		ssize_t r = read(b->r, (char *)p + done, cap - done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return -EIO;
		done += (size_t)r;
		b->len -= (size_t)r;
	}
	return (ssize_t)done;
}

void bulk_fini(struct bulk *b)
{
	fd_closep(&b->r);
	fd_closep(&b->w);
	b->len = 0;
}
