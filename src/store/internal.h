/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by store.c and load.c only. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <sqlite3.h>

#include "store/store.h"

extern const char *const store_kv_tables[KV_N];
int store_fail(sqlite3 *db, struct err *e, const char *what);
sqlite3 *store_db(struct store *s);

#endif
