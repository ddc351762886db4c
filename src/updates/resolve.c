/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Addresses of names. A process of its own: the C library's resolver reads files and answers of the network, and neither belongs into the process
 * that speaks with a qube. It is asked for a name and answers with at most eight addresses; both ends check what comes.
 */
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/proc.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "updates/updates.h"

extern char **environ;

#define ANSWER_MAX (1 + UP_ADDRS_MAX * 17)

static size_t put_addrs(uint8_t out[ANSWER_MAX], const struct addrinfo *list)
{
	struct wr w = wr_mem(out, ANSWER_MAX);
	uint8_t n = 0;

	wr_u8(&w, 0);
	for (const struct addrinfo *a = list; a && n < UP_ADDRS_MAX; a = a->ai_next) {
		struct sockaddr_in a4;
		struct sockaddr_in6 a6;

		if (a->ai_family == AF_INET && a->ai_addrlen == sizeof a4) {
			memcpy(&a4, a->ai_addr, sizeof a4);
			wr_u8(&w, 4);
			wr_bytes(&w, &a4.sin_addr, 4);
			wr_zero(&w, 12);
			n++;
		} else if (a->ai_family == AF_INET6 && a->ai_addrlen == sizeof a6) {
			memcpy(&a6, a->ai_addr, sizeof a6);
			wr_u8(&w, 6);
			wr_bytes(&w, &a6.sin6_addr, 16);
			n++;
		}
	}
	out[0] = n;
	return w.len;
}

void resolver_serve(int fd)
{
	static const struct sandbox_path paths[] = {
		{ .path = "/etc/resolv.conf" }, { .path = "/etc/hosts" }, { .path = "/etc/nsswitch.conf" }, { .path = "/etc/host.conf" },
		{ .path = "/etc/gai.conf" },	{ .path = "/etc/services" }, { .path = "/etc/ld.so.cache" }, { .path = "/lib" },
		{ .path = "/lib64" },		{ .path = "/usr/lib" },
	};
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char name[HTTP_HOST_MAX];
	uint8_t out[ANSWER_MAX];

	if (sandbox_enter(SB_UPDATES_RESOLVER, paths, ARRAY_SIZE(paths), NULL) < 0)
		_exit(1);
	for (;;) {
		struct addrinfo *list = NULL;
		ssize_t n = recv(fd, name, sizeof name - 1, 0);
		size_t len;

		if (n <= 0)
			_exit(0);
		name[n] = '\0';
		if (strlen(name) != (size_t)n || (!http_host_ok(name) && !strchr(name, ':')) || getaddrinfo(name, NULL, &hints, &list) != 0)
			list = NULL;
		len = put_addrs(out, list);
		if (list)
			freeaddrinfo(list);
		if (send(fd, out, len, MSG_NOSIGNAL) < 0)
			_exit(0);
	}
}

int resolver_start(struct err *e)
{
	static const char *const argv[] = { "bulkhead-updates-proxy", RESOLVER_OPTION, NULL };
	_cleanup_fd_ int ours = -1, theirs = -1;
	struct proc p = PROC_INIT;
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	int pair[2], r;

	if (n <= 0 || unix_pair(SOCK_SEQPACKET, pair) < 0)
		return err_errno(e, errno, "the resolver");
	path[n] = '\0';
	ours = pair[0];
	theirs = pair[1];
	/* it gets this one descriptor: the client's bytes are none of its business */
	r = proc_spawn(&p, &(struct proc_spec){ .path = path, .argv = argv, .envp = (const char *const *)(void *)environ, .fds = { { theirs, STDIN_FILENO } }, .n_fds = 1 }, e);
	if (r < 0)
		return r;
	/* it ends when our end closes, and nobody waits for it */
	(void)signal(SIGCHLD, SIG_IGN);
	fd_closep(&p.pidfd);
	return STEAL_FD(ours);
}

int resolver_ask(int fd, const char *host, struct up_addr ret[UP_ADDRS_MAX], size_t *ret_n, struct err *e)
{
	uint8_t buf[ANSWER_MAX + 1];
	struct rd r;
	ssize_t n;
	uint8_t count;
	int k;

	if (send(fd, host, strlen(host), MSG_NOSIGNAL) < 0)
		return err_errno(e, errno, "the resolver has gone");
	k = wait_fd(fd, POLLIN, UP_IDLE_SERVER_MS);
	n = k < 0 ? k : recv(fd, buf, sizeof buf, 0);
	if (n <= 0)
		return err_set(e, EIO, "the name '%s' could not be looked up", host);
	r = rd_mem(buf, (size_t)n);
	count = rd_u8(&r);
	for (uint8_t i = 0; i < count && i < UP_ADDRS_MAX; i++) {
		ret[i].family = rd_u8(&r);
		rd_bytes(&r, ret[i].b, 16);
		if (ret[i].family != 4 && ret[i].family != 6)
			rd_fail(&r);
	}
	if (!rd_done(&r))
		return err_set(e, EBADMSG, "malformed answer of the resolver");
	*ret_n = count;
	return count ? 0 : err_set(e, ENOENT, "the name '%s' has no address", host);
}
