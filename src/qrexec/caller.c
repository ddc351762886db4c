/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The initiator's side of the data phase. */
#include "qrexec/caller.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "qrexec/find.h"
#include "qrexec/pump.h"

#define HELLO_TIMEOUT_MS 120000

extern char **environ;

static void pass(struct proc_spec *p, int fd, int as)
{
	p->fds[p->n_fds].fd = fd;
	p->fds[p->n_fds++].as = as;
}

/* Copies of the caller's own descriptors, whose numbers the program finds in its environment. */
static size_t save_fds(struct proc_spec *p, const struct caller *c, char rows[3][24])
{
	size_t n = getenv("PASS_LOCAL_STDERR") ? 3 : 2;

	for (size_t i = 0; i < n; i++) {
		const int fds[3] = { c->in, c->out, c->err };

		/* one digit: the smallest shells understand no other */
		pass(p, fds[i], 3 + (int)i);
		(void)!str_printf(rows[i], 24, "SAVED_FD_%zu=%zu", i, 3 + i);
	}
	return n;
}

static const char **environment(char rows[3][24], size_t n_rows)
{
	size_t n = 0, k = 0;
	const char **v;

	while (environ[n])
		n++;
	v = xcalloc(n + n_rows + 1, sizeof *v);
	for (size_t i = 0; i < n; i++)
		if (!str_starts(environ[i], "SAVED_FD_"))
			v[k++] = environ[i];
	for (size_t i = 0; i < n_rows; i++)
		v[k++] = rows[i];
	return v;
}

struct local {
	struct proc proc;
	int to, from;
};

static void local_fini(struct local *l)
{
	fd_closep(&l->to);
	fd_closep(&l->from);
	proc_fini(&l->proc);
}

/* Two socket pairs: the program's input and output are different descriptions, as file copy needs. */
static int start_local(struct local *l, const struct caller *c, struct err *e)
{
	char path[PATH_MAX], cwd[PATH_MAX], rows[3][24];
	struct proc_spec p = { .path = path, .argv = c->argv, .cwd = getcwd(cwd, sizeof cwd), .keep_stderr = true };
	_cleanup_fd_ int in = -1, out = -1;
	_cleanup_free_ const char **env = NULL;
	size_t n_rows = 0;
	int fds[2], r;

	r = find_program(c->argv[0], path, e);
	if (r < 0)
		return r;
	if (unix_pair(SOCK_STREAM, fds) < 0)
		return err_errno(e, errno, "socketpair");
	l->to = fds[0];
	in = fds[1];
	if (unix_pair(SOCK_STREAM, fds) < 0)
		return err_errno(e, errno, "socketpair");
	l->from = fds[0];
	out = fds[1];
	pass(&p, in, 0);
	pass(&p, out, 1);
	pass(&p, c->err, 2);
	if (c->saved_fds)
		n_rows = save_fds(&p, c, rows);
	env = environment(rows, n_rows);
	p.envp = env;
	return proc_spawn(&l->proc, &p, e);
}

static int copy(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int own_fds(struct pump_cfg *p, const struct caller *c)
{
	p->from = copy(c->in);
	p->to = copy(c->stdin_socket ? c->in : c->out);
	if (c->stdin_socket)
		p->flags |= PUMP_SHARED;
	/* so that the reader of a pipe or the other end of a socket sees the end of file while we still wait for the exit code */
	if (c->in == STDIN_FILENO && c->out == STDOUT_FILENO) {
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		if (open("/dev/null", O_RDWR) != 0 || dup(0) != 1)
			return -EBADF;
	}
	return 0;
}

int caller_run(int chan, const struct caller *c, struct err *e)
{
	_cleanup_(local_fini) struct local l = { PROC_INIT, -1, -1 };
	struct pump_cfg p = { .role = PUMP_CALLER, .chan = chan, .to = -1, .from = -1 };
	int code, status = 0, r = pump_hello(chan, true, HELLO_TIMEOUT_MS, &p.version, e);

	if (r < 0)
		return r;
	if (c->trace)
		c->trace->connect = now_us();
	p.trace = c->trace;
	p.flags = (c->filter_out ? PUMP_FILTER_OUT : 0) | (c->filter_err ? PUMP_FILTER_ERR : 0);
	p.flags |= c->hang_up ? PUMP_HANG_UP : 0;
	p.prefix = c->prefix;
	p.prefix_len = c->prefix ? strlen(c->prefix) : 0;
	if (c->argv) {
		r = start_local(&l, c, e);
		if (r < 0)
			return r;
		p.flags |= PUMP_OURS;
		p.to = STEAL_FD(l.to);
		p.from = STEAL_FD(l.from);
	} else if (!c->no_streams) {
		r = own_fds(&p, c);
		if (r < 0)
			return err_errno(e, -r, "descriptors");
	}
	p.err = copy(c->err);
	code = pump_run(&p, e);
	if (c->argv && proc_wait(&l.proc, -1, &status) < 0)
		status = 0;
	if (code < 0)
		return c->argv && status ? proc_exit_code(status) : 255;
	return code ? code : c->argv ? proc_exit_code(status) : 0;
}
