/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is the file whole, which version has it, and the steps from an old version to this one. */
#include "base/log.h"
#include "base/str.h"
#include "store/internal.h"
#include "store/schema.h"

#define VERSION_MAX (1u << 30)

unsigned store_version(void)
{
	return ARRAY_SIZE(migrations);
}

int store_fail(sqlite3 *db, struct err *e, const char *what)
{
	int k = db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM;
	const char *why = db ? sqlite3_errmsg(db) : "out of memory";

	if (k == SQLITE_CORRUPT || k == SQLITE_NOTADB)
		return err_set(e, EUCLEAN, "the database is damaged: %s", why);
	if (k == SQLITE_FULL)
		return err_set(e, ENOSPC, "%s: %s", what, why);
	return err_set(e, EIO, "%s: %s", what, why);
}

int store_exec(sqlite3 *db, const char *sql, struct err *e)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_fail(db, e, "database");
}

int store_query(sqlite3 *db, const char *sql, char *out, size_t cap, struct err *e)
{
	sqlite3_stmt *st = NULL;
	const char *text;
	int r = 0;

	out[0] = '\0';
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		return store_fail(db, e, "database");
	switch (sqlite3_step(st)) {
	case SQLITE_ROW:
		text = (const char *)sqlite3_column_text(st, 0);
		(void)str_escape(out, cap, text ? text : "", text ? strlen(text) : 0);
		break;
	case SQLITE_DONE:
		break;
	default:
		r = store_fail(db, e, "database");
	}
	sqlite3_finalize(st);
	return r;
}

int store_check(sqlite3 *db, struct err *e)
{
	char text[256];
	int r = store_query(db, "PRAGMA quick_check(1)", text, sizeof text, e);

	if (r < 0)
		return r;
	if (!streq(text, "ok"))
		return err_set(e, EUCLEAN, "the database is damaged: %s", text);
	r = store_query(db, "PRAGMA foreign_key_check", text, sizeof text, e);
	if (r == 0 && text[0])
		return err_set(e, EUCLEAN, "the database is damaged: table %s has rows without an owner", text);
	return r;
}

int store_version_of(sqlite3 *db, unsigned *ret, struct err *e)
{
	char text[32];
	uint64_t v;
	int r = store_query(db, "PRAGMA user_version", text, sizeof text, e);

	if (r < 0)
		return r;
	if (str_u64(text, VERSION_MAX, &v) < 0)
		return err_set(e, EUCLEAN, "the database is damaged: its schema version is '%s'", text);
	*ret = (unsigned)v;
	return 0;
}

/* One version up: schema and version number together, or neither. */
static int step(sqlite3 *db, const struct migration *m, unsigned from, struct err *e)
{
	char sql[64];
	int r;

	if (str_printf(sql, sizeof sql, "PRAGMA user_version = %u", from + 1) < 0)
		return -EINVAL;
	r = store_exec(db, "BEGIN EXCLUSIVE", e);
	if (r == 0)
		r = store_exec(db, m[from].sql, e);
	if (r == 0)
		r = store_exec(db, sql, e);
	if (r == 0)
		r = store_check(db, e);
	if (r == 0)
		r = store_exec(db, "COMMIT", e);
	if (r < 0) {
		(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
		return err_add(e, r, "bringing the database to version %u", from + 1);
	}
	log_info("database schema brought to version %u: %s", from + 1, m[from].what);
	return 0;
}

int store_migrate(sqlite3 *db, const char *path, const struct migration *m, unsigned n, struct err *e)
{
	unsigned v = 0;
	int r = store_version_of(db, &v, e);

	if (r < 0)
		return r;
	if (v > n)
		return err_set(e, EPROTO,
			       "the database has schema version %u, which a newer version of this program wrote; this one knows up to %u. Install the newer "
			       "one again, or go back with `qvm-db restore`", v, n);
	if (v > 0 && v < n) {
		char name[STORE_SNAPSHOT_NAME];

		r = store_snapshot(db, path, "migration", name, e);
		if (r < 0)
			return err_add(e, r, "the database was left as it is; a snapshot before its migration could not be made");
		log_info("database snapshot before its migration: %s", name);
	}
	for (; r == 0 && v < n; v++)
		r = step(db, m, v, e);
	return r;
}

int store_migrate_own(sqlite3 *db, const char *path, struct err *e)
{
	return store_migrate(db, path, migrations, store_version(), e);
}

int store_migrate_to(sqlite3 *db, const char *path, unsigned version, struct err *e)
{
	return store_migrate(db, path, migrations, MIN(version, store_version()), e);
}

int store_advice(const char *path, int r, struct err *e)
{
	char name[STORE_SNAPSHOT_NAME], text[ERR_MSG_MAX];

	if (r != -EUCLEAN || !e || str_copy(text, sizeof text, e->msg) < 0)
		return r;
	if (store_snapshot_good(path, name))
		return err_set(e, EUCLEAN, "%.200s; the newest good snapshot is %s: `qvm-db restore %s` puts it back", text, name, name);
	return err_set(e, EUCLEAN, "%.200s; there is no good snapshot to go back to, `qvm-db import` takes an export or a qubes.xml", text);
}
