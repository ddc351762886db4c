/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls of the Admin API: connect, send, half-close, read to the end of file. */
#include "client/admin.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "base/wr.h"

void adm_reply_fini(struct adm_reply *r)
{
	free(r->data);
	r->data = NULL;
	r->len = 0;
}

int adm_connect(const char *path, struct err *e)
{
	int fd = unix_connect(path, SOCK_STREAM, NULL);

	if (fd >= 0)
		return fd;
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return err_set(e, ADM_NO_DAEMON, "qubesd is not running for '%s'; start it with 'bulkhead start'",
			       paths_system_mode() ? "the system" : paths_root());
	return err_errno(e, -fd, "connecting to qubesd at '%s'", path);
}

/* A destination goes into a frame that separates fields by blanks: anything else than a name or uuid:UUID cannot exist anyway. */
static bool dest_ok(const char *dest)
{
	return *dest && strlen(dest) <= 64 && str_chars(dest, "_.-:@");
}

/* A descriptor goes with the first byte; the rest follows as ever. */
static int send_request(int fd, const struct wr *w, int given)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl = { 0 };
	struct iovec v = { w->buf, w->len };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof ctl.buf };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	ssize_t n;

	if (given < 0)
		return write_full(fd, w->buf, w->len);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof given);
	memcpy(CMSG_DATA(c), &given, sizeof given);
	do {
		n = sendmsg(fd, &m, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : write_full(fd, w->buf + n, w->len - (size_t)n);
}

static int begin_at(enum path_id sock, const char *dest, const char *method, const char *arg, const void *payload, size_t len, int given,
		    struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(ADM_REQUEST_MAX);
	_cleanup_fd_ int fd = -1;
	char shown[100];
	int r;

	if (!dest_ok(dest))
		return err_set(e, ADM_EXC_NOT_FOUND, "no such qube: '%s'", str_escape(shown, sizeof shown, dest, strlen(dest)));
	r = adm_frame(&w, "dom0", dest, method, arg, payload, len);
	if (r == -EMSGSIZE)
		return err_set(e, EMSGSIZE, "the value is longer than %d bytes", ADM_REQUEST_MAX - 512);
	if (r < 0)
		return err_set(e, EINVAL, "'%s' cannot be an argument of %s",
			       str_escape(shown, sizeof shown, arg ? arg : "", arg ? strlen(arg) : 0), method);
	fd = adm_connect(path_get(sock), e);
	if (fd < 0)
		return fd;
	r = send_request(fd, &w, given);
	/* A daemon that refuses early may have answered and closed already: its answer decides. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		return err_errno(e, -r, "sending %s", method);
	if (shutdown(fd, SHUT_WR) < 0 && errno != ENOTCONN)
		return err_errno(e, errno, "sending %s", method);
	return STEAL_FD(fd);
}

int adm_begin(const char *dest, const char *method, const char *arg, const void *payload, size_t len, struct err *e)
{
	return begin_at(PATH_QUBESD_SOCK, dest, method, arg, payload, len, -1, e);
}

int adm_begin_internal(const char *dest, const char *method, struct err *e)
{
	return begin_at(PATH_QUBESD_INTERNAL_SOCK, dest, method, NULL, NULL, 0, -1, e);
}

int adm_internal(struct adm_reply *ret, const char *dest, const char *method, const char *arg, const char *payload, struct err *e)
{
	int fd = begin_at(PATH_QUBESD_INTERNAL_SOCK, dest, method, arg, payload, payload ? strlen(payload) : 0, -1, e);

	return fd < 0 ? fd : adm_finish(fd, ret, e);
}

int adm_internal_fd(const char *dest, const char *method, const char *arg, int given, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	int fd = begin_at(PATH_QUBESD_INTERNAL_SOCK, dest, method, arg, NULL, 0, given, e);

	return fd < 0 ? fd : adm_finish(fd, &rep, e);
}

static int read_answer(int fd, uint8_t **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ uint8_t *buf = NULL;
	size_t cap = 4096, len = 0;

	buf = xmalloc(cap);
	for (;;) {
		ssize_t n;

		if (len == cap) {
			if (cap >= ADM_ANSWER_MAX)
				return err_set(e, ADM_BAD_ANSWER, "the answer of qubesd is longer than %u bytes", ADM_ANSWER_MAX);
			cap *= 4;
			buf = xreallocarray(buf, cap, 1);
		}
		n = read(fd, buf + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ECONNRESET)
			n = 0;
		if (n < 0)
			return err_errno(e, errno, "reading the answer of qubesd");
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret = STEAL_PTR(buf);
	*ret_len = len;
	return 0;
}

int adm_finish(int fd, struct adm_reply *ret, struct err *e)
{
	_cleanup_fd_ int own = fd;
	_cleanup_free_ uint8_t *buf = NULL;
	size_t len = 0;
	int r;

	r = read_answer(own, &buf, &len, e);
	if (r < 0)
		return r;
	return adm_parse(ret, buf, len, e);
}

static const struct adm_watch *watcher;

void adm_watch(const struct adm_watch *w)
{
	watcher = w;
}

void *adm_watch_begin(const char *dest, const char *method, const char *arg, const void *payload, size_t len)
{
	const struct adm_watch *w = watcher;
	void *what;

	if (!w)
		return NULL;
	watcher = NULL;
	what = w->begin(dest, method, arg, payload, len);
	watcher = w;
	return what;
}

int adm_watch_end(void *what, int r)
{
	const struct adm_watch *w = watcher;

	if (!w || !what)
		return r;
	watcher = NULL;
	w->end(what, r);
	watcher = w;
	return r;
}

int adm_call(struct adm_reply *ret, const char *dest, const char *method, const char *arg, const void *payload, size_t len,
	     struct err *e)
{
	void *watched = adm_watch_begin(dest, method, arg, payload, len);
	int fd = adm_begin(dest, method, arg, payload, len, e);

	return adm_watch_end(watched, fd < 0 ? fd : adm_finish(fd, ret, e));
}

int adm_text(struct adm_reply *ret, const char *dest, const char *method, const char *arg, const char *payload, struct err *e)
{
	return adm_call(ret, dest, method, arg, payload, payload ? strlen(payload) : 0, e);
}

int adm_void(const char *dest, const char *method, const char *arg, const char *payload, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	return adm_text(&rep, dest, method, arg, payload, e);
}
