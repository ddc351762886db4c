/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files: bounded whole reads, atomic durable writes, path resolution that follows no link. */
#ifndef BASE_FSX_H
#define BASE_FSX_H

#include <sys/types.h>

#include "base/err.h"

/* fs_read gives the whole regular file at (dirfd, path) as NUL-terminated memory of the caller; -EFBIG over max bytes. */
int fs_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len, struct err *e);
/* fs_write_atomic replaces path by n bytes: temporary file, fsync, rename, fsync of the directory. */
int fs_write_atomic(int dirfd, const char *path, const void *p, size_t n, mode_t mode, struct err *e);
/* fs_open_beneath opens path below dirfd by openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | NO_MAGICLINKS). */
int fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode, struct err *e);
/* fs_mkdir_p makes path and its parents (mode for new ones); existing directories are fine. */
int fs_mkdir_p(const char *path, mode_t mode, struct err *e);
/* fs_rm_rf removes a tree below dirfd without following links or leaving its file system; missing is success. */
int fs_rm_rf(int dirfd, const char *path, struct err *e);
int fs_sync_dir(int dirfd);

#endif
