/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening, migration, and the writes of one transaction. Every statement is prepared once. */
#include "store/store.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "store/internal.h"
#include "store/schema.h"

const char *const store_kv_tables[KV_N] = {
	[KV_PROP] = "props", [KV_FEATURE] = "features", [KV_TAG] = "tags",
	[KV_TEXT] = "texts", [KV_GLOBAL] = "globals",	[KV_POOL] = "pool_config",
};

#define LOCK_WAIT_MS 5000

static const char *const row_names[] = { [ROW_CREATING] = "creating", [ROW_READY] = "ready", [ROW_REMOVING] = "removing" };

enum { ST_QUBE_PUT, ST_QUBE_DEL, ST_VOLUME_PUT, ST_LABEL_PUT, ST_LABEL_DEL, ST_POOL_PUT, ST_POOL_DEL, ST_BEGIN, ST_COMMIT, ST_ROLLBACK, ST_FIXED };

static const char *const fixed[ST_FIXED] = {
	[ST_QUBE_PUT] = "INSERT INTO qubes (uuid, qid, name, class, state) VALUES (?, ?, ?, ?, ?)"
			" ON CONFLICT (uuid) DO UPDATE SET state = excluded.state",
	[ST_QUBE_DEL] = "DELETE FROM qubes WHERE uuid = ?",
	[ST_VOLUME_PUT] = "INSERT OR REPLACE INTO volumes (owner, name, pool, size, rw, keep, ephemeral) VALUES (?, ?, ?, ?, ?, ?, ?)",
	[ST_LABEL_PUT] = "INSERT INTO labels (name, idx, value) VALUES (?, ?, ?)",
	[ST_LABEL_DEL] = "DELETE FROM labels WHERE name = ?",
	[ST_POOL_PUT] = "INSERT INTO pools (name, driver) VALUES (?, ?)",
	[ST_POOL_DEL] = "DELETE FROM pools WHERE name = ?",
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *fixed[ST_FIXED], *put[KV_N], *del[KV_N];
};

int store_fail(sqlite3 *db, struct err *e, const char *what)
{
	return err_set(e, EIO, "%s: %s", what, db ? sqlite3_errmsg(db) : "out of memory");
}

static int exec(struct store *s, const char *sql, struct err *e)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_fail(s->db, e, "database");
}

/* The first column of the first row as text, "" when there is none. */
static int query_text(struct store *s, const char *sql, char *out, size_t cap, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int r = 0;

	out[0] = '\0';
	if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK)
		return store_fail(s->db, e, "database");
	switch (sqlite3_step(st)) {
	case SQLITE_ROW:
		if (str_copy(out, cap, (const char *)sqlite3_column_text(st, 0)) < 0)
			out[0] = '\0';
		break;
	case SQLITE_DONE:
		break;
	default:
		r = store_fail(s->db, e, "database");
	}
	sqlite3_finalize(st);
	return r;
}

static int migrate(struct store *s, struct err *e)
{
	char text[32], sql[64];
	uint64_t v;
	int r = query_text(s, "PRAGMA user_version", text, sizeof text, e);

	if (r < 0)
		return r;
	if (str_u64(text, 1u << 30, &v) < 0 || v > STORE_VERSION)
		return err_set(e, EPROTO, "the database has schema version %s; this program knows up to %d", text, STORE_VERSION);
	for (; v < STORE_VERSION; v++) {
		if (str_printf(sql, sizeof sql, "PRAGMA user_version = %llu", (unsigned long long)v + 1) < 0)
			return -EINVAL;
		r = exec(s, "BEGIN EXCLUSIVE", e);
		if (r == 0)
			r = exec(s, migrations[v], e);
		if (r == 0)
			r = exec(s, sql, e);
		if (r == 0)
			r = exec(s, "COMMIT", e);
		if (r < 0)
			return r;
		log_info("database schema brought to version %llu", (unsigned long long)v + 1);
	}
	return 0;
}

static int prepare(struct store *s, sqlite3_stmt **ret, const char *sql, struct err *e)
{
	if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) != SQLITE_OK)
		return store_fail(s->db, e, sql);
	return 0;
}

static int prepare_all(struct store *s, struct err *e)
{
	char sql[200];
	int r = 0;

	for (unsigned i = 0; i < ST_FIXED && r == 0; i++)
		r = prepare(s, &s->fixed[i], fixed[i], e);
	for (unsigned i = 0; i < KV_N && r == 0; i++) {
		if (str_printf(sql, sizeof sql, "INSERT OR REPLACE INTO %s (owner, key, value) VALUES (?, ?, ?)", store_kv_tables[i]) < 0)
			return -EINVAL;
		r = prepare(s, &s->put[i], sql, e);
		if (r == 0 && str_printf(sql, sizeof sql, "DELETE FROM %s WHERE owner = ? AND key = ?", store_kv_tables[i]) < 0)
			return -EINVAL;
		if (r == 0)
			r = prepare(s, &s->del[i], sql, e);
	}
	return r;
}

static int check(struct store *s, struct err *e)
{
	char text[256];
	int r = query_text(s, "PRAGMA quick_check(1)", text, sizeof text, e);

	if (r < 0)
		return r;
	if (!streq(text, "ok"))
		return err_set(e, EUCLEAN, "the database is damaged: %s", text);
	r = query_text(s, "PRAGMA foreign_key_check", text, sizeof text, e);
	if (r == 0 && text[0])
		return err_set(e, EUCLEAN, "the database is damaged: table %s has rows without an owner", text);
	return r;
}

