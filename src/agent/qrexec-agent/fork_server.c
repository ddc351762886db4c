/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qrexec-fork-server [SOCKET]: started by a user's session, so that calls for this user run inside it, with its environment (display, bus, agents).
 * It takes orders from the qube's agent (root) only. One process a call; a newer server of the same user takes the place of an older one.
 */
#include "agent.h"
#include "forksrv.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "qrexec/defaults.h"

#define CONNECT_TIMEOUT_MS 120000
#define HELLO_TIMEOUT_MS 120000

extern char **environ;

struct order {
	struct forksrv h;
	char *command; /* "USER:" put in front */
	size_t len;
	int chan;
};

static int own_account(struct user *ret, struct err *e)
{
	const char *home = getenv("HOME"), *shell = getenv("SHELL"), *name = getenv("USER");
	int r = user_by_uid(ret, "/etc", getuid(), e);

	if (r == -ENOENT && name) {
		*ret = (struct user){ .uid = getuid(), .gid = getgid(), .home = "/" };
		r = str_copy(ret->name, sizeof ret->name, name);
	}
	if (r < 0)
		return r;
	/* the session may have chosen others */
	if (home && home[0] == '/')
		(void)!str_copy(ret->home, sizeof ret->home, home);
	if (shell && shell[0] == '/')
		(void)!str_copy(ret->shell, sizeof ret->shell, shell);
	if (!ret->shell[0])
		(void)!str_copy(ret->shell, sizeof ret->shell, "/bin/sh");
	return 0;
}

static int identity(void *arg, const char *name, struct user *ret, struct start *s, struct err *e)
{
	int r = own_account(ret, e);

	if (r < 0)
		return r;
	if (!streq(name, ret->name))
		return err_set(e, EPERM, "this session can only run commands as '%s'", ret->name);
	s->env = (const char *const *)environ;
	s->shell = ret->shell;
	return 0;
}

static int open_channel(void *arg, struct err *e)
{
	const struct order *o = arg;

	return chan_connect(NULL, o->h.domain, o->h.port, CONNECT_TIMEOUT_MS, e);
}

static void take_fd(struct msghdr *m, int *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof *ret))
			memcpy(ret, CMSG_DATA(c), sizeof *ret);
}

/* The header, and the channel that may come with its first byte. */
static int read_header(int fd, struct order *o)
{
	char control[CMSG_SPACE(sizeof(int))];
	uint8_t buf[FORKSRV_HDR];
	struct iovec iov = { buf, sizeof buf };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	struct rd r;

	if (n <= 0)
		return n == 0 ? -ENODATA : -EPROTO;
	take_fd(&m, &o->chan);
	if ((size_t)n < sizeof buf && read_full(fd, buf + n, sizeof buf - (size_t)n) != (ssize_t)(sizeof buf - (size_t)n))
		return -EPROTO;
	r = rd_mem(buf, sizeof buf);
	o->h = forksrv_get(&r);
	return 0;
}

static int read_order(int fd, const char *user, struct order *o)
{
	uint32_t type;
	size_t at = strlen(user) + 1;
	int r = read_header(fd, o);

	if (r < 0)
		return r;
	type = o->h.type & ~FORKSRV_CHAN;
	if ((type != QX_EXEC_CMDLINE && type != QX_JUST_EXEC) || !(o->h.type & FORKSRV_CHAN) != (o->chan < 0))
		return -EPROTO;
	if (o->h.len < 2 || o->h.len > QX_COMMAND_MAX)
		return -EPROTO;
	o->command = xcalloc(at + o->h.len, 1);
	memcpy(o->command, user, at - 1);
	o->command[at - 1] = ':';
	if (read_full(fd, o->command + at, o->h.len) != (ssize_t)o->h.len || memchr(o->command + at, 0, o->h.len) != o->command + at + o->h.len - 1)
		return -EPROTO;
	o->len = at + o->h.len - 1;
	return 0;
}

static const char *path_list(const char *variable, const char *fallback)
{
	const char *s = secure_getenv(variable);

	return s && *s ? s : fallback;
}

static void err_copy(void *arg, const uint8_t *p, size_t n)
{
	static struct journal j;
	static bool open;
	const struct order *o = arg;

	if (!open)
		journal_init(&j, o->command, o->len);
	open = true;
	journal_bytes(&j, p, n);
}

