/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The unix transport: one socket file a channel. The server accepts one connection and then stops listening. The client has to
 * retry until the file is there and listened to; it watches the directory, so that it neither spins nor sleeps too long.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "base/str.h"
#include "chan/chan.h"
#include "chan/req.h"

/* Between bind and listen of the server no file event comes: try again soon. Without a file only the watch matters. */
#define RETRY_REFUSED_US 500
#define RETRY_ABSENT_US 100000

static struct sockaddr_un address(const struct chan_req *q)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	memcpy(a.sun_path, q->path, sizeof a.sun_path);
	return a;
}

static int server_start(struct chan_req *q, struct err *e)
{
	struct sockaddr_un a = address(q);

	q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (q->fd < 0)
		return err_errno(e, errno, "socket");
	if (unlink(q->path) < 0 && errno != ENOENT)
		return err_errno(e, errno, "removing '%s'", q->path);
	if (bind(q->fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(q->fd, 1) < 0)
		return err_errno(e, errno, "listening on '%s'", q->path);
	return 0;
}

static int add(int epfd, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
}

static void arm(struct chan_req *q, long us)
{
	struct itimerspec t = { .it_value = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 } };

	if (us == 0)
		t.it_value.tv_nsec = 1;
	timerfd_settime(q->timer, 0, &t, NULL);
}

static int client_start(struct chan_req *q, struct err *e)
{
	const char *dir = secure_getenv("VCHAN_SOCKET_DIR");

	q->fd = epoll_create1(EPOLL_CLOEXEC);
	q->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	q->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (q->fd < 0 || q->inotify < 0 || q->timer < 0)
		return err_errno(e, errno, "preparing to wait for '%s'", q->path);
	if (inotify_add_watch(q->inotify, dir, IN_CREATE | IN_MOVED_TO) < 0)
		return err_errno(e, errno, "watching '%s'", dir);
	if (add(q->fd, q->inotify) < 0 || add(q->fd, q->timer) < 0)
		return err_errno(e, errno, "epoll");
	arm(q, 0);
	return 0;
}

int unix_req_start(struct chan_req *q, uint32_t peer, uint32_t port, struct err *e)
{
	const char *dir = secure_getenv("VCHAN_SOCKET_DIR");
	uint32_t own = chan_own_domain();

	if (str_printf(q->path, sizeof q->path, "%s/vchan.%u.%u.%u.sock", dir, q->server ? own : peer,
		       q->server ? peer : own, port) < 0)
		return err_set(e, ENAMETOOLONG, "VCHAN_SOCKET_DIR is too long for a socket name");
	return q->server ? server_start(q, e) : client_start(q, e);
}

static int server_finish(struct chan_req *q, struct err *e)
{
	int fd = accept4(q->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0) {
		/* Exactly one: a later client must be refused rather than wait in the queue of a socket nobody accepts from. */
		shutdown(q->fd, SHUT_RDWR);
		return fd;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return -EAGAIN;
	return err_errno(e, errno, "accepting on '%s'", q->path);
}

static int client_finish(struct chan_req *q, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct sockaddr_un a = address(q);
	char drop[4096];

	while (read(q->inotify, drop, sizeof drop) > 0)
		;
	(void)!read(q->timer, drop, 8);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, errno, "socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return STEAL_FD(fd);
	if (errno != ENOENT && errno != ECONNREFUSED && errno != EAGAIN && errno != EINTR)
		return err_errno(e, errno, "connecting to '%s'", q->path);
	arm(q, errno == ENOENT ? RETRY_ABSENT_US : RETRY_REFUSED_US);
	return -EAGAIN;
}

int unix_req_finish(struct chan_req *q, struct err *e)
{
	return q->server ? server_finish(q, e) : client_finish(q, e);
}
