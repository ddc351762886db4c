/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Starting programs and connecting to socket services. */
#include "qrexec/start.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/io.h"
#include "base/str.h"
#include "qrexec/defaults.h"
#include "qrexec/direct.h"

#define SOCKET_BUFFER (256 * 1024)

void started_fini(struct started *s)
{
	fd_closep(&s->to);
	fd_closep(&s->from);
	fd_closep(&s->err);
	proc_fini(&s->child);
}

static void child_fd(struct proc_spec *p, int fd, int as)
{
	p->fds[p->n_fds].fd = fd;
	p->fds[p->n_fds++].as = as;
}

/* The service's ends. Sockets for stdin and stdout, so that a service can use stdin both ways; a pipe for stderr, so that it can open
   /dev/stderr. */
struct ends {
	int in, out, err;
};

static void ends_fini(struct ends *x)
{
	fd_closep(&x->in);
	fd_closep(&x->out);
	fd_closep(&x->err);
}

static void grow(int fd)
{
	int size = SOCKET_BUFFER;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static int make_ends(struct ends *x, struct started *s, bool keep_stderr, struct err *e)
{
	int fds[2];

	if (unix_pair(SOCK_STREAM, fds) < 0)
		return err_errno(e, errno, "socketpair");
	s->to = fds[0];
	x->in = fds[1];
	grow(s->to);
	if (unix_pair(SOCK_STREAM, fds) < 0)
		return err_errno(e, errno, "socketpair");
	s->from = fds[0];
	x->out = fds[1];
	grow(x->out);
	if (keep_stderr)
		return 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	s->err = fds[0];
	x->err = fds[1];
	return 0;
}

/* A home that is not there must not make the call fail, as for a login. */
static const char *start_dir(const struct start *s)
{
	if (!s->user || !s->set_ids)
		return NULL;
	return access(s->user->home, X_OK) == 0 ? s->user->home : "/";
}

/* Negative, without a word, when it has to be started as any service: then it says itself what is wrong. */
static int spawn_direct(struct proc *ret, const struct start *s, const struct proc_spec *spec)
{
	_cleanup_free_ struct direct *d = s->own_dir && s->svc && direct_ours(s->own_dir, s->svc) ? xcalloc(1, sizeof *d) : NULL;
	struct proc_spec p = *spec;
	int r = -ENOENT;

	if (!d)
		return r;
	if (direct_find(d, s->own_dir, s->svc, s->cmd->arg, spec->envp)) {
		p.path = d->path;
		p.argv = d->argv;
		r = proc_spawn(ret, &p, NULL);
	}
	direct_fini(d);
	return r;
}

static int start_program(struct started *ret, const struct start *s, struct err *e)
{
	_cleanup_(ends_fini) struct ends x = { -1, -1, -1 };
	struct proc_spec p = { .new_session = true, .keep_stderr = s->keep_stderr };
	const char *argv[4] = { 0 };
	char cwd[PATH_MAX], **env;
	int r;

	if (s->svc) {
		argv[0] = p.path = s->svc->path;
		argv[1] = s->cmd->arg && *s->cmd->arg ? s->cmd->arg : NULL;
	} else {
		argv[0] = p.path = s->shell;
		argv[1] = "-c";
		argv[2] = s->cmd->text;
	}
	p.argv = argv;
	p.cwd = start_dir(s);
	if (!p.cwd)
		p.cwd = getcwd(cwd, sizeof cwd);
	for (size_t i = 0; i < s->n_limits; i++) {
		p.rlimits[i].resource = s->limits[i].resource;
		p.rlimits[i].soft = s->limits[i].soft;
		p.rlimits[i].hard = s->limits[i].hard;
	}
	p.n_rlimits = s->n_limits;
	if (s->set_ids) {
		p.set_ids = true;
		p.uid = s->user->uid;
		p.gid = s->user->gid;
		p.groups = s->user->groups;
		p.n_groups = s->user->n_groups;
	}
	if (!s->just_exec) {
		r = make_ends(&x, ret, s->keep_stderr, e);
		if (r < 0)
			return r;
		child_fd(&p, x.in, 0);
		child_fd(&p, x.out, 1);
		if (x.err >= 0)
			child_fd(&p, x.err, 2);
	}
	env = start_env(s);
	p.envp = (const char *const *)env;
	r = spawn_direct(&ret->child, s, &p);
	if (r < 0)
		r = proc_spawn(&ret->child, &p, e);
	start_env_free(env);
	return r;
}

/* connect through a descriptor of the file, whatever the length of its path. */
static int connect_unix(const char *path, struct err *e)
{
	_cleanup_fd_ int file = open(path, O_PATH | O_CLOEXEC);
	char name[40];

	if (file < 0)
		return err_errno(e, errno, "opening '%s'", path);
	if (str_printf(name, sizeof name, "/proc/self/fd/%d", file) < 0)
		return -ENAMETOOLONG;
	return unix_connect(name, SOCK_STREAM, e);
}

static int connect_tcp(const struct svc *svc, struct err *e)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(svc->port) };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(svc->port) };
	bool v6 = inet_pton(AF_INET6, svc->host, &a6.sin6_addr) == 1;
	_cleanup_fd_ int fd = -1;
	int r;

	if (!v6 && inet_pton(AF_INET, svc->host, &a4.sin_addr) != 1)
		return err_set(e, EINVAL, "malformed address '%s'", svc->host);
	fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(e, errno, "socket");
	r = v6 ? connect(fd, (struct sockaddr *)&a6, sizeof a6) : connect(fd, (struct sockaddr *)&a4, sizeof a4);
	if (r < 0)
		return err_errno(e, errno == ENOENT ? EIO : errno, "connecting to %s port %u", svc->host, svc->port);
	return STEAL_FD(fd);
}

