/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lock, opening, closing, and the writes of one transaction. Every statement is prepared once. */
#include "store/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "store/internal.h"

const char *const store_kv_tables[KV_N] = {
	[KV_PROP] = "props", [KV_FEATURE] = "features", [KV_TAG] = "tags",
	[KV_TEXT] = "texts", [KV_GLOBAL] = "globals",	[KV_POOL] = "pool_config",
	[KV_DEVICE] = "device_assignments", [KV_NUMBER] = "disposable_numbers",
};

#define LOCK_WAIT_MS 5000
#define LOCK_STEP_MS 20
#define DAY_S 86400

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
	char *path; /* NULL until it is open */
	int lock;
	sqlite3_stmt *fixed[ST_FIXED], *put[KV_N], *del[KV_N];
};

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

int store_lock(const char *path, int wait_ms, struct err *e)
{
	char lock[PATH_MAX], dir[PATH_MAX];
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (str_printf(lock, sizeof lock, "%s.lock", path) < 0 || str_printf(dir, sizeof dir, "%.*s", (int)(strrchr(lock, '/') - lock), lock) < 0)
		return err_set(e, ENAMETOOLONG, "the path of the database is too long");
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(e, errno, "%s", lock);
	/* Root, working on the files of the daemon's user, must not leave a lock that the daemon cannot open. */
	if (geteuid() == 0 && (stat(dir, &st) < 0 || fchown(fd, st.st_uid, st.st_gid) < 0))
		return err_errno(e, errno, "%s: owner", lock);
	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_STEP_MS) {
		if (errno != EWOULDBLOCK)
			return err_errno(e, errno, "%s", lock);
		if (waited >= wait_ms)
			return err_set(e, EBUSY, "the database %s is in use by another process", path);
		(void)nanosleep(&(struct timespec){ .tv_nsec = LOCK_STEP_MS * 1000000L }, NULL);
	}
	return STEAL_FD(fd);
}

static int open_file(struct store *s, const char *path, struct err *e)
{
	mode_t old = umask(0077);
	int r = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	umask(old);
	if (r != SQLITE_OK)
		return store_fail(s->db, e, path);
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	/* A program that only reads a snapshot of the file may be there for a moment. */
	sqlite3_busy_timeout(s->db, LOCK_WAIT_MS);
	/* The exclusive lock keeps a second process out, and the index of the log in our memory instead of a shared file. */
	r = store_exec(s->db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
		    "PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024; PRAGMA wal_autocheckpoint = 400",
		 e);
	/* The log keeps its size: a commit that only overwrites is synced faster than one that makes a file grow. */
	sqlite3_file_control(s->db, NULL, SQLITE_FCNTL_PERSIST_WAL, &(int){ 1 });
	return r;
}

int store_open(struct store **ret, const char *path, struct err *e)
{
	_cleanup_(store_closep) struct store *s = xcalloc(1, sizeof *s);
	int r;

	s->lock = -1;
	/* A daemon that was killed may take a moment to let go of its lock. */
	r = store_lock(path, LOCK_WAIT_MS, e);
	if (r < 0)
		return r;
	s->lock = r;
	r = open_file(s, path, e);
	if (r == 0)
		r = store_check(s->db, e);
	if (r == 0)
		r = store_migrate_own(s->db, path, e);
	if (r == 0)
		r = prepare_all(s, e);
	if (r < 0)
		return store_advice(path, r, e);
	s->path = xstrdup(path);
	*ret = STEAL_PTR(s);
	return 0;
}

/* A day's state to go back to, should the file be damaged later. */
static void daily_snapshot(struct store *s)
{
	struct store_snapshots all;
	struct err e = { 0 };
	int r = store_snapshots_get(&all, s->path, &e);
	bool due = r == 0 && (!all.n || all.v[0].time + DAY_S < time(NULL) || all.v[0].time > time(NULL));

	store_snapshots_fini(&all);
	if (due && !store_fresh(s))
		r = store_snapshot(s->db, s->path, "daily", NULL, &e);
	if (r < 0)
		log_warn("snapshot of the database: %s", err_text(&e, r));
}

int store_snapshot_now(struct store *s, const char *why, char *name, struct err *e)
{
	return store_snapshot(s->db, s->path, why, name, e);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->path && sqlite3_get_autocommit(s->db))
		daily_snapshot(s);
	for (unsigned i = 0; i < ST_FIXED; i++)
		sqlite3_finalize(s->fixed[i]);
	for (unsigned i = 0; i < KV_N; i++) {
		sqlite3_finalize(s->put[i]);
		sqlite3_finalize(s->del[i]);
	}
	sqlite3_close(s->db);
	fd_closep(&s->lock);
	free(s->path);
	free(s);
}

sqlite3 *store_db(struct store *s)
{
	return s->db;
}

bool store_fresh(struct store *s)
{
	char text[16];

	return store_query(s->db, "SELECT count(*) FROM qubes", text, sizeof text, NULL) == 0 && streq(text, "0");
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
