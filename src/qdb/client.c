/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QubesDB client: message pump and the blocking calls on top of it. */
#include "qdb/client.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"

#define OUT_MAX (16u << 20)
#define IN_MAX (64u << 10)
#define LOOK_MS 1000 /* so often without an event: the directory itself may have been replaced */

void qdbc_init(struct qdbc *c, int fd)
{
	*c = (struct qdbc){ .fd = fd, .timeout_ms = QDBC_TIMEOUT_MS, .in = wr_grow(IN_MAX), .out = wr_grow(OUT_MAX) };
	(void)fd_nonblock(fd, true);
}

int qdbc_open(struct qdbc *c, const char *socket_path, struct err *e)
{
	int fd = unix_connect(socket_path, SOCK_STREAM, e);

	if (fd < 0)
		return fd;
	qdbc_init(c, fd);
	return 0;
}

/* Tells when a name appears in the socket's directory; -1 where that cannot be watched. */
static int watch_dir(const char *socket_path)
{
	_cleanup_free_ char *dir = xstrdup(socket_path);
	char *slash = strrchr(dir, '/');
	_cleanup_fd_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (!slash || slash == dir || fd < 0)
		return -1;
	*slash = '\0';
	return inotify_add_watch(fd, dir, IN_CREATE | IN_MOVED_TO) < 0 ? -1 : STEAL_FD(fd);
}

static void wait_name(int watch, int ms)
{
	char events[4096];
	struct pollfd p = { .fd = watch, .events = POLLIN };

	if (poll(&p, 1, ms) > 0)
		while (read(watch, events, sizeof events) > 0)
			;
}

int qdbc_open_wait(struct qdbc *c, const char *socket_path, int timeout_ms, struct err *e)
{
	uint64_t deadline = now_us() + (uint64_t)timeout_ms * 1000;
	_cleanup_fd_ int watch = -1;

	for (bool watched = false;; watched = true) {
		int r = qdbc_open(c, socket_path, e);
		uint64_t now = now_us();

		if ((r != -ECONNREFUSED && r != -ENOENT && r != -EAGAIN) || now >= deadline)
			return r;
		err_clear(e);
		/* Looked at once more when the watch is there. The name of some servers appears a moment before they listen: no event tells of that. */
		if (!watched)
			watch = watch_dir(socket_path);
		else if (r == -ENOENT && watch >= 0)
			wait_name(watch, (int)MIN((deadline - now) / 1000 + 1, (uint64_t)LOOK_MS));
		else
			poll(NULL, 0, 5);
	}
}

void qdbc_fini(struct qdbc *c)
{
	fd_closep(&c->fd);
	wr_free(&c->in);
	wr_free(&c->out);
}

int qdbc_queue(struct qdbc *c, enum qdb_type type, const char *path, const void *data, size_t len)
{
	struct qdb_hdr h = { .type = (uint8_t)type, .len = (uint32_t)len };

	if (len > QDB_VALUE_MAX || str_copy(h.path, sizeof h.path, path) < 0 || qdb_check(QDB_AT_RW, &h, data) < 0)
		return -EINVAL;
	if (c->out.len + QDB_HDR_LEN + len > OUT_MAX)
		return -ENOBUFS;
	qdb_put(&c->out, h.type, path, data, len);
	return wr_ok(&c->out) ? 0 : -ENOMEM;
}

