/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the services and user tools of a qube share. */
#include "agent/services/common.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "agent/vmtools/find.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"

#define CHUNK (256 * 1024)

extern char **environ;

int read_line(int fd, char *out, size_t cap, struct err *e)
{
	size_t n = 0;
	bool any = false;

	for (;;) {
		char c;
		ssize_t k = read_full(fd, &c, 1);

		if (k < 0)
			return err_errno(e, (int)-k, "reading the input");
		any |= k > 0;
		if (k == 0 || c == '\n')
			break;
		if (c == '\0')
			return err_set(e, EBADMSG, "the input has a NUL byte");
		if (n + 1 >= cap)
			return err_set(e, E2BIG, "a line of input is longer than %zu bytes", cap - 1);
		out[n++] = c;
	}
	out[n] = '\0';
	return any ? 0 : err_set(e, ENODATA, "a line of input is missing");
}

int read_some(int fd, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *buf = NULL;
	size_t cap = MIN((size_t)4096, max + 1), len = 0;

	buf = xmalloc(cap + 1);
	for (;;) {
		ssize_t n = read_full(fd, buf + len, cap - len);

		if (n < 0)
			return err_errno(e, (int)-n, "reading the input");
		len += (size_t)n;
		if (len > max)
			return err_set(e, EFBIG, "more than %zu bytes of input", max);
		if (len < cap)
			break;
		cap = MIN(cap * 4, max + 1);
		buf = xreallocarray(buf, cap + 1, 1);
	}
	buf[len] = '\0';
	*ret = STEAL_PTR(buf);
	*ret_len = len;
	return 0;
}

int copy_all(int from, int to, uint64_t *ret_n, struct err *e)
{
	_cleanup_free_ char *buf = xmalloc(CHUNK);
	uint64_t total = 0;

	for (;;) {
		ssize_t n = read(from, buf, CHUNK);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "reading");
		if (n == 0)
			break;
		r = write_full(to, buf, (size_t)n);
		if (r < 0)
			return err_errno(e, -r, "writing");
		total += (uint64_t)n;
	}
	if (ret_n)
		*ret_n = total;
	return 0;
}

const char *remote_reason(int code)
{
	switch (code) {
	case 126:
		return "the request was refused, by you or by the policy of dom0";
	case 127:
		return "the other qube does not have this service";
	case 125:
		return "the call broke off: see the log of the qube";
	default:
		return "the service in the other qube failed";
	}
}

static int start_call(struct proc *p, const struct remote *c, struct err *e)
{
	const char *argv[] = { "qrexec-client-vm", "--filter-escape-chars-stderr", "--", c->target, c->service, NULL };
	char client[PATH_MAX];
	struct proc_spec s = { .argv = argv, .envp = (const char *const *)environ, .keep_stderr = true };

	s.path = find_beside(client, "qrexec-client-vm", "/usr/bin");
	if (c->in >= 0) {
		s.fds[s.n_fds].fd = c->in;
		s.fds[s.n_fds++].as = 0;
	}
	if (c->out >= 0) {
		s.fds[s.n_fds].fd = c->out;
		s.fds[s.n_fds++].as = 1;
	}
	return proc_spawn(p, &s, e);
}

int remote_text(const char *target, const char *service, const char *text, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	struct remote c = { target, service, -1, -1 };
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, status = 0, r;
	_cleanup_fd_ int read_end = -1;

	/* texts are shorter than any pipe */
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	read_end = out[0];
	r = write_full(in[1], text, strlen(text));
	close(in[1]);
	c.in = in[0];
	c.out = out[1];
	if (r == 0)
		r = start_call(&p, &c, e);
	close(in[0]);
	close(out[1]);
	if (r == 0)
		r = read_some(read_end, max, ret, ret_len, e);
	if (r == 0)
		r = proc_wait(&p, -1, &status);
	if (r == 0 && status != 0) {
		free(STEAL_PTR(*ret));
		r = err_set(e, EREMOTEIO, "%s", remote_reason(proc_exit_code(status)));
	}
	return r;
}

int finish(const char *program, int r, const struct err *e)
{
	char shown[ERR_MSG_MAX];
	const char *text = err_text(e, r);

	if (r < 0)
		fprintf(stderr, "%s: %s\n", program, str_escape(shown, sizeof shown, text, strlen(text)));
	return r < 0 ? 1 : 0;
}
