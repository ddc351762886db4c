/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Local clients: requests and watches. */
#include <sys/socket.h>

#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesdb-daemon/db.h"

void db_fire(struct db *d, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(d->clients); i++) {
		struct conn *c = &d->clients[i];

		if (c->fd < 0)
			continue;
		for (size_t k = 0; k < c->n_watches; k++)
			if (qdb_covers(c->watches[k], key))
				conn_send(c, QDB_RESP_WATCH, key, NULL, 0);
	}
}

struct entry *db_write(struct db *d, const char *key, const void *value, size_t len)
{
	struct entry *x = store_set(&d->store, key, value, len, NULL);

	/* A write of the same value fires too: a bare parent key written again means "done". */
	if (x)
		db_fire(d, key);
	return x;
}

size_t db_rm(struct db *d, const char *path)
{
	size_t i = store_find(&d->store, path), n = 0;

	while (i < d->store.n && qdb_covers(path, d->store.v[i]->key)) {
		char key[QDB_KEY_CAP];

		memcpy(key, d->store.v[i]->key, sizeof key);
		store_rm_at(&d->store, i);
		db_fire(d, key);
		n++;
	}
	return n;
}

void local_accept(struct db *d, int listen_fd, enum qdb_side side)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(d->clients); i++)
		if (d->clients[i].fd < 0) {
			conn_init(&d->clients[i], fd, side);
			return;
		}
	close(fd);
}

static void do_list(struct db *d, struct conn *c, const struct qdb_hdr *h)
{
	size_t n = strlen(h->path), i = store_find(&d->store, h->path), end = i;

	while (end < d->store.n && strncmp(d->store.v[end]->key, h->path, n) == 0)
		end++;
	if (h->type == QDB_CMD_LIST) {
		for (; i < end; i++)
			conn_send(c, QDB_RESP_LIST, d->store.v[i]->key, NULL, 0);
		conn_send(c, QDB_RESP_LIST, "", NULL, 0);
		return;
	}
	while (end > i) {
		const struct entry *x = d->store.v[--end];

		conn_send(c, QDB_RESP_MULTIREAD, x->key, x->value, x->len);
	}
	conn_send(c, QDB_RESP_MULTIREAD, "", NULL, 0);
}

static uint8_t do_watch(struct conn *c, const struct qdb_hdr *h)
{
	char(*v)[QDB_KEY_CAP];

	if (h->type == QDB_CMD_UNWATCH) {
		for (size_t i = 0; i < c->n_watches; i++)
			if (streq(c->watches[i], h->path)) {
				memmove(&c->watches[i], &c->watches[i + 1], (c->n_watches - i - 1) * QDB_KEY_CAP);
				c->n_watches--;
				return QDB_RESP_OK;
			}
		return QDB_RESP_ERROR_NOENT;
	}
	if (c->n_watches == WATCHES_MAX)
		return QDB_RESP_ERROR;
	v = reallocarray(c->watches, c->n_watches + 1, QDB_KEY_CAP);
	if (!v)
		return QDB_RESP_ERROR;
	c->watches = v;
	memcpy(v[c->n_watches++], h->path, QDB_KEY_CAP);
	return QDB_RESP_OK;
}

static uint8_t do_write(struct db *d, const struct qdb_hdr *h, const uint8_t *data)
{
	struct entry *x = db_write(d, h->path, data, h->len);

	if (!x)
		return QDB_RESP_ERROR;
	x->own = true;
	peer_forward_write(d, x);
	return QDB_RESP_OK;
}

static uint8_t do_rm(struct db *d, const struct qdb_hdr *h)
{
	if (db_rm(d, h->path) == 0)
		return QDB_RESP_ERROR_NOENT;
	peer_forward_rm(d, h->path);
	return QDB_RESP_OK;
}

static void handle(struct db *d, struct conn *c, const struct qdb_hdr *h, const uint8_t *data)
{
	const struct entry *x;
	uint8_t answer = QDB_RESP_ERROR;

	switch (h->type) {
	case QDB_CMD_READ:
		x = store_get(&d->store, h->path);
		if (x) {
			conn_send(c, QDB_RESP_READ, x->key, x->value, x->len);
			return;
		}
		answer = QDB_RESP_ERROR_NOENT;
		break;
	case QDB_CMD_MULTIREAD:
	case QDB_CMD_LIST:
		do_list(d, c, h);
		return;
	case QDB_CMD_WRITE:
		answer = do_write(d, h, data);
		break;
	case QDB_CMD_RM:
		answer = do_rm(d, h);
		break;
	case QDB_CMD_WATCH:
	case QDB_CMD_UNWATCH:
		answer = do_watch(c, h);
		break;
	default:
		break;
	}
	conn_send(c, answer, h->path, NULL, 0);
}

/* A request that is well formed but not allowed gets an answer; anything else ends the connection. */
static int refuse(struct conn *c, const struct qdb_hdr *h, int r)
{
	if (r == -EPERM && h->type != QDB_CMD_WRITE && h->type != QDB_CMD_RM)
		return r;
	if (r != -EPERM && r != -EINVAL)
		return r;
	conn_send(c, h->type == QDB_CMD_READ ? QDB_RESP_ERROR_NOENT : QDB_RESP_ERROR, h->path, NULL, 0);
	return 0;
}

/* Serves whole requests while the answers are read; true when none is left. */
static bool serve(struct db *d, struct conn *c)
{
	while (!c->dead && c->out.len < CONN_OUT_PAUSE) {
		struct qdb_hdr h;
		const uint8_t *data;
		int r = conn_next(c, &h, &data);

		if (r == 0)
			return true;
		if (r > 0) {
			r = qdb_check(c->side, &h, data);
			if (r < 0)
				r = refuse(c, &h, r);
			else
				handle(d, c, &h, data);
			conn_drop(c, &h);
		}
		if (r < 0) {
			log_warn("a local client broke the protocol: dropped");
			c->dead = true;
		}
	}
	return false;
}

void local_turn(struct db *d, struct conn *c, short revents)
{
	bool done;

	conn_io(c, revents);
	do {
		done = serve(d, c);
		conn_io(c, 0);
	} while (!done && !c->dead && c->out.len < CONN_OUT_PAUSE);
	/* A client may close its sending half and still wait for its answers. */
	if (done && c->eof && !c->out.len)
		c->dead = true;
}