static int pump_out(struct qdbc *c)
{
	while (c->out.len) {
		ssize_t n = send(c->fd, c->out.buf, c->out.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		wr_consume(&c->out, (size_t)n);
	}
	return 0;
}

static int pump_in(struct qdbc *c)
{
	uint8_t buf[8192];

	if (c->in_off) {
		wr_consume(&c->in, c->in_off);
		c->in_off = 0;
	}
	/* A message and a bit fits always: qdbc_next is called until it gives 0. */
	while (c->in.len < IN_MAX - sizeof buf) {
		ssize_t n = recv(c->fd, buf, sizeof buf, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0) {
			/* What came before the end is still taken: the end is reported when there is nothing new. */
			bool seen = c->eof;

			c->eof = true;
			return seen || !c->in.len ? -ECONNRESET : 0;
		}
		wr_bytes(&c->in, buf, (size_t)n);
		if (!wr_ok(&c->in))
			return -ENOMEM;
	}
	return 0;
}

int qdbc_io(struct qdbc *c)
{
	int r = pump_out(c);

	/* What the server said before it closed is still worth reading. */
	if (r < 0 && r != -EPIPE)
		return r;
	return pump_in(c);
}

int qdbc_next(struct qdbc *c, struct qdb_msg *ret)
{
	struct rd r = rd_mem(c->in.buf + c->in_off, c->in.len - c->in_off);

	if (rd_left(&r) < QDB_HDR_LEN)
		return 0;
	if (qdb_hdr_get(&r, &ret->h) < 0)
		return -EBADMSG;
	if (rd_left(&r) < ret->h.len)
		return 0;
	rd_bytes(&r, ret->data, ret->h.len);
	ret->data[ret->h.len] = '\0';
	if (qdb_check(QDB_AT_CLIENT, &ret->h, (const uint8_t *)ret->data) < 0)
		return -EBADMSG;
	c->in_off += QDB_HDR_LEN + ret->h.len;
	return 1;
}

/* Waits until the descriptor is ready or the deadline (now_us, 0 = none) passed. */
static int wait_ready(struct qdbc *c, uint64_t deadline)
{
	struct pollfd p = { .fd = c->fd, .events = (short)(POLLIN | (qdbc_wants(c) ? POLLOUT : 0)) };
	uint64_t now = now_us();
	int ms = -1, r;

	if (deadline) {
		if (now >= deadline)
			return -ETIMEDOUT;
		ms = (int)MIN((deadline - now) / 1000 + 1, (uint64_t)1000000);
	}
	r = poll(&p, 1, ms);
	return r < 0 && errno != EINTR ? -errno : 0;
}

static uint64_t deadline_of(int timeout_ms)
{
	return timeout_ms < 0 ? 0 : now_us() + (uint64_t)timeout_ms * 1000;
}

/* Next message of any kind, waiting. */
static int next_wait(struct qdbc *c, struct qdb_msg *m, uint64_t deadline)
{
	for (;;) {
		int r = qdbc_next(c, m);

		if (r != 0)
			return r < 0 ? r : 0;
		r = qdbc_io(c);
		if (r < 0)
			return r;
		r = qdbc_next(c, m);
		if (r != 0)
			return r < 0 ? r : 0;
		r = wait_ready(c, deadline);
		if (r < 0)
			return r;
	}
}

/* Next reply; events on the way are kept for qdbc_wait_event. */
static int reply(struct qdbc *c, struct qdb_msg *m, struct err *e)
{
	uint64_t deadline = deadline_of(c->timeout_ms);

	for (;;) {
		int r = next_wait(c, m, deadline);

		if (r < 0)
			return err_errno(e, -r, "QubesDB");
		if (m->h.type != QDB_RESP_WATCH)
			return 0;
		if (c->n_events < ARRAY_SIZE(c->events))
			memcpy(c->events[c->n_events++].path, m->h.path, QDB_KEY_CAP);
	}
}

static int call(struct qdbc *c, enum qdb_type type, const char *path, const void *data, size_t len, enum qdb_type want,
		struct qdb_msg *m, struct err *e)
{
	int r = qdbc_queue(c, type, path, data, len);

	if (r < 0)
		return err_errno(e, -r, "QubesDB key '%s'", path);
	r = reply(c, m, e);
	if (r < 0)
		return r;
	if (m->h.type == want)
		return 0;
	if (m->h.type == QDB_RESP_ERROR_NOENT)
		return -ENOENT;
	if (m->h.type == QDB_RESP_ERROR)
		return err_set(e, EACCES, "QubesDB refused %s of %s", qdb_type_name((uint8_t)type), path);
	return err_set(e, EBADMSG, "QubesDB answered %s with %s", qdb_type_name((uint8_t)type), qdb_type_name(m->h.type));
}

int qdbc_read(struct qdbc *c, const char *key, char *ret, size_t cap, struct err *e)
{
	struct qdb_msg m;
	int r = call(c, QDB_CMD_READ, key, NULL, 0, QDB_RESP_READ, &m, e);

	if (r < 0)
		return r;
	if (m.h.len >= cap)
		return err_set(e, EMSGSIZE, "the value of %s is too long", key);
	memcpy(ret, m.data, (size_t)m.h.len + 1);
	return 0;
}

int qdbc_write(struct qdbc *c, const char *key, const void *data, size_t len, struct err *e)
{
	struct qdb_msg m;

	return call(c, QDB_CMD_WRITE, key, data, len, QDB_RESP_OK, &m, e);
}

int qdbc_rm(struct qdbc *c, const char *key, struct err *e)
{
	struct qdb_msg m;

	return call(c, QDB_CMD_RM, key, NULL, 0, QDB_RESP_OK, &m, e);
}

int qdbc_watch(struct qdbc *c, const char *key, bool on, struct err *e)
{
	struct qdb_msg m;

	return call(c, on ? QDB_CMD_WATCH : QDB_CMD_UNWATCH, key, NULL, 0, QDB_RESP_OK, &m, e);
}

int qdbc_each(struct qdbc *c, const char *prefix, bool values, int (*fn)(void *arg, const char *key, const char *value), void *arg,
	      struct err *e)
{
	enum qdb_type want = values ? QDB_RESP_MULTIREAD : QDB_RESP_LIST;
	struct qdb_msg m;
	int r = call(c, values ? QDB_CMD_MULTIREAD : QDB_CMD_LIST, prefix, NULL, 0, want, &m, e), result = 0;

	while (r == 0 && m.h.path[0]) {
		if (result == 0)
			result = MIN(fn(arg, m.h.path, m.data), 0);
		r = reply(c, &m, e);
		if (r == 0 && m.h.type != want)
			r = err_set(e, EBADMSG, "QubesDB mixed %s into a list", qdb_type_name(m.h.type));
	}
	return r < 0 ? r : result;
}

int qdbc_wait_event(struct qdbc *c, char *ret, int timeout_ms, struct err *e)
{
	struct qdb_msg m;
	int r;

	if (c->n_events) {
		memcpy(ret, c->events[0].path, QDB_KEY_CAP);
		memmove(&c->events[0], &c->events[1], --c->n_events * sizeof c->events[0]);
		return 0;
	}
	r = next_wait(c, &m, deadline_of(timeout_ms));
	if (r < 0)
		return err_errno(e, -r, "waiting for a QubesDB event");
	if (m.h.type != QDB_RESP_WATCH)
		return err_set(e, EBADMSG, "QubesDB sent %s unasked", qdb_type_name(m.h.type));
	memcpy(ret, m.h.path, QDB_KEY_CAP);
	return 0;
}

int qdbc_wait_key(struct qdbc *c, const char *key, char *ret, size_t cap, int timeout_ms, struct err *e)
{
	uint64_t deadline = deadline_of(timeout_ms);
	int r = qdbc_watch(c, key, true, e);

	while (r == 0) {
		char path[QDB_KEY_CAP];
		uint64_t now = now_us();

		r = qdbc_read(c, key, ret, cap, e);
		if (r != -ENOENT)
			break;
		if (deadline && now >= deadline)
			r = err_set(e, ETIMEDOUT, "QubesDB has no %s", key);
		else
			r = qdbc_wait_event(c, path, deadline ? (int)((deadline - now) / 1000 + 1) : -1, e);
	}
	if (r == 0)
		r = qdbc_watch(c, key, false, e);
	return r;
}
