/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Snapshots of the database: whole copies beside it, in the folder snapshots, made before a migration, before a replacement and once a day at a
 * clean stop. The newest STORE_SNAPSHOTS_KEEP stay. Names: YYYYMMDD-HHMMSS.mmm-vVERSION-WHY.db, so their order is their age.
 */
#ifndef STORE_SNAPSHOT_H
#define STORE_SNAPSHOT_H

#include <limits.h>
#include <sys/types.h>

#include "base/err.h"

#define STORE_SNAPSHOTS_KEEP 12
#define STORE_SNAPSHOT_NAME 80

struct store_snapshot {
	char name[STORE_SNAPSHOT_NAME];
	unsigned version; /* of the schema */
	int64_t size, time; /* bytes; seconds since 1970 */
};
struct store_snapshots {
	struct store_snapshot *v; /* newest first */
	size_t n;
};

struct sqlite3;

/* store_snapshot copies an open database with no transaction under way; name (may be NULL) gets the name. Older snapshots over the limit go. */
int store_snapshot(struct sqlite3 *db, const char *path, const char *why, char name[STORE_SNAPSHOT_NAME], struct err *e);
/* store_snapshots_get lists the snapshots of the database at path; none is no error. */
int store_snapshots_get(struct store_snapshots *ret, const char *path, struct err *e);
void store_snapshots_fini(struct store_snapshots *s);
/* store_snapshot_path writes the path of a snapshot; -EINVAL for a name that is none. */
int store_snapshot_path(char out[PATH_MAX], const char *path, const char *name, struct err *e);
/* store_file_check reads a database file without changing it: 0 when it is whole and of a version that this program knows. */
int store_file_check(const char *file, struct err *e);
/* store_snapshot_good gives the newest snapshot that passes store_file_check; false when there is none. */
bool store_snapshot_good(const char *path, char name[STORE_SNAPSHOT_NAME]);

#endif
