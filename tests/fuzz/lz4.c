/* SPDX-License-Identifier: GPL-3.0-or-later */
/* LZ4 streams and boot images. */
#include "template/bzimage.h"
#include "template/lz4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *out = NULL;
	struct err e = { 0 };
	size_t n = 0;

	if (lz4_legacy(rd_mem(data, size), 1 << 20, &out, &n, &e) == 0) {
		if (n > 1 << 20)
			abort();
		free(out);
	}
	out = NULL;
	if (bzimage_vmlinux(data, size, &out, &n, &e) == 0)
		free(out);
	return 0;
}
