/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * QubesDB messages (specs/guest-network.md §1.3): the same 72-byte header on the local sockets and on the vchan, then len bytes of data.
 * This file owns the layout, the rules for keys and values, and which message is legal on which side; no descriptor, no state.
 */
#ifndef PROTO_QDB_H
#define PROTO_QDB_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define QDB_HDR_LEN 72
#define QDB_KEY_CAP 64	    /* with NUL */
#define QDB_VALUE_MAX 3071  /* bytes, no NUL among them */
#define QDB_CLIENTS_MAX 256
#define QDB_VCHAN_PORT 111

enum qdb_type {
	QDB_CMD_READ, QDB_CMD_WRITE, QDB_CMD_MULTIREAD, QDB_CMD_LIST, QDB_CMD_RM, QDB_CMD_WATCH, QDB_CMD_UNWATCH,
	QDB_RESP_OK, QDB_RESP_ERROR_NOENT, QDB_RESP_ERROR, QDB_RESP_READ, QDB_RESP_MULTIREAD, QDB_RESP_LIST, QDB_RESP_WATCH,
	QDB_TYPE_N
};

/* Where a message arrives; decides which types are legal there. */
enum qdb_side {
	QDB_AT_RO,    /* server, read-only socket */
	QDB_AT_RW,    /* server, read-write socket */
	QDB_AT_HOST,  /* dom0's end of the vchan */
	QDB_AT_GUEST, /* the qube's end of the vchan */
	QDB_AT_CLIENT /* a client of a local socket */
};

struct qdb_hdr {
	uint8_t type;
	char path[QDB_KEY_CAP];
	uint32_t len;
};

/* qdb_hdr_get decodes exactly QDB_HDR_LEN bytes: -EBADMSG for a short reader, an unknown type, a path without NUL or a length above
   QDB_VALUE_MAX. Bytes behind the NUL of the path and the padding are ignored: reference clients leave them undefined. */
int qdb_hdr_get(struct rd *r, struct qdb_hdr *ret) _must_check_;
/* qdb_put appends a whole message; poisons w when the path or the data is too long. data may be NULL when len is 0. */
void qdb_put(struct wr *w, uint8_t type, const char *path, const void *data, size_t len);
/* qdb_check is 0 when the message may arrive at side with this path and data; -EPERM for a type that does not belong there (a write on
   the read-only socket too), -EBADMSG for data where none belongs, -EINVAL for a key or value that breaks the rules. */
int qdb_check(enum qdb_side side, const struct qdb_hdr *h, const uint8_t *data) _must_check_;
/* qdb_key_ok: begins with '/', does not end in '/', only A-Z a-z 0-9 - _ / . : @, at most 63 bytes. */
bool qdb_key_ok(const char *path);
/* qdb_prefix_ok: the same, but a trailing '/' and the empty text are fine. */
bool qdb_prefix_ok(const char *path);
bool qdb_value_ok(const void *p, size_t n);
/* qdb_covers is true when a watch or removal of `watch` concerns key `path`: equal, or watch ends in '/' and is a prefix. */
bool qdb_covers(const char *watch, const char *path);
const char *qdb_type_name(uint8_t type);

#endif
