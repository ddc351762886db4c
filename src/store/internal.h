/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the sources of this folder only. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <sqlite3.h>

#include "store/snapshot.h"
#include "store/store.h"

extern const char *const store_kv_tables[KV_N];
int store_fail(sqlite3 *db, struct err *e, const char *what);
sqlite3 *store_db(struct store *s);
int store_exec(sqlite3 *db, const char *sql, struct err *e);
/* store_query gives the first column of the first row as text, "" when there is none. */
int store_query(sqlite3 *db, const char *sql, char *out, size_t cap, struct err *e);
/* store_check looks whether the file is whole (pages, indexes, rows without an owner): -EUCLEAN. */
int store_check(sqlite3 *db, struct err *e);
struct migration {
	const char *what; /* for the log */
	const char *sql;
};
/* store_migrate brings an older schema up to version n by the table m, each step in a transaction, a snapshot before the first; -EPROTO for a
   newer one. store_migrate_own does it by the table of schema.h. */
int store_migrate(sqlite3 *db, const char *path, const struct migration *m, unsigned n, struct err *e);
int store_migrate_own(sqlite3 *db, const char *path, struct err *e);
/* store_migrate_to goes to an older version only: for a file that is being made. */
int store_migrate_to(sqlite3 *db, const char *path, unsigned version, struct err *e);
/* store_advice appends to e what to do about a damaged file: the newest good snapshot and the command. Gives r. */
int store_advice(const char *path, int r, struct err *e);
/* store_version_of reads the version of the schema; -EUCLEAN when it is no number. */
int store_version_of(sqlite3 *db, unsigned *ret, struct err *e);

#endif
