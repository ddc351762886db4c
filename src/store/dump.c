/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole state as JSON and back: {"bulkhead": {"format": 1, "schema": N}, "tables": {TABLE: [{COLUMN: VALUE}]}}. It follows the schema of the
 * file, so a table of a later version needs nothing here; an export of an older version is imported as that version and then migrated.
 */
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>

#include "base/str.h"
#include "store/files.h"
#include "store/internal.h"

#define FORMAT 1

static void closedbp(sqlite3 **db)
{
	sqlite3_close(*db);
}

static void json_freep(json_t **j)
{
	json_decref(*j);
}

static void finalizep(sqlite3_stmt **st)
{
	sqlite3_finalize(*st);
}

static int row(json_t *rows, sqlite3_stmt *st, const char *table, struct err *e)
{
	json_t *o = json_object();

	for (int i = 0; i < sqlite3_column_count(st); i++) {
		json_t *v = NULL;
		int type = sqlite3_column_type(st, i);

		if (type == SQLITE_NULL)
			continue;
		if (type == SQLITE_INTEGER)
			v = json_integer(sqlite3_column_int64(st, i));
		else if (type == SQLITE_TEXT)
			v = json_string((const char *)sqlite3_column_text(st, i));
		if (!v || json_object_set_new(o, sqlite3_column_name(st, i), v) < 0) {
			json_decref(o);
			return err_set(e, EUCLEAN, "table %s has a value that is neither a number nor UTF-8 text", table);
		}
	}
	return json_array_append_new(rows, o) < 0 ? -ENOMEM : 0;
}

static int table(json_t *tables, sqlite3 *db, const char *name, struct err *e)
{
	_cleanup_free_ char *sql = xasprintf("SELECT * FROM \"%s\" ORDER BY 1, 2", name);
	_cleanup_(finalizep) sqlite3_stmt *st = NULL;
	json_t *rows = json_array();
	int r = 0, k;

	if (json_object_set_new(tables, name, rows) < 0)
		return err_set(e, EUCLEAN, "a table has a strange name");
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		return store_fail(db, e, name);
	while (r == 0 && (k = sqlite3_step(st)) != SQLITE_DONE)
		r = k == SQLITE_ROW ? row(rows, st, name, e) : store_fail(db, e, name);
	return r;
}

static int tables_out(json_t *tables, sqlite3 *db, struct err *e)
{
	_cleanup_(finalizep) sqlite3_stmt *st = NULL;
	int r = 0, k;

	if (sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*' ORDER BY name", -1, &st, NULL) != SQLITE_OK)
		return store_fail(db, e, "export");
	while (r == 0 && (k = sqlite3_step(st)) != SQLITE_DONE)
		r = k == SQLITE_ROW ? table(tables, db, (const char *)sqlite3_column_text(st, 0), e) : store_fail(db, e, "export");
	return r;
}

static int to_writer(const char *p, size_t n, void *w)
{
	wr_bytes(w, p, n);
	return 0;
}

int store_export(struct wr *w, const char *file, struct err *e)
{
	_cleanup_(closedbp) sqlite3 *db = NULL;
	_cleanup_(json_freep) json_t *top = json_object();
	json_t *tables = json_object();
	unsigned version = 0;
	int r;

	if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		json_decref(tables);
		return store_fail(db, e, file);
	}
	r = store_version_of(db, &version, e);
	if (json_object_set_new(top, "bulkhead", json_pack("{s:i,s:i}", "format", FORMAT, "schema", (int)version)) < 0 ||
	    json_object_set_new(top, "tables", tables) < 0)
		return -ENOMEM;
	if (r == 0)
		r = store_check(db, e);
	if (r == 0)
		r = tables_out(tables, db, e);
	if (r < 0)
		return r;
	(void)json_dump_callback(top, to_writer, w, JSON_INDENT(1));
	wr_str(w, "\n");
	return wr_ok(w) ? 0 : err_set(e, EFBIG, "the state is too large");
}

