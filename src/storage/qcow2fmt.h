/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The part of the qcow2 format that overlays need: writing an empty overlay, checking a header, and copying what an overlay holds into
 * a raw image. A QEMU that a guest took over can write anything into its overlay, so reading is strict: version 3, 64 KiB clusters, no
 * compression, encryption, internal snapshots or external data file. Names inside a header are never followed.
 */
#ifndef STORAGE_QCOW2FMT_H
#define STORAGE_QCOW2FMT_H

#include "base/err.h"

/* qcow2_create writes an empty overlay of size bytes into the empty file fd. backing is a relative file name, kept for people who look
   at the file with other tools ("" = none); backing_raw tells its format. */
int qcow2_create(int fd, uint64_t size, const char *backing, bool backing_raw, struct err *e);
/* qcow2_check reads the header. -EBADMSG when the file is not an overlay of the kind described above. */
int qcow2_check(int fd, uint64_t *ret_size, struct err *e);
/* qcow2_merge writes every cluster that the overlay fd holds over the raw image `to`, which is made at least as long. */
int qcow2_merge(int fd, int to, struct err *e);

#endif
