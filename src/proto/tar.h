/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Headers of tar archives as backups have them: ustar, GNU long names and links, GNU base-256 sizes; pax headers are passed over but for path,
 * linkpath and size. Pure: whoever reads the archive gives blocks of 512 bytes and skips or takes the content.
 */
#ifndef PROTO_TAR_H
#define PROTO_TAR_H

#include "base/err.h"
#include "base/rd.h"

#define TAR_BLOCK 512
#define TAR_NAME_MAX 4095
#define TAR_META_MAX (64u * 1024) /* content of a header that describes the next one */

struct tar_entry {
	char name[TAR_NAME_MAX + 1]; /* as written; leading "./" removed */
	char link[TAR_NAME_MAX + 1]; /* target of a symbolic link */
	char type;		     /* '0' file, '2' symbolic link, '5' directory; others as in the archive */
	uint32_t mode;
	uint64_t size, mtime;
};

/* State between headers: what a long-name or pax header said about the next entry. Zero it at the start. */
struct tar {
	struct tar_entry e;
	bool has_name, has_link, has_size;
	uint64_t pax_size;
	char meta; /* type of the header whose content tar_meta expects; 0 = none */
};

enum tar_step { TAR_END, TAR_ENTRY, TAR_META };
/* tar_header decodes one block. TAR_ENTRY: t->e is the entry, its content follows (t->e.size bytes, padded to blocks). TAR_META: t->e.size bytes (at
   most TAR_META_MAX) follow, to be given to tar_meta. TAR_END: a block of zeros. -EBADMSG for a wrong checksum or field. */
int tar_header(struct tar *t, struct rd block, struct err *e) _must_check_;
/* tar_meta takes the content of a header that describes the next entry. */
int tar_meta(struct tar *t, struct rd content, struct err *e) _must_check_;

#endif