/* A name that may stand inside SQL. */
static bool plain(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(s) && !str_starts(s, "sqlite_");
}

static int insert(sqlite3 *db, const char *name, json_t *o, struct err *e)
{
	_cleanup_(finalizep) sqlite3_stmt *st = NULL;
	_cleanup_wr_ struct wr w = wr_grow(1u << 16);
	_cleanup_free_ char *sql = NULL;
	const char *key;
	json_t *v;
	int i = 0;

	wr_printf(&w, "INSERT INTO \"%s\" (", name);
	json_object_foreach(o, key, v) {
		if (!plain(key))
			return err_set(e, EINVAL, "table %s has no column '%.40s'", name, key);
		wr_printf(&w, "%s\"%s\"", i++ ? ", " : "", key);
	}
	wr_str(&w, ") VALUES (");
	for (int k = 0; k < i; k++)
		wr_str(&w, k ? ", ?" : "?");
	wr_str(&w, ")");
	sql = wr_take(&w, NULL);
	if (!sql || sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		return err_set(e, EINVAL, "%s", sqlite3_errmsg(db));
	i = 0;
	json_object_foreach(o, key, v) {
		if (json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v))
			sqlite3_bind_text(st, ++i, json_string_value(v), -1, SQLITE_STATIC);
		else if (json_is_integer(v))
			sqlite3_bind_int64(st, ++i, json_integer_value(v));
		else
			return err_set(e, EINVAL, "table %s, column %s: only numbers and texts can be stored", name, key);
	}
	return sqlite3_step(st) == SQLITE_DONE ? 0 : err_set(e, EINVAL, "table %s: %s", name, sqlite3_errmsg(db));
}

static int tables_in(sqlite3 *db, json_t *tables, struct err *e)
{
	const char *name;
	json_t *rows, *o;
	size_t i;
	int r = store_exec(db, "PRAGMA foreign_keys = ON; BEGIN; PRAGMA defer_foreign_keys = ON", e);

	json_object_foreach(tables, name, rows) {
		if (r < 0)
			break;
		if (!plain(name) || !json_is_array(rows))
			return err_set(e, EINVAL, "'%.40s' is no table", name);
		json_array_foreach(rows, i, o) {
			r = json_is_object(o) && json_object_size(o) ? insert(db, name, o, e) : err_set(e, EINVAL, "table %s: row %zu is none", name, i + 1);
			if (r < 0)
				return r;
		}
	}
	if (r == 0 && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		r = err_set(e, EINVAL, "rows name a qube or a pool that is not there: %s", sqlite3_errmsg(db));
	return r;
}

int store_import(struct store_place *p, const char *text, size_t len, struct err *e)
{
	_cleanup_(closedbp) sqlite3 *db = NULL;
	_cleanup_(json_freep) json_t *top = NULL;
	json_error_t je;
	json_t *tables = NULL;
	int format = 0, schema = 0, r;

	top = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!top)
		return err_set(e, EINVAL, "line %d: %s", je.line, je.text);
	if (json_unpack(top, "{s:{s:i,s:i},s:o}", "bulkhead", "format", &format, "schema", &schema, "tables", &tables) < 0 || !json_is_object(tables))
		return err_set(e, EINVAL, "it is no export of qvm-db");
	if (format != FORMAT || schema < 1 || (unsigned)schema > store_version())
		return err_set(e, EINVAL, "format %d, schema version %d: this program knows format %d and versions 1 to %u", format, schema, FORMAT, store_version());
	if (mkdir(p->temp, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "making '%s'", p->temp);
	if (sqlite3_open_v2(p->fresh, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return store_fail(db, e, p->fresh);
	r = store_exec(db, "PRAGMA trusted_schema = OFF; PRAGMA synchronous = OFF", e); /* synced as a whole before it is used */
	if (r == 0)
		r = store_migrate_to(db, p->fresh, (unsigned)schema, e);
	return r < 0 ? r : tables_in(db, tables, e);
}