static int start_socket(struct started *ret, const struct start *s, struct err *e)
{
	int fd = s->svc->kind == SVC_TCP ? connect_tcp(s->svc, e) : connect_unix(s->svc->path, e);

	if (fd < 0)
		return fd == -ENOENT ? -EIO : fd;
	ret->socket = true;
	ret->to = fd;
	ret->from = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (ret->from < 0)
		return err_errno(e, errno, "dup");
	/* a listener that has just been found takes a line at once: its buffer is empty */
	if (!(s->cfg && s->cfg->skip_descriptor)) {
		int r = write_full(fd, s->cmd->text, strlen(s->cmd->text) + 1);

		if (r < 0)
			return err_errno(e, -r, "sending the service descriptor");
	}
	return 0;
}

int start_call(struct started *ret, const struct start *s, struct err *e)
{
	struct started out = STARTED_INIT;
	int r = s->svc && s->svc->kind != SVC_EXEC ? start_socket(&out, s, e) : start_program(&out, s, e);

	if (r < 0) {
		started_fini(&out);
		return r;
	}
	*ret = out;
	return 0;
}

void start_wait_session(const char *search, const struct start *s)
{
	_cleanup_proc_ struct proc child = PROC_INIT;
	struct qx_command c = { .rpc = true, .name = QREXEC_WAIT_SERVICE };
	const char *argv[2] = { 0 }, *env[4] = { 0 };
	_cleanup_free_ char *remote = NULL;
	_cleanup_fd_ int in = -1, out = -1;
	struct proc_spec p = { 0 };
	struct svc svc;
	int fds[2];

	if (svc_lookup(&svc, search, &c, NULL) < 0 || svc.kind != SVC_EXEC || pipe2(fds, O_CLOEXEC) < 0)
		return;
	in = fds[0];
	out = fds[1];
	remote = xasprintf("QREXEC_REMOTE_DOMAIN=%s", s->cmd->rpc ? s->cmd->source : "dom0");
	env[0] = remote;
	env[1] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	env[2] = "LANG=C.UTF-8";
	argv[0] = p.path = svc.path;
	p.argv = argv;
	p.envp = env;
	child_fd(&p, in, 0);
	if (proc_spawn(&child, &p, NULL) < 0)
		return;
	fd_closep(&in);
	/* a name is shorter than any pipe; a reader that has gone is its own affair */
	(void)!write(out, s->user->name, strlen(s->user->name));
	(void)!write(out, "\n", 1);
	fd_closep(&out);
	(void)proc_wait(&child, -1, NULL);
}
