/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Superblock of the private volume. */
#include "agent/early/ext4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ext4_sb s;
	struct err e = { 0 };

	if (ext4_sb_parse(rd_mem(data, size), &s, &e) == 0)
		sink += s.bytes;
	return 0;
}
