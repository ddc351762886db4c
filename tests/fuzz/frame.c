/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A frame of a NetVM on its way out, and the kernel's answer about addresses: whatever they are, nothing leaves for this machine itself. */
#include "base/str.h"
#include "proto/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct frame_own own;
	bool end = false;

	own.n = 0;
	own.full = false;
	(void)frame_own_read(&own, rd_mem(data, size), &end);
	if (own.n > FRAME_OWN_MAX)
		abort();
	if (frame_leaves(rd_mem(data, size), &own) && data[13] == 0 && (size < 34 || data[30] == 127 || data[30] == 0 || data[30] >= 224))
		abort();
	return 0;
}
