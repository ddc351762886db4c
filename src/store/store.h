/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Persistence of the object model in one SQLite file (WAL, synchronous=FULL, exclusive lock, foreign keys). Knows rows, not rules.
 * A store belongs to one process; a second one is refused by the lock.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "core/core.h"

#define STORE_VERSION 1

struct store;

/* store_open opens or makes the file, checks its integrity, and brings an older schema up to date. A newer one is refused. */
int store_open(struct store **ret, const char *path, struct err *e);
/* store_close checkpoints and closes; NULL-safe. */
void store_close(struct store *s);
/* store_fresh: no object was ever stored. */
bool store_fresh(struct store *s);
/* store_load fills an empty core with everything stored. Rows that this version does not know are logged and kept. */
int store_load(struct store *s, struct core *c, struct err *e);
/* The operations for core_new; ctx is the store. */
extern const struct db_ops store_ops;

DEFINE_CLEANUP(store_close, struct store *)

#endif
