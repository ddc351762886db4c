/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Storage requests (first byte even) and replies (odd): decode, encode, same bytes. */
#include "storage/storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 20);
	struct rd r = rd_mem(data, size);
	bool odd = rd_u8(&r) & 1;
	struct st_request q;
	struct st_reply p;

	if (odd ? st_reply_get(&r, &p) < 0 : st_request_get(&r, &q) < 0)
		return 0;
	if (odd)
		st_reply_put(&w, &p);
	else
		st_request_put(&w, &q);
	if (!wr_ok(&w) || w.len != size - 1 || memcmp(w.buf, data + 1, w.len) != 0)
		abort();
	return 0;
}
