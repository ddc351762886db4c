/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Complete reads and writes, clocks, unix sockets. */
#include "base/io.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "base/str.h"

static void wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	(void)poll(&p, 1, -1);
}

ssize_t read_full(int fd, void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = read(fd, (char *)buf + done, n - done);

		if (r < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN) {
				wait_for(fd, POLLIN);
				continue;
			}
			return -errno;
		}
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

int write_full(int fd, const void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = write(fd, (const char *)buf + done, n - done);

		if (r < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN) {
				wait_for(fd, POLLOUT);
				continue;
			}
			return -errno;
		}
		done += (size_t)r;
	}
	return 0;
}

uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int fd_nonblock(int fd, bool on)
{
	int f = fcntl(fd, F_GETFL);

	if (f < 0 || fcntl(fd, F_SETFL, on ? f | O_NONBLOCK : f & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int fd_cloexec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0 ? -errno : 0;
}

static int address(struct sockaddr_un *a, const char *path, struct err *e)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (str_copy(a->sun_path, sizeof a->sun_path, path) < 0)
		return err_set(e, ENAMETOOLONG,
			       "socket path '%s' is longer than 107 bytes; choose a shorter directory", path);
	return 0;
}

int unix_connect(const char *path, int type, struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	struct sockaddr_un a;
	int r = address(&a, path, e);

	if (r < 0)
		return r;
	if (fd < 0)
		return err_errno(e, errno, "socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		return err_errno(e, errno, "connecting to '%s'", path);
	return STEAL_FD(fd);
}

int unix_listen_replace(const char *path, int type, unsigned mode, struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	_cleanup_free_ char *tmp = xasprintf("%s~", path);
	struct sockaddr_un a;
	int r = address(&a, tmp, e);

	if (r < 0)
		return r;
	if (fd < 0)
		return err_errno(e, errno, "socket");
	/* Under its own name the socket appears when it already accepts, and with its final mode: who waits for the file may connect. */
	unlink(tmp);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
		return err_errno(e, errno, "binding '%s'", path);
	if (chmod(tmp, (mode_t)mode) < 0 || listen(fd, 128) < 0 || rename(tmp, path) < 0) {
		r = err_errno(e, errno, "listening on '%s'", path);
		unlink(tmp);
		return r;
	}
	return STEAL_FD(fd);
}

int unix_listen(const char *path, int type, unsigned mode, struct err *e)
{
	int live = unix_connect(path, type, NULL);

	if (live >= 0) {
		close(live);
		return err_set(e, EADDRINUSE, "'%s' is in use by another process", path);
	}
	return unix_listen_replace(path, type, mode, e);
}

int unix_pair(int type, int ret[2])
{
	return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}
