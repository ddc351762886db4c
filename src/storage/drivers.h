/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What everybody may know of the storage drivers: the rows of drivers.def as data. The core checks the options of pools with it, the spawner
 * finds the worker and the opener, tools show it. No operation is here (storage.h), and nothing of this touches a disk.
 */
#ifndef STORAGE_DRIVERS_H
#define STORAGE_DRIVERS_H

#include "base/err.h"

enum pool_kind {
	POOL_FILES,   /* the place is a directory; what does not last is a file without a name in it */
	POOL_DEVICES, /* volumes are block devices; also what does not last is made by ST_START and removed by ST_STOP */
	POOL_KERNELS, /* no volumes of qubes */
};

enum pool_worker { WORKER_NONE, WORKER_IMAGE, WORKER_LVM };

enum pool_value {
	PV_PATH,     /* absolute, at most 199 bytes, no component ".." */
	PV_LVM_NAME, /* letters, digits and _.+- as LVM takes them */
	PV_KEEP,     /* -1 to INT32_MAX */
	PV_BOOL,
	PV_BYTES,   /* 0 to INT64_MAX */
	PV_PERCENT, /* 1 to 100 */
};

enum {
#define OPTION(symbol, ...) PO_BIT_##symbol,
#include "storage/drivers.def"
	POOL_OPTIONS_N,
#define OPTION(symbol, ...) PO_##symbol = 1 << PO_BIT_##symbol,
#include "storage/drivers.def"
	PO_ROOM = PO_SIZE_LIMIT | PO_VOLUME_LIMIT | PO_WARN_AT,
};

struct pool_option {
	const char *name, *help;
	enum pool_value value;
};

struct pool_driver {
	const char *name, *place, *path, *summary;
	enum pool_kind kind;
	enum pool_worker worker;
	uint32_t options; /* PO_ bits */
};

extern const struct pool_option pool_options[POOL_OPTIONS_N];
extern const struct pool_driver pool_drivers[];
extern const size_t pool_drivers_n;

/* pool_driver_find: NULL when there is no such driver. */
const struct pool_driver *pool_driver_find(const char *name);
/* pool_option_find: an option that the driver has, or NULL. pool_option_needed: the driver's place cannot be told without it. */
const struct pool_option *pool_option_find(const struct pool_driver *d, const char *name);
bool pool_option_needed(const struct pool_driver *d, const struct pool_option *o);
/* pool_value_check: -EINVAL and a text that says what the option takes. */
int pool_value_check(const struct pool_option *o, const char *value, struct err *e);

/* pool_expand writes a place or path of a row, its {words} replaced by get(arg, word) (NULL = -EINVAL). -ENAMETOOLONG. */
int pool_expand(const char *row, const char *(*get)(const void *arg, const char *word), const void *arg, char *out, size_t cap);
/* pool_place_ok: could pool_expand have made this place from valid options? */
bool pool_place_ok(const struct pool_driver *d, const char *place);
/* pool_place_part copies one option's value out of a place. -EINVAL when the place is not this driver's. */
int pool_place_part(const struct pool_driver *d, const char *place, const char *option, char *out, size_t cap);
/* pool_volume_path writes what Info shows for a volume: option gives the pool's options. */
int pool_volume_path(const struct pool_driver *d, const char *(*option)(const void *arg, const char *name), const void *arg, const char *vid,
		     char *out, size_t cap);

/* lvm_name_ok: a name that LVM takes for a group or a pool and that needs no quoting anywhere. */
bool lvm_name_ok(const char *s);

#endif
