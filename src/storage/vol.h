/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the file drivers share: the directory of one volume, durable renames, sparse copies, and the identity of a committed state.
 * A volume vid "appvms/mail/private" lives in directory POOL/appvms/mail as files that begin with "private.img", "private-" or
 * "private.l"; all work is done relative to that directory's descriptor and follows no link.
 *
 * The identity of a committed state is the modification time of its head file. Every commit sets a time that is newer than the one
 * before; whatever only moves the same content into other files (flattening, resizing) keeps it.
 */
#ifndef STORAGE_VOL_H
#define STORAGE_VOL_H

#include <sys/stat.h>
#include <time.h>

#include "storage/driver.h"

#define VOL_INIT ((struct vol){ .pool = -1, .dir = -1 })

/* vol_open opens the directory of vid in the pool; make: create it. -ENOENT when it is not there. */
int vol_open(struct vol *v, const char *pool_dir, const char *vid, bool make, struct err *e);
/* vol_parse fills the names only. */
int vol_parse(struct vol *v, const char *pool_dir, const char *vid, struct err *e);
void vol_fini(struct vol *v);
/* vol_remove removes every file that owns() claims, and the directory when it is empty then. */
int vol_remove(struct vol *v, bool (*owns)(const char *name, const char *file), struct err *e);
/* vol_import_begin, vol_import_drop: these operations as the drivers of files have them. */
int vol_import_begin(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e);
int vol_import_drop(struct vol *v, struct err *e);
/* vol_import_name gives NAME-import.img in out. */
const char *vol_import_name(const struct vol *v, char out[96]);
/* vol_export_name gives NAME-export-ID.img in out; -ENAMETOOLONG. */
int vol_export_name(const struct vol *v, const char *id, char out[160], struct err *e);
/* vol_path gives the absolute path of a file of the volume; -ENAMETOOLONG. */
int vol_path(const struct vol *v, const char *file, char *out, size_t cap, struct err *e);
/* vol_dirs_sweep and vol_dirs_usage are sweep and usage of the drivers that keep files (see struct pool_ops, enum st_op). */
int vol_dirs_sweep(const char *pool_dir, struct err *e);
int vol_dirs_usage(const char *pool_dir, struct st_reply *ret, struct err *e);

/* vol_list calls fn for each file name of the directory; a negative result ends the walk and is given back. */
int vol_list(const struct vol *v, int (*fn)(const char *file, void *arg), void *arg, struct err *e);
/* vol_stat: false when the file is not there. */
bool vol_stat(const struct vol *v, const char *file, struct stat *st);
int vol_unlink(const struct vol *v, const char *file, struct err *e);
/* vol_rename renames within the directory and makes it durable. */
int vol_rename(const struct vol *v, const char *from, const char *to, struct err *e);
/* vol_temp creates an empty file FILE~ for vol_publish (an old one is replaced). */
int vol_temp(const struct vol *v, const char *file, char ret_name[160], struct err *e);
/* vol_mark makes an empty file, durable (it may be there already); vol_sync makes the names of the directory durable. */
int vol_mark(const struct vol *v, const char *file, struct err *e);
int vol_sync(const struct vol *v, struct err *e);
/* vol_publish makes a temporary durable under its final name: fsync, rename, fsync of the directory. */
int vol_publish(const struct vol *v, int fd, const char *temp, const char *file, struct err *e);

/* vol_identity writes the identity of a head file. */
int vol_identity(const struct stat *st, char *out, size_t cap);
/* vol_stamp gives fd a modification time newer than `than` (NULL = only now); vol_keep_time copies one. */
int vol_stamp(int fd, const struct timespec *than, struct err *e);
int vol_keep_time(int fd, const struct timespec *t, struct err *e);

/* vol_copy_range copies n bytes; offsets beyond the source's end give zeros left as holes. */
int vol_copy_range(int from, off_t from_off, int to, off_t to_off, uint64_t n, struct err *e);
/* vol_copy_sparse copies a whole file into the empty file `to`, holes stay holes; shares the data where the file system can. */
int vol_copy_sparse(int from, int to, struct err *e);

#endif
