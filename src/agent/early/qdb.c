/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QubesDB client of the early boot. */
#include "agent/early/qdb.h"

#include <poll.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"
#include "base/wr.h"

enum {
	QDB_READ = 0,
	QDB_MULTIREAD = 2,
	QDB_RM = 4,
	QDB_WATCH = 5,
	QDB_UNWATCH = 6,
	QDB_OK = 7,
	QDB_NOENT = 8,
	QDB_VALUE = 10,
	QDB_MULTIVALUE = 11,
	QDB_EVENT = 13,
};

int qdb_head_parse(struct rd r, struct qdb_head *ret, struct err *e)
{
	struct qdb_head h = { 0 };

	h.type = rd_u8(&r);
	rd_bytes(&r, h.path, sizeof h.path);
	rd_skip(&r, 3);
	h.len = rd_u32le(&r);
	if (!rd_done(&r) || !memchr(h.path, '\0', sizeof h.path) || h.len > QDB_DATA_MAX)
		return err_set(e, EBADMSG, "QubesDB sent a bad header");
	*ret = h;
	return 0;
}

int qdb_open(struct qdb *ret, const char *socket_path, int timeout_ms, struct err *e)
{
	uint64_t deadline = now_us() + (uint64_t)timeout_ms * 1000;

	/* The name appears a moment before the daemon listens, and no event tells of that. */
	for (;;) {
		int fd = unix_connect(socket_path, SOCK_STREAM, e);

		if (fd >= 0) {
			ret->fd = fd;
			return 0;
		}
		if ((fd != -ECONNREFUSED && fd != -ENOENT && fd != -EAGAIN) || now_us() >= deadline)
			return fd;
		err_clear(e);
		poll(NULL, 0, 5);
	}
}

void qdb_close(struct qdb *q)
{
	fd_closep(&q->fd);
}

static int send_request(struct qdb *q, uint8_t type, const char *path, struct err *e)
{
	uint8_t buf[QDB_HEADER];
	struct wr w = wr_mem(buf, sizeof buf);
	int r;

	wr_u8(&w, type);
	wr_fixed(&w, path, QDB_PATH_MAX);
	wr_zero(&w, 3);
	wr_u32le(&w, 0);
	if (!wr_ok(&w))
		return err_set(e, EINVAL, "QubesDB key '%s' is too long", path);
	r = write_full(q->fd, buf, sizeof buf);
	return r < 0 ? err_errno(e, -r, "writing to QubesDB") : 0;
}

/* receive reads one message; its data (NUL added) goes to data, which holds QDB_DATA_MAX + 1
   bytes. */
static int receive(struct qdb *q, struct qdb_head *h, char *data, struct err *e)
{
	uint8_t buf[QDB_HEADER];
	ssize_t n = read_full(q->fd, buf, sizeof buf);
	int r;

	if (n < 0)
		return err_errno(e, (int)-n, "reading from QubesDB");
	if (n != sizeof buf)
		return err_set(e, ECONNRESET, "QubesDB closed the connection");
	r = qdb_head_parse(rd_mem(buf, sizeof buf), h, e);
	if (r < 0)
		return r;
	n = read_full(q->fd, data, h->len);
	if (n != (ssize_t)h->len)
		return err_set(e, ECONNRESET, "QubesDB closed the connection");
	data[h->len] = '\0';
	return 0;
}

/* reply is receive that passes over watch events, which may come between answers. */
static int reply(struct qdb *q, struct qdb_head *h, char *data, struct err *e)
{
	int r;

	do
		r = receive(q, h, data, e);
	while (r == 0 && h->type == QDB_EVENT);
	return r;
}

int qdb_read(struct qdb *q, const char *key, char *ret, size_t cap, struct err *e)
{
	char data[QDB_DATA_MAX + 1];
	struct qdb_head h;
	int r = send_request(q, QDB_READ, key, e);

	if (r == 0)
		r = reply(q, &h, data, e);
	if (r < 0)
		return r;
	if (h.type == QDB_NOENT)
		return -ENOENT;
	if (h.type != QDB_VALUE)
		return err_set(e, EPROTO, "QubesDB answered a read of %s with type %u", key, h.type);
	return str_copy(ret, cap, data) < 0 ? err_set(e, EMSGSIZE, "the value of %s is too long", key) : 0;
}

static int simple(struct qdb *q, uint8_t type, const char *key, struct err *e)
{
	char data[QDB_DATA_MAX + 1];
	struct qdb_head h;
	int r = send_request(q, type, key, e);

	if (r == 0)
		r = reply(q, &h, data, e);
	if (r == 0 && h.type != QDB_OK)
		r = err_set(e, EPROTO, "QubesDB refused request %u for %s", type, key);
	return r;
}

int qdb_rm(struct qdb *q, const char *key, struct err *e)
{
	return simple(q, QDB_RM, key, e);
}

int qdb_wait(struct qdb *q, const char *key, char *ret, size_t cap, int timeout_ms, struct err *e)
{
	uint64_t deadline = now_us() + (uint64_t)timeout_ms * 1000;
	char data[QDB_DATA_MAX + 1];
	struct qdb_head h;
	int r = qdb_read(q, key, ret, cap, e);

	if (r != -ENOENT)
		return r;
	r = simple(q, QDB_WATCH, key, e);
	while (r == 0) {
		struct pollfd p = { .fd = q->fd, .events = POLLIN };
		uint64_t now = now_us();

		/* Read before waiting: the key may have come between the first read and the
		   watch. */
		r = qdb_read(q, key, ret, cap, e);
		if (r != -ENOENT)
			break;
		if (now >= deadline)
			return err_set(e, ETIMEDOUT, "QubesDB has no %s", key);
		r = poll(&p, 1, (int)((deadline - now) / 1000 + 1)) < 0 && errno != EINTR ? -errno : 0;
		if (r == 0 && (p.revents & POLLIN))
			r = receive(q, &h, data, e);
	}
	if (r == 0)
		r = simple(q, QDB_UNWATCH, key, e);
	return r;
}

int qdb_each(struct qdb *q, const char *prefix, int (*fn)(void *arg, const char *key, const char *value), void *arg, struct err *e)
{
	char data[QDB_DATA_MAX + 1];
	struct qdb_head h;
	int result = 0;
	int r = send_request(q, QDB_MULTIREAD, prefix, e);

	while (r == 0) {
		r = reply(q, &h, data, e);
		if (r < 0)
			return r;
		if (h.type != QDB_MULTIVALUE)
			return err_set(e, EPROTO, "QubesDB answered a list of %s with type %u", prefix, h.type);
		if (!h.path[0])
			return result;
		if (result == 0)
			result = fn(arg, h.path, data);
	}
	return r;
}
