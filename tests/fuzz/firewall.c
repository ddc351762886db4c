/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Firewall rules: whatever is accepted has a normal form that is accepted again and is its own normal form. */
#include "proto/firewall.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_wr_ struct wr once = wr_grow(1u << 20), twice = wr_grow(1u << 20);

	if (fw_normalize(&once, rd_mem(data, size), 0, NULL) < 0)
		return 0;
	if (fw_normalize(&twice, rd_mem(once.buf, once.len), 0, NULL) < 0 || once.len != twice.len ||
	    (once.len && memcmp(once.buf, twice.buf, once.len) != 0))
		abort();
	return 0;
}
