/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QubesDB messages: layout and legality. */
#include "proto/qdb.h"

#include "base/str.h"

int qdb_hdr_get(struct rd *r, struct qdb_hdr *ret)
{
	struct qdb_hdr h = { .type = rd_u8(r) };

	rd_bytes(r, h.path, sizeof h.path);
	rd_skip(r, 3);
	h.len = rd_u32le(r);
	if (!rd_ok(r) || h.type >= QDB_TYPE_N || !memchr(h.path, 0, sizeof h.path) || h.len > QDB_VALUE_MAX)
		return -EBADMSG;
	memset(h.path + strlen(h.path), 0, sizeof h.path - strlen(h.path));
	*ret = h;
	return 0;
}

void qdb_put(struct wr *w, uint8_t type, const char *path, const void *data, size_t len)
{
	if (len > QDB_VALUE_MAX) {
		wr_fail(w);
		return;
	}
	wr_u8(w, type);
	wr_fixed(w, path, QDB_KEY_CAP);
	wr_zero(w, 3);
	wr_u32le(w, (uint32_t)len);
	if (len)
		wr_bytes(w, data, len);
}

bool qdb_prefix_ok(const char *path)
{
	size_t n = strnlen(path, QDB_KEY_CAP);

	return n < QDB_KEY_CAP && (n == 0 || path[0] == '/') && str_chars(path, "-_/.:@");
}

bool qdb_key_ok(const char *path)
{
	return path[0] && qdb_prefix_ok(path) && path[strlen(path) - 1] != '/';
}

bool qdb_value_ok(const void *p, size_t n)
{
	return n <= QDB_VALUE_MAX && !(n && memchr(p, 0, n));
}

bool qdb_covers(const char *watch, const char *path)
{
	size_t n = strlen(watch);

	if (n && watch[n - 1] == '/')
		return strncmp(watch, path, n) == 0;
	return streq(watch, path);
}

/* What each type is: B(side) = legal there. */
#define B(side) (1u << QDB_AT_##side)
static const struct {
	const char *name;
	unsigned sides;
	bool data;
	bool key; /* path must be a key, else a prefix */
} rules[QDB_TYPE_N] = {
	[QDB_CMD_READ] = { "READ", B(RO) | B(RW), false, true },
	[QDB_CMD_WRITE] = { "WRITE", B(RW) | B(HOST) | B(GUEST), true, true },
	[QDB_CMD_MULTIREAD] = { "MULTIREAD", B(RO) | B(RW) | B(HOST), false, false },
	[QDB_CMD_LIST] = { "LIST", B(RO) | B(RW), false, false },
	[QDB_CMD_RM] = { "RM", B(RW) | B(HOST) | B(GUEST), false, false },
	[QDB_CMD_WATCH] = { "WATCH", B(RO) | B(RW), false, false },
	[QDB_CMD_UNWATCH] = { "UNWATCH", B(RO) | B(RW), false, false },
	[QDB_RESP_OK] = { "OK", B(HOST) | B(GUEST) | B(CLIENT), false, false },
	[QDB_RESP_ERROR_NOENT] = { "NOENT", B(CLIENT), false, false },
	[QDB_RESP_ERROR] = { "ERROR", B(HOST) | B(GUEST) | B(CLIENT), false, false },
	[QDB_RESP_READ] = { "VALUE", B(CLIENT), true, false },
	[QDB_RESP_MULTIREAD] = { "ENTRY", B(GUEST) | B(CLIENT), true, false },
	[QDB_RESP_LIST] = { "KEY", B(CLIENT), false, false },
	[QDB_RESP_WATCH] = { "EVENT", B(CLIENT), false, false },
};
#undef B

int qdb_check(enum qdb_side side, const struct qdb_hdr *h, const uint8_t *data)
{
	if (h->type >= QDB_TYPE_N)
		return -EBADMSG;
	if (!(rules[h->type].sides & 1u << side))
		return -EPERM;
	if (h->len && !rules[h->type].data)
		return -EBADMSG;
	if (rules[h->type].key ? !qdb_key_ok(h->path) : !qdb_prefix_ok(h->path))
		return -EINVAL;
	/* Removing "" would empty the data base by one short message. */
	if (h->type == QDB_CMD_RM && !h->path[0])
		return -EINVAL;
	if (h->type == QDB_RESP_MULTIREAD && h->path[0] && !qdb_key_ok(h->path))
		return -EINVAL;
	return qdb_value_ok(data, h->len) ? 0 : -EINVAL;
}

const char *qdb_type_name(uint8_t type)
{
	return type < QDB_TYPE_N ? rules[type].name : "?";
}
