/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the volatile disk looks like, and file system signatures: pure functions over bytes. */
#ifndef AGENT_INIT_LAYOUT_H
#define AGENT_INIT_LAYOUT_H

#include "base/err.h"

#define SECTOR 512u
#define SWAP_PAGE 4096u
/* Bytes from the start of a file system that fs_detect wants to see. */
#define FS_PROBE_BYTES (0x10000 + 4096)

struct volatile_layout {
	uint64_t swap_start, swap_sectors; /* partition 1 */
	uint64_t layer_start, layer_sectors; /* partition 2 */
};

/* layout_volatile divides a disk of the given size: 1 GiB of swap from 1 MiB on and the rest for
   the layer, as the reference does; on a disk below 4 GiB swap is a quarter. -ENOSPC below 64
   MiB. */
int layout_volatile(uint64_t disk_sectors, struct volatile_layout *ret, struct err *e);
/* layout_mbr writes the partition table of l into a sector. */
void layout_mbr(const struct volatile_layout *l, uint8_t ret[SECTOR]);
/* layout_swap writes the header page of a swap area of the given size; it has neither label nor
   uuid. */
void layout_swap(uint64_t swap_sectors, uint8_t ret[SWAP_PAGE]);
/* fs_detect names the file system that begins at p ("ext4", "xfs", "btrfs", "erofs",
   "squashfs"); NULL when unknown. ext2 and ext3 are "ext4" too: one driver serves them. */
const char *fs_detect(const uint8_t *p, size_t n);
/* fs_read_only is true for file systems that can never be written to. */
bool fs_read_only(const char *name);

#endif
