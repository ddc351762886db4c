/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls of a qube's service by tools. */
#include "tool/service.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/io.h"
#include "client/qrexec.h"
#include "tool/run.h"

static int call(const char *qube, const char *service, const void *text, size_t len, size_t max, int err_fd, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *command = xasprintf("DEFAULT:QUBESRPC %s dom0", service), *buf = xmalloc(max + 1);
	_cleanup_fd_ int in = memfd_create("input", MFD_CLOEXEC), out = memfd_create("answer", MFD_CLOEXEC);
	struct qrexec_call c = { .qube = qube, .command = command, .wait_s = RUN_WAIT_S, .caller = { .in = in, .out = out, .err = err_fd, .filter_err = true } };
	/* a qube that sends without end fills this much memory and no more */
	struct rlimit old, limit = { .rlim_cur = max + 1 };
	ssize_t n;
	int r;

	if (in < 0 || out < 0 || write_full(in, text, len) < 0 || lseek(in, 0, SEEK_SET) < 0 || getrlimit(RLIMIT_FSIZE, &old) < 0)
		return err_errno(e, errno, "memory for the call");
	limit.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	(void)setrlimit(RLIMIT_FSIZE, &limit);
	r = qrexec_run(&c, e);
	(void)setrlimit(RLIMIT_FSIZE, &old);
	n = pread(out, buf, max + 1, 0);
	if (n < 0)
		return err_errno(e, errno, "reading the answer");
	if ((size_t)n > max)
		return err_set(e, EFBIG, "the answer of '%s' is longer than %zu bytes", qube, max);
	if (r < 0 || e->code)
		return r < 0 ? r : -ECONNRESET;
	buf[n] = '\0';
	*ret = STEAL_PTR(buf);
	*ret_len = (size_t)n;
	return r;
}

int service_call(const char *qube, const char *service, const char *text, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	return call(qube, service, text, strlen(text), max, STDERR_FILENO, ret, ret_len, e);
}

int service_call_quiet(const char *qube, const char *service, const char *text, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_fd_ int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);

	return nothing < 0 ? err_errno(e, errno, "/dev/null") : call(qube, service, text, strlen(text), max, nothing, ret, ret_len, e);
}

int service_send(const char *qube, const char *service, const void *data, size_t len, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	return call(qube, service, data, len, max, STDERR_FILENO, ret, ret_len, e);
}
