/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-connect-tcp [LOCAL:][VM]:PORT: listens on 127.0.0.1 (port LOCAL, by default PORT) and gives each connection a call of qubes.ConnectTCP+PORT
 * to the qube VM (none: the one that policy names). Runs until it is ended.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "agent/services/common.h"
#include "agent/vmtools/find.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "proto/names.h"

extern char **environ;

#define CALLS_MAX 256

struct tunnel {
	uint16_t local, port;
	char target[64];
};

static int usage(FILE *f, int code)
{
	fputs("usage: qvm-connect-tcp [LOCALPORT:][VM]:PORT\n"
	      "Listens on 127.0.0.1:LOCALPORT (default: PORT) and carries each connection to PORT of the qube VM through dom0's policy.\n"
	      "Without VM policy says which qube it is. Ends with Ctrl-C.\n",
	      f);
	return code;
}

static bool port_ok(const char *s, uint16_t *ret)
{
	uint64_t v;

	if (str_u64(s, 65535, &v) < 0 || v == 0)
		return false;
	*ret = (uint16_t)v;
	return true;
}

static int parse(struct tunnel *t, const char *arg, struct err *e)
{
	_cleanup_free_ char *copy = xstrdup(arg);
	char *last = strrchr(copy, ':'), *first, *vm = copy;
	struct qname name;

	if (!last || !port_ok(last + 1, &t->port))
		return err_set(e, EINVAL, "'%s' does not end in ':' and a port", arg);
	*last = '\0';
	t->local = t->port;
	first = strchr(copy, ':');
	if (first) {
		*first = '\0';
		vm = first + 1;
		if (!port_ok(copy, &t->local))
			return err_set(e, EINVAL, "'%s' is not a port", copy);
	}
	if (*vm && *vm != '@' && qname_parse(&name, vm, e) < 0)
		return -EINVAL;
	return str_copy(t->target, sizeof t->target, *vm ? vm : "@default") < 0 ? err_set(e, EINVAL, "the name is too long") : 0;
}

static int listen_on(uint16_t port, struct err *e)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
	    listen(fd, 64) < 0)
		return err_errno(e, errno, "listening on 127.0.0.1:%u", port);
	return STEAL_FD(fd);
}

/* The socket is both ends of the call. */
static int carry(struct proc *p, const struct tunnel *t, int fd, struct err *e)
{
	char client[PATH_MAX], service[40];
	const char *argv[] = { "qrexec-client-vm", "--", t->target, service, NULL };
	_cleanup_fd_ int second = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	struct proc_spec s = { .argv = argv, .envp = (const char *const *)environ, .keep_stderr = true, .n_fds = 2 };

	if (second < 0 || str_printf(service, sizeof service, "qubes.ConnectTCP+%u", t->port) < 0)
		return err_errno(e, errno, "descriptor");
	s.path = find_beside(client, "qrexec-client-vm", "/usr/bin");
	s.fds[0].fd = fd;
	s.fds[0].as = 0;
	s.fds[1].fd = second;
	s.fds[1].as = 1;
	return proc_spawn(p, &s, e);
}

static void reap(struct proc *calls, size_t *n)
{
	for (size_t i = 0; i < *n;) {
		int status = 0;

		if (proc_wait(&calls[i], 0, &status) == -ETIMEDOUT) {
			i++;
			continue;
		}
		if (status != 0)
			fprintf(stderr, "qvm-connect-tcp: %s\n", remote_reason(proc_exit_code(status)));
		calls[i] = calls[--*n];
	}
}

static int serve(int lis, const struct tunnel *t, struct err *e)
{
	static struct proc calls[CALLS_MAX];
	struct pollfd pf[CALLS_MAX + 1];
	size_t n = 0;

	for (;;) {
		_cleanup_fd_ int fd = -1;

		/* at the limit new connections wait in the queue of the socket */
		pf[0] = (struct pollfd){ .fd = n < CALLS_MAX ? lis : -1, .events = POLLIN };
		for (size_t i = 0; i < n; i++)
			pf[i + 1] = (struct pollfd){ .fd = calls[i].pidfd, .events = POLLIN };
		if (poll(pf, (nfds_t)n + 1, -1) < 0 && errno != EINTR)
			return err_errno(e, errno, "poll");
		if (pf[0].revents)
			fd = accept4(lis, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0 && carry(&calls[n], t, fd, e) == 0)
			n++;
		else if (fd >= 0)
			fprintf(stderr, "qvm-connect-tcp: %s\n", e->msg);
		reap(calls, &n);
	}
}

int main(int argc, char **argv)
{
	struct tunnel t = { 0 };
	struct err e = { 0 };
	int lis;

	if (argc == 2 && (streq(argv[1], "--help") || streq(argv[1], "-h")))
		return usage(stdout, 0);
	if (argc != 2 || argv[1][0] == '-')
		return usage(stderr, 2);
	signal(SIGPIPE, SIG_IGN);
	if (parse(&t, argv[1], &e) < 0)
		return finish("qvm-connect-tcp", -EINVAL, &e);
	lis = listen_on(t.local, &e);
	if (lis < 0)
		return finish("qvm-connect-tcp", lis, &e);
	printf("127.0.0.1:%u is port %u of %s\n", t.local, t.port, streq(t.target, "@default") ? "the qube that policy names" : t.target);
	fflush(stdout);
	return finish("qvm-connect-tcp", serve(lis, &t, &e), &e);
}
