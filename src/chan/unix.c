/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The unix transport: one socket file a channel. The server accepts one connection and then stops listening. The client has to
 * retry until the file is there and listened to.
 */
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "base/str.h"
#include "chan/chan.h"
#include "chan/req.h"

/* In a call the server is there within a fraction of a millisecond; later tries become rare. A watch of the directory (inotify) would not spin
   at all, but its end waits for a grace period of the kernel: 10 to 20 ms a call were measured. */
#define RETRY_FIRST_US 30L
#define RETRY_FIRST_N 10
#define RETRY_FAST_US 100L
#define RETRY_FAST_N 200
#define RETRY_SLOW_US 20000L

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

static void arm(struct chan_req *q, long us)
{
	struct itimerspec t = { .it_value = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 } };

	if (us == 0)
		t.it_value.tv_nsec = 1;
	timerfd_settime(q->fd, 0, &t, NULL);
}

static int make_timer(struct chan_req *q, struct err *e)
{
	q->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return q->fd < 0 ? err_errno(e, errno, "preparing to wait for '%s'", q->path) : 0;
}

int unix_req_start(struct chan_req *q, uint32_t peer, uint32_t port, struct err *e)
{
	const char *dir = secure_getenv("VCHAN_SOCKET_DIR");
	uint32_t own = chan_own_domain();

	if (str_printf(q->path, sizeof q->path, "%s/vchan.%u.%u.%u.sock", dir, q->server ? own : peer,
		       q->server ? peer : own, port) < 0)
		return err_set(e, ENAMETOOLONG, "VCHAN_SOCKET_DIR is too long for a socket name");
	return q->server ? server_start(q, e) : 0;
}

int unix_req_ready(struct chan_req *q, struct err *e)
{
	int r = q->server ? 0 : make_timer(q, e);

	if (r == 0 && !q->server)
		arm(q, 0);
	return r;
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

static long retry_us(unsigned tries)
{
	if (tries <= RETRY_FIRST_N)
		return RETRY_FIRST_US;
	return tries < RETRY_FAST_N ? RETRY_FAST_US : MIN(RETRY_SLOW_US, RETRY_FAST_US * (long)(tries - RETRY_FAST_N + 1));
}

static int client_finish(struct chan_req *q, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct sockaddr_un a = address(q);
	uint64_t fired;
	int r;

	if (q->fd >= 0)
		(void)!read(q->fd, &fired, sizeof fired);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, errno, "socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return STEAL_FD(fd);
	if (errno != ENOENT && errno != ECONNREFUSED && errno != EAGAIN && errno != EINTR)
		return err_errno(e, errno, "connecting to '%s'", q->path);
	r = q->fd < 0 ? make_timer(q, e) : 0;
	if (r < 0)
		return r;
	q->tries++;
	arm(q, retry_us(q->tries));
	return -EAGAIN;
}

int unix_req_finish(struct chan_req *q, struct err *e)
{
	return q->server ? server_finish(q, e) : client_finish(q, e);
}
