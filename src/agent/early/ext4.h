/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the early boot wants to know from an ext4 superblock: a pure decoder. The full check
   belongs to fsck. */
#ifndef AGENT_EARLY_EXT4_H
#define AGENT_EARLY_EXT4_H

#include "base/err.h"
#include "base/rd.h"

/* The superblock: 1024 bytes at offset 1024. */
#define EXT4_SB_OFFSET 1024
#define EXT4_SB_SIZE 1024

struct ext4_sb {
	uint64_t bytes;	      /* size of the file system */
	bool clean;	      /* neither errors recorded nor (without a journal) left mounted */
};

/* ext4_sb_parse: -ENODATA when it is no ext2/3/4 superblock, -EINVAL when its numbers make no
   sense. */
int ext4_sb_parse(struct rd r, struct ext4_sb *ret, struct err *e);

#endif
