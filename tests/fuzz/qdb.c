/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stream of QubesDB messages as one end of the vchan gets it: first byte = side. What is accepted must encode to the same meaning. */
#include "proto/qdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_mem(data, size);
	enum qdb_side side = (enum qdb_side)(rd_u8(&r) % (QDB_AT_CLIENT + 1));
	struct qdb_hdr h, back;

	while (qdb_hdr_get(&r, &h) == 0) {
		const uint8_t *p = rd_view(&r, h.len);
		uint8_t buf[QDB_HDR_LEN + QDB_VALUE_MAX];
		struct wr w = wr_mem(buf, sizeof buf);
		struct rd again;

		if (!p)
			break;
		sink += (unsigned)qdb_covers(h.path, "/a/b");
		if (qdb_check(side, &h, p) < 0)
			continue;
		sink++;
		qdb_put(&w, h.type, h.path, p, h.len);
		again = rd_mem(w.buf, w.len);
		if (!wr_ok(&w) || qdb_hdr_get(&again, &back) < 0 || memcmp(&h, &back, sizeof h) != 0)
			abort();
	}
	return 0;
}
