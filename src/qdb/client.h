/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * QubesDB client over a local socket. Two ways of use, not to be mixed on one connection while requests are open:
 *  - blocking (tools, early boot): qdbc_read, qdbc_write, … with a time limit a call;
 *  - event driven (daemons): qdbc_queue requests, watch qdbc_wants and the descriptor, call qdbc_io when it is ready, then
 *    take messages with qdbc_next until it gives 0. Replies come in the order of requests; QDB_RESP_WATCH may come between them.
 * The server is not trusted: every message is checked, a bad one ends the connection with -EBADMSG.
 */
#ifndef QDB_CLIENT_H
#define QDB_CLIENT_H

#include "base/err.h"
#include "base/wr.h"
#include "proto/qdb.h"

#define QDBC_TIMEOUT_MS 5000

struct qdbc {
	int fd;
	int timeout_ms; /* of one blocking call; -1 = for ever */
	struct wr in, out;
	size_t in_off; /* first byte of in that was not taken yet */
	struct {
		char path[QDB_KEY_CAP];
	} events[64]; /* events that arrived while a reply was awaited */
	unsigned n_events;
	bool eof;
};

struct qdb_msg {
	struct qdb_hdr h;
	char data[QDB_VALUE_MAX + 1]; /* NUL-terminated */
};

/* qdbc_init takes over fd (a connected stream). qdbc_open connects first; -errno with text. End both with qdbc_fini. */
void qdbc_init(struct qdbc *c, int fd);
int qdbc_open(struct qdbc *c, const char *socket_path, struct err *e);
/* qdbc_open_wait is qdbc_open that tries again for up to timeout_ms while nobody listens: the server is starting. */
int qdbc_open_wait(struct qdbc *c, const char *socket_path, int timeout_ms, struct err *e);
void qdbc_fini(struct qdbc *c);

/* qdbc_queue appends a request; -EINVAL when path or value break the rules, -ENOBUFS when 16 MiB wait already. */
int qdbc_queue(struct qdbc *c, enum qdb_type type, const char *path, const void *data, size_t len);
/* qdbc_wants is true while queued bytes wait for the socket to become writable. */
static inline bool qdbc_wants(const struct qdbc *c)
{
	return c->out.len > 0;
}
/* qdbc_io sends and receives what is possible without waiting: 0, -ECONNRESET at end of file, -errno. */
int qdbc_io(struct qdbc *c);
/* qdbc_next gives the next received message: 1, 0 when there is none, -EBADMSG. */
int qdbc_next(struct qdbc *c, struct qdb_msg *ret);

/* Blocking calls. All give 0 or -errno: -ENOENT (no text) for a missing key, -ETIMEDOUT, -ECONNRESET, -EBADMSG, -EACCES when refused. */
/* qdbc_read copies the value with a NUL; -EMSGSIZE when it does not fit. */
int qdbc_read(struct qdbc *c, const char *key, char *ret, size_t cap, struct err *e);
int qdbc_write(struct qdbc *c, const char *key, const void *data, size_t len, struct err *e);
int qdbc_rm(struct qdbc *c, const char *key, struct err *e);
/* qdbc_each calls fn for every entry whose key begins with prefix, in the order of the server (descending). fn must not use c. A negative
   result of fn is returned after the remaining answers were read. values false: LIST, value is "". */
int qdbc_each(struct qdbc *c, const char *prefix, bool values, int (*fn)(void *arg, const char *key, const char *value), void *arg,
	      struct err *e);
int qdbc_watch(struct qdbc *c, const char *key, bool on, struct err *e);
/* qdbc_wait_event waits timeout_ms (-1 = for ever) for an event of any watch and copies its path (QDB_KEY_CAP bytes). */
int qdbc_wait_event(struct qdbc *c, char *ret, int timeout_ms, struct err *e);
/* qdbc_wait_key is qdbc_read that waits up to timeout_ms for the key to exist. */
int qdbc_wait_key(struct qdbc *c, const char *key, char *ret, size_t cap, int timeout_ms, struct err *e);

DEFINE_CLEANUP(qdbc_fini, struct qdbc *)

#endif
