/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The interface of a storage driver: its operations. One row of drivers.def names the driver, this table does the work; storage_run
 * (storage.c) checks the request, finds the row and calls one operation. docs/storage.md §9 tells how to add a driver.
 *
 * Rules for each operation: it can be killed at any moment, and leaves the committed state old or new, whole; repeated, it finishes what was
 * begun; all it knows is in the names on the disk. It never parses what a guest wrote into a volume.
 */
#ifndef STORAGE_DRIVER_H
#define STORAGE_DRIVER_H

#include "storage/drivers.h"
#include "storage/storage.h"

/* The volume of a request. Drivers of files find its directory open; for drivers of devices both descriptors are -1. */
struct vol {
	int pool, dir;	   /* descriptors of the pool and of the volume's directory; -1 = none */
	char pool_dir[200]; /* the place of the pool (drivers.def) */
	char rel[120];	   /* vid without its last component: the directory below the pool */
	char name[64];	   /* last component of the vid */
};

struct pool_ops {
	/* probe: > 0 when the driver can be used at this place, 0 when not (*e says why), negative when that cannot be found out. */
	int (*probe)(const char *place, struct err *e);
	/* usage, sweep: ST_USAGE and ST_SWEEP of the whole pool. NULL: it does not tell, there is nothing to sweep. */
	int (*usage)(const char *place, struct st_reply *ret, struct err *e);
	int (*sweep)(const char *place, struct err *e);
	/* owns: (drivers of files) true when a file of this name in the volume's directory belongs to volume `name`. */
	bool (*owns)(const char *name, const char *file);
	int (*create)(struct vol *v, uint64_t size, struct err *e);
	/* remove: everything of the volume, revisions and what a crash left behind included; missing = 0. */
	int (*remove)(struct vol *v, struct err *e);
	/* start, stop: drivers of devices also get volumes that show a source (q->snap_on_start) or last no longer than the run (neither flag). */
	int (*start)(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e);
	int (*stop)(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e);
	int (*clone)(struct vol *v, const struct st_request *q, struct err *e);
	int (*resize)(struct vol *v, uint64_t size, struct err *e);
	/* import_begin: an empty place of q->size bytes, its path in ret->text. import: it becomes the committed state. import_drop: it goes. */
	int (*import_begin)(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e);
	int (*import)(struct vol *v, const struct st_request *q, struct err *e);
	int (*import_drop)(struct vol *v, struct err *e);
	/* export_begin: drivers of files make the file of this name; others get the export's own name (letters and digits), put the path into
	   ret->text, and have export_end, which for files is the removal of the file. */
	int (*export_begin)(struct vol *v, const char *name, struct st_reply *ret, struct err *e);
	int (*export_end)(struct vol *v, const char *name, struct err *e);
	int (*info)(struct vol *v, struct st_reply *ret, struct err *e);
	int (*revisions)(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e);
	int (*revert)(struct vol *v, const struct st_request *q, struct err *e);
	/* open: (drivers of devices) the device of a layer that start gave. Called in the spawner, which has nobody else's word for the name: it
	   proves that the device is the volume, and gives a writable one only of what was made for a run. */
	int (*open)(const char *place, const char *name, bool rw, struct err *e);
};

#define DRIVER(ops, ...) extern const struct pool_ops pool_##ops;
#include "storage/drivers.def"

#endif
