/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The schema, version by version. Row N brings version N to N + 1, in one transaction, after a snapshot of the file; a published row is never
 * edited: a change is a new row at the end. The version of this program is the number of rows.
 */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "store/internal.h"

static const struct migration migrations[] = {
	{ "qubes, properties, volumes, labels, pools",
	"CREATE TABLE labels (name TEXT PRIMARY KEY, idx INTEGER NOT NULL UNIQUE, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE pools (name TEXT PRIMARY KEY, driver TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE pool_config (owner TEXT NOT NULL REFERENCES pools(name) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,"
	" PRIMARY KEY (owner, key)) WITHOUT ROWID;"
	"CREATE TABLE globals (owner TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (owner, key)) WITHOUT ROWID;"
	"CREATE TABLE qubes (uuid TEXT PRIMARY KEY, qid INTEGER NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE, class TEXT NOT NULL,"
	" state TEXT NOT NULL CHECK (state IN ('creating', 'ready', 'removing'))) WITHOUT ROWID;"
	"CREATE TABLE props (owner TEXT NOT NULL REFERENCES qubes(uuid) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,"
	" PRIMARY KEY (owner, key)) WITHOUT ROWID;"
	"CREATE TABLE features (owner TEXT NOT NULL REFERENCES qubes(uuid) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,"
	" PRIMARY KEY (owner, key)) WITHOUT ROWID;"
	"CREATE TABLE tags (owner TEXT NOT NULL REFERENCES qubes(uuid) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,"
	" PRIMARY KEY (owner, key)) WITHOUT ROWID;"
	"CREATE TABLE texts (owner TEXT NOT NULL REFERENCES qubes(uuid) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,"
	" PRIMARY KEY (owner, key)) WITHOUT ROWID;"
	"CREATE TABLE volumes (owner TEXT NOT NULL REFERENCES qubes(uuid) ON DELETE CASCADE, name TEXT NOT NULL, pool TEXT NOT NULL,"
	" size INTEGER NOT NULL, rw INTEGER NOT NULL, keep INTEGER, ephemeral INTEGER, PRIMARY KEY (owner, name)) WITHOUT ROWID;" },
	/* key: CLASS BACKEND:PORT:DEVICE-ID, value: mode and options in the serialised form of proto/device.h */
	{ "assignments of devices",
	"CREATE TABLE device_assignments (owner TEXT NOT NULL REFERENCES qubes(uuid) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,"
	" PRIMARY KEY (owner, key)) WITHOUT ROWID;" },
	/* key: the number, value: when it was given out, in seconds since 1970 */
	{ "numbers of disposables",
	"CREATE TABLE disposable_numbers (owner TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (owner, key)) WITHOUT ROWID;" },
};

#endif
