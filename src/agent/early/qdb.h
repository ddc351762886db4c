/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The few QubesDB requests that the early boot needs, over the qube's local socket, one at a
   time and blocking. */
#ifndef AGENT_EARLY_QDB_H
#define AGENT_EARLY_QDB_H

#include "base/err.h"
#include "base/rd.h"

#define QDB_PATH_MAX 64
#define QDB_DATA_MAX 3072
#define QDB_HEADER 72

struct qdb {
	int fd;
};

struct qdb_head {
	uint8_t type;
	char path[QDB_PATH_MAX];
	uint32_t len;
};

/* qdb_head_parse decodes the 72 bytes in front of every message: -EBADMSG on a path without end
   or a length above QDB_DATA_MAX. */
int qdb_head_parse(struct rd r, struct qdb_head *ret, struct err *e);
/* qdb_open connects to the socket, trying for up to timeout_ms; close it with qdb_close. */
int qdb_open(struct qdb *ret, const char *socket_path, int timeout_ms, struct err *e);
void qdb_close(struct qdb *q);
/* qdb_read copies the value (NUL added) into ret; -ENOENT without an error text when the key
   does not exist, -EMSGSIZE when it does not fit. */
int qdb_read(struct qdb *q, const char *key, char *ret, size_t cap, struct err *e);
/* qdb_wait is qdb_read that waits up to timeout_ms for the key to appear; -ETIMEDOUT. */
int qdb_wait(struct qdb *q, const char *key, char *ret, size_t cap, int timeout_ms, struct err *e);
/* qdb_each calls fn with every entry whose key begins with prefix; fn must not use q. A negative
   result of fn ends the walk after the remaining answers were read, and is returned. */
int qdb_each(struct qdb *q, const char *prefix, int (*fn)(void *arg, const char *key, const char *value), void *arg, struct err *e);
int qdb_rm(struct qdb *q, const char *key, struct err *e);

#endif
