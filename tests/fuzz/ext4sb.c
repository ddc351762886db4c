/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Superblock and QubesDB header of the early boot. */
#include "agent/early/ext4.h"
#include "agent/early/qdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ext4_sb s;
	struct qdb_head h;
	struct err e = { 0 };

	if (ext4_sb_parse(rd_mem(data, size), &s, &e) == 0)
		sink += s.bytes;
	if (qdb_head_parse(rd_mem(data, size), &h, &e) == 0) {
		if (h.len > QDB_DATA_MAX)
			abort();
		sink += strlen(h.path);
	}
	return 0;
}