static _noreturn_ void serve(int fd, const char *user)
{
	struct order o = { .chan = -1 };
	struct serve v = {
		.service_path = path_list("QREXEC_SERVICE_PATH", QREXEC_GUEST_SERVICES),
		.config_path = path_list("QUBES_RPC_CONFIG_PATH", QREXEC_GUEST_CONFIGS),
		.hello_timeout_ms = HELLO_TIMEOUT_MS,
		.waited = true,
		.identity = identity,
		.open = open_channel,
		.err_copy = err_copy,
		.arg = &o,
	};
	struct err e = { 0 };
	int r;

	signal(SIGCHLD, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	r = read_order(fd, user, &o);
	if (r < 0) {
		/* one that says nothing only looked who we are */
		if (r != -ENODATA)
			log_warn("malformed order");
		_exit(1);
	}
	v.command = o.command;
	v.command_len = o.len;
	v.just_exec = (o.h.type & ~FORKSRV_CHAN) == QX_JUST_EXEC;
	v.version = o.chan >= 0 ? MIN(o.h.port, (uint32_t)QX_VERSION) : 0;
	r = serve_call(o.chan, &v, &e);
	if (r < 0)
		log_warn("call: %s", log_escs(err_text(&e, r)));
	_exit(r < 0 ? 1 : 0);
}

/* Root's agent, or in tests an agent that is ourselves. */
static bool trusted(int fd)
{
	struct ucred who;
	socklen_t n = sizeof who;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && (who.uid == 0 || who.uid == geteuid());
}

static _noreturn_ void loop(int listener, const char *user)
{
	for (;;) {
		_cleanup_fd_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			(void)poll(NULL, 0, 100); /* until one of the calls has ended */
			continue;
		}
		if (fd < 0)
			_exit(1);
		if (trusted(fd) && fork() == 0) {
			close(listener);
			serve(fd, user);
		}
	}
}

static int listen_at(const char *path, struct err *e)
{
	_cleanup_fd_ int old = unix_connect(path, SOCK_STREAM, NULL);
	struct ucred who;
	socklen_t n = sizeof who;

	/* An older session's server knows a display that is gone. */
	if (old >= 0 && getsockopt(old, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.uid == geteuid() && who.pid != getpid())
		(void)kill(who.pid, SIGTERM);
	return unix_listen_replace(path, SOCK_STREAM, 0600, e);
}

static int own_path(char **ret, int argc, char **argv)
{
	const char *user = getenv("USER"), *at = strstr(QREXEC_FORK_SERVER_SOCKET, "%s");

	if (argc == 2 && argv[1][0] != '-') {
		*ret = xstrdup(argv[1]);
		return 0;
	}
	if (argc > 1 || !user || !*user || strchr(user, '/'))
		return -EINVAL;
	*ret = xasprintf("%.*s%s%s", (int)(at - QREXEC_FORK_SERVER_SOCKET), QREXEC_FORK_SERVER_SOCKET, user, at + 2);
	return 0;
}

static void usage(FILE *f)
{
	fprintf(f,
		"usage: qrexec-fork-server [SOCKET]\n"
		"Runs the calls for this user inside the session that started it. Without SOCKET, $USER must be set; the socket is\n"
		"%s then, where %%s is that user.\n",
		QREXEC_FORK_SERVER_SOCKET);
}

int main(int argc, char **argv)
{
	_cleanup_free_ char *path = NULL;
	struct err e = { 0 };
	struct user u;
	int fd;

	if (argc == 2 && (streq(argv[1], "-h") || streq(argv[1], "--help"))) {
		usage(stdout);
		return 0;
	}
	if (own_path(&path, argc, argv) < 0) {
		usage(stderr);
		return 2;
	}
	log_init("qrexec-fork-server", NULL, -1);
	if (own_account(&u, &e) < 0) {
		log_error("%s", err_text(&e, -ENOENT));
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	/* the parent ends when the socket is there, so that a session script can go on; the listener's pid is the one that peers see */
	int ready[2];

	if (pipe2(ready, O_CLOEXEC) < 0)
		return 1;
	if (fork()) {
		char ok;

		close(ready[1]);
		return read(ready[0], &ok, 1) == 1 ? 0 : 1;
	}
	setsid();
	fd = listen_at(path, &e);
	if (fd < 0) {
		log_error("%s", err_text(&e, fd));
		return 1;
	}
	(void)fd_nonblock(fd, false);
	(void)!write(ready[1], "R", 1);
	close(ready[1]);
	close(ready[0]);
	loop(fd, u.name);
}
