/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Layout of the volatile disk and file system signatures. */
#include "agent/init/layout.h"

#include "base/rd.h"
#include "base/str.h"
#include "base/wr.h"

#define MIB_SECTORS (UINT64_C(1) << 11)
#define GIB_SECTORS (UINT64_C(1) << 21)
#define MBR_TYPE_LINUX 0x83
#define MBR_TYPE_SWAP 0x82

int layout_volatile(uint64_t disk_sectors, struct volatile_layout *ret, struct err *e)
{
	struct volatile_layout l = { .swap_start = MIB_SECTORS, .swap_sectors = GIB_SECTORS };

	if (disk_sectors < 64 * MIB_SECTORS)
		return err_set(e, ENOSPC, "the volatile disk is smaller than 64 MiB");
	/* A partition table of this kind counts sectors in 32 bits; what is above stays unused. */
	if (disk_sectors > UINT32_MAX)
		disk_sectors = UINT32_MAX;
	if (disk_sectors < 4 * GIB_SECTORS)
		l.swap_sectors = disk_sectors / 4 / MIB_SECTORS * MIB_SECTORS;
	l.layer_start = l.swap_start + l.swap_sectors;
	l.layer_sectors = (disk_sectors - l.layer_start) / MIB_SECTORS * MIB_SECTORS;
	*ret = l;
	return 0;
}

static void mbr_entry(struct wr *w, uint8_t type, uint64_t start, uint64_t sectors)
{
	wr_u8(w, 0);
	/* Addresses by cylinder are long dead: the agreed "too large" value. */
	wr_u8(w, 0xfe), wr_u8(w, 0xff), wr_u8(w, 0xff);
	wr_u8(w, type);
	wr_u8(w, 0xfe), wr_u8(w, 0xff), wr_u8(w, 0xff);
	wr_u32le(w, (uint32_t)start);
	wr_u32le(w, (uint32_t)sectors);
}

void layout_mbr(const struct volatile_layout *l, uint8_t ret[SECTOR])
{
	struct wr w = wr_mem(ret, SECTOR);

	wr_zero(&w, 446);
	mbr_entry(&w, MBR_TYPE_SWAP, l->swap_start, l->swap_sectors);
	mbr_entry(&w, MBR_TYPE_LINUX, l->layer_start, l->layer_sectors);
	wr_zero(&w, 2 * 16);
	wr_u8(&w, 0x55);
	wr_u8(&w, 0xaa);
}

void layout_swap(uint64_t swap_sectors, uint8_t ret[SWAP_PAGE])
{
	struct wr w = wr_mem(ret, SWAP_PAGE);
	uint64_t pages = swap_sectors / (SWAP_PAGE / SECTOR);

	wr_zero(&w, 1024);
	wr_u32le(&w, 1);
	wr_u32le(&w, (uint32_t)(pages - 1));
	wr_zero(&w, SWAP_PAGE - 1024 - 8 - 10);
	wr_bytes(&w, "SWAPSPACE2", 10);
}

const char *fs_detect(const uint8_t *p, size_t n)
{
	static const struct {
		const char *name;
		size_t offset;
		const char *magic;
		size_t len;
	} known[] = {
		{ "ext4", 1024 + 0x38, "\x53\xef", 2 },
		{ "erofs", 1024, "\xe2\xe1\xf5\xe0", 4 },
		{ "xfs", 0, "XFSB", 4 },
		{ "squashfs", 0, "hsqs", 4 },
		{ "btrfs", 0x10040, "_BHRfS_M", 8 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct rd r = rd_mem(p, n);
		const uint8_t *magic;

		rd_skip(&r, known[i].offset);
		magic = rd_view(&r, known[i].len);
		if (magic && memcmp(magic, known[i].magic, known[i].len) == 0)
			return known[i].name;
	}
	return NULL;
}

bool fs_read_only(const char *name)
{
	return streq(name, "erofs") || streq(name, "squashfs");
}
