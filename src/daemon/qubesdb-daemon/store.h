/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The entries of one qube's QubesDB: a sorted array with a bound on its total size, because one of the two writers is the qube.
 * Values are wiped when they are freed. Knows nothing of connections.
 */
#ifndef QUBESDB_STORE_H
#define QUBESDB_STORE_H

#include "base/err.h"
#include "proto/qdb.h"

#define STORE_BYTES_MAX (4u << 20) /* headers included */

struct entry {
	char key[QDB_KEY_CAP];
	uint32_t len;
	uint32_t gen;	/* of the dump that brought it */
	bool own;	/* last written on this side */
	bool unsent;	/* written while the other side was away */
	char value[];
};

struct store {
	struct entry **v; /* by strcmp of key */
	size_t n, cap;
	size_t bytes;
};

void store_fini(struct store *s);
/* store_find gives the place of the first entry whose key is not below key. */
size_t store_find(const struct store *s, const char *key);
struct entry *store_get(const struct store *s, const char *key);
/* store_set inserts or replaces; ret_changed (may be NULL) tells whether key or value are new. Gives the entry, or NULL when
   the store is full or memory is out. The flags of a replaced entry are kept. */
struct entry *store_set(struct store *s, const char *key, const void *value, size_t len, bool *ret_changed);
/* store_rm_at removes the i-th entry. */
void store_rm_at(struct store *s, size_t i);

#endif
