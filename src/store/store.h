/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Persistence of the object model in one SQLite file (WAL, synchronous=FULL, exclusive lock, foreign keys). Knows rows, not rules.
 * A store belongs to one process; a second one is refused by the lock, a file of its own beside the database, so that a database
 * which is being replaced is not opened by mistake.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "core/core.h"

struct store;

/* store_version is the schema's version that this program writes. */
unsigned store_version(void);
/* store_open opens or makes the file, checks its integrity (-EUCLEAN, with the snapshot to go back to), and brings an older schema up to date. A
   newer one is refused (-EPROTO), and so is a file that another process uses (-EBUSY, after a few seconds of waiting). */
int store_open(struct store **ret, const char *path, struct err *e);
/* store_lock takes the lock that store_open takes, for work on the files of a database; wait_ms 0 = do not wait. Gives a descriptor that holds
   the lock until it is closed; -EBUSY. */
int store_lock(const char *path, int wait_ms, struct err *e);
/* store_snapshot_now makes a snapshot (store/snapshot.h) between two transactions; name may be NULL. */
int store_snapshot_now(struct store *s, const char *why, char *name, struct err *e);
/* store_close makes the day's snapshot, checkpoints and closes; NULL-safe. */
void store_close(struct store *s);
/* store_fresh: no object was ever stored. */
bool store_fresh(struct store *s);
/* store_load fills an empty core with everything stored. Rows that this version does not know are logged and kept. */
int store_load(struct store *s, struct core *c, struct err *e);
/* The operations for core_new; ctx is the store. */
extern const struct db_ops store_ops;

DEFINE_CLEANUP(store_close, struct store *)

#endif
