/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decoder of the ext4 superblock fields that decide whether fsck and resize2fs are needed. */
#include "agent/early/ext4.h"

#define STATE_VALID 1u
#define STATE_ERROR 2u
#define COMPAT_HAS_JOURNAL 4u
#define INCOMPAT_64BIT 0x80u

int ext4_sb_parse(struct rd r, struct ext4_sb *ret, struct err *e)
{
	uint32_t blocks_lo, blocks_hi, log_size, compat, incompat;
	uint16_t magic, state;
	uint64_t blocks;

	rd_skip(&r, 4);
	blocks_lo = rd_u32le(&r);
	rd_skip(&r, 0x18 - 8);
	log_size = rd_u32le(&r);
	rd_skip(&r, 0x38 - 0x1c);
	magic = rd_u16le(&r);
	state = rd_u16le(&r);
	rd_skip(&r, 0x5c - 0x3c);
	compat = rd_u32le(&r);
	incompat = rd_u32le(&r);
	rd_skip(&r, 0x150 - 0x64);
	blocks_hi = rd_u32le(&r);
	if (!rd_ok(&r) || magic != 0xef53)
		return -ENODATA;
	if (log_size > 6)
		return err_set(e, EINVAL, "the superblock has an impossible block size");
	blocks = blocks_lo | (incompat & INCOMPAT_64BIT ? (uint64_t)blocks_hi << 32 : 0);
	if (blocks > UINT64_MAX >> (10 + log_size))
		return err_set(e, EINVAL, "the superblock has an impossible size");
	ret->bytes = blocks << (10 + log_size);
	/* With a journal the state stays "valid" while mounted and the kernel replays; without
	   one it tells the truth. */
	ret->clean = !(state & STATE_ERROR) && ((state & STATE_VALID) || (compat & COMPAT_HAS_JOURNAL));
	return 0;
}