int store_open(struct store **ret, const char *path, struct err *e)
{
	_cleanup_(store_closep) struct store *s = xcalloc(1, sizeof *s);
	mode_t old = umask(0077);
	int r = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	umask(old);
	if (r != SQLITE_OK)
		return store_fail(s->db, e, path);
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	/* The exclusive lock keeps a second process out, and the index of the log in our memory instead of a shared file. */
	/* A daemon that was killed may take a moment to let go of its lock. */
	sqlite3_busy_timeout(s->db, LOCK_WAIT_MS);
	r = exec(s, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
		    "PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024; PRAGMA wal_autocheckpoint = 400",
		 e);
	/* The log keeps its size: a commit that only overwrites is synced faster than one that makes a file grow. */
	sqlite3_file_control(s->db, NULL, SQLITE_FCNTL_PERSIST_WAL, &(int){ 1 });
	if (r == 0)
		r = migrate(s, e);
	if (r == 0)
		r = check(s, e);
	if (r == 0)
		r = prepare_all(s, e);
	if (r < 0)
		return r;
	*ret = STEAL_PTR(s);
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < ST_FIXED; i++)
		sqlite3_finalize(s->fixed[i]);
	for (unsigned i = 0; i < KV_N; i++) {
		sqlite3_finalize(s->put[i]);
		sqlite3_finalize(s->del[i]);
	}
	sqlite3_close(s->db);
	free(s);
}

sqlite3 *store_db(struct store *s)
{
	return s->db;
}

bool store_fresh(struct store *s)
{
	char text[16];

	return query_text(s, "SELECT count(*) FROM qubes", text, sizeof text, NULL) == 0 && streq(text, "0");
}

/* Runs a bound statement to its end and makes it ready for the next use. */
static int run(struct store *s, sqlite3_stmt *st, struct err *e)
{
	int r = sqlite3_step(st);

	r = r == SQLITE_DONE || r == SQLITE_ROW ? 0 : store_fail(s->db, e, "database");
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return r;
}

static void text(sqlite3_stmt *st, int i, const char *s)
{
	/* Bound texts live until run() returns, so no copy is made. */
	sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
}

static int op_begin(void *ctx, struct err *e)
{
	struct store *s = ctx;

	return run(s, s->fixed[ST_BEGIN], e);
}

static int op_commit(void *ctx, struct err *e)
{
	struct store *s = ctx;

	return run(s, s->fixed[ST_COMMIT], e);
}

static void op_rollback(void *ctx)
{
	struct store *s = ctx;

	/* After some errors the transaction is gone already. */
	if (!sqlite3_get_autocommit(s->db))
		(void)run(s, s->fixed[ST_ROLLBACK], NULL);
}

static int op_qube_put(void *ctx, const struct qube *q, struct err *e)
{
	struct store *s = ctx;
	sqlite3_stmt *st = s->fixed[ST_QUBE_PUT];

	text(st, 1, q->uuid.s);
	sqlite3_bind_int64(st, 2, q->qid);
	text(st, 3, q->name.s);
	text(st, 4, klass_name(q->klass));
	text(st, 5, row_names[q->row]);
	return run(s, st, e);
}

static int del_by(struct store *s, unsigned which, const char *key, struct err *e)
{
	text(s->fixed[which], 1, key);
	return run(s, s->fixed[which], e);
}

static int op_qube_del(void *ctx, const struct qube *q, struct err *e)
{
	return del_by(ctx, ST_QUBE_DEL, q->uuid.s, e);
}

static int op_kv_put(void *ctx, enum kv_table t, const char *owner, const char *key, const char *value, struct err *e)
{
	struct store *s = ctx;
	sqlite3_stmt *st = value ? s->put[t] : s->del[t];

	text(st, 1, owner);
	text(st, 2, key);
	if (value)
		text(st, 3, value);
	return run(s, st, e);
}

static int op_volume_put(void *ctx, const struct qube *q, const struct volume *v, struct err *e)
{
	struct store *s = ctx;
	sqlite3_stmt *st = s->fixed[ST_VOLUME_PUT];

	text(st, 1, q->uuid.s);
	text(st, 2, v->name);
	text(st, 3, v->pool);
	sqlite3_bind_int64(st, 4, (sqlite3_int64)v->size);
	sqlite3_bind_int(st, 5, v->rw);
	if (v->keep_set)
		sqlite3_bind_int64(st, 6, v->revisions_to_keep);
	if (v->ephemeral >= 0)
		sqlite3_bind_int(st, 7, v->ephemeral);
	return run(s, st, e);
}

static int op_label_put(void *ctx, const struct label *l, struct err *e)
{
	struct store *s = ctx;
	sqlite3_stmt *st = s->fixed[ST_LABEL_PUT];

	text(st, 1, l->name);
	sqlite3_bind_int64(st, 2, l->index);
	text(st, 3, l->value);
	return run(s, st, e);
}

static int op_label_del(void *ctx, const struct label *l, struct err *e)
{
	return del_by(ctx, ST_LABEL_DEL, l->name, e);
}

static int op_pool_put(void *ctx, const struct pool *p, struct err *e)
{
	struct store *s = ctx;
	sqlite3_stmt *st = s->fixed[ST_POOL_PUT];

	text(st, 1, p->name);
	text(st, 2, p->driver);
	return run(s, st, e);
}

static int op_pool_del(void *ctx, const struct pool *p, struct err *e)
{
	return del_by(ctx, ST_POOL_DEL, p->name, e);
}

const struct db_ops store_ops = {
	.begin = op_begin,
	.commit = op_commit,
	.rollback = op_rollback,
	.qube_put = op_qube_put,
	.qube_del = op_qube_del,
	.kv_put = op_kv_put,
	.volume_put = op_volume_put,
	.label_put = op_label_put,
	.label_del = op_label_del,
	.pool_put = op_pool_put,
	.pool_del = op_pool_del,
};
