/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading and writing local descriptors without blocking and without changing them for others. */
#include "qrexec/lio.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/str.h"

/* A second open of the same pipe or terminal takes over the descriptor's number, so that closing it really closes our end. */
static bool reopen(int fd, bool write)
{
	char path[40];
	int own;

	if (str_printf(path, sizeof path, "/proc/self/fd/%d", fd) < 0)
		return false;
	own = open(path, (write ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return false;
	if (dup3(own, fd, O_CLOEXEC) < 0) {
		close(own);
		return false;
	}
	close(own);
	return true;
}

void lio_open(struct lio *l, int fd, bool write, bool ours)
{
	int flags, type;
	socklen_t n = sizeof type;
	struct stat st;

	*l = LIO_CLOSED;
	l->fd = fd;
	if (fd < 0)
		return;
	/* not by fstat, which a confined process cannot call */
	l->socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0;
	if (!ours && (l->socket || fstat(fd, &st) < 0 || S_ISREG(st.st_mode) || reopen(fd, write)))
		return;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || flags & O_NONBLOCK)
		return;
	if (!ours)
		l->saved_flags = flags;
	(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

ssize_t lio_read(struct lio *l, void *p, size_t n)
{
	ssize_t r;

	do {
		r = l->socket ? recv(l->fd, p, n, MSG_DONTWAIT) : read(l->fd, p, n);
	} while (r < 0 && errno == EINTR);
	if (r >= 0)
		return r;
	/* EIO: the other side of a terminal is gone */
	return errno == ECONNRESET || errno == EIO ? 0 : -errno;
}

ssize_t lio_write(struct lio *l, const void *p, size_t n)
{
	ssize_t r;

	do {
		r = l->socket ? send(l->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(l->fd, p, n);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

void lio_close(struct lio *l)
{
	if (l->fd < 0)
		return;
	if (l->saved_flags >= 0)
		(void)fcntl(l->fd, F_SETFL, l->saved_flags);
	close(l->fd);
	*l = LIO_CLOSED;
}
