/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A qube's answer to qubes.GetImageRGBA: taken, made smaller, taken again, written as PNG. */
#include "proto/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	_cleanup_wr_ struct wr small = wr_grow(1 << 17), png = wr_grow(1 << 18);
	struct image im, again;

	if (image_parse(rd_mem(p, n), &im) < 0)
		return 0;
	if (im.w == 0 || im.h == 0 || im.w > IMAGE_SIDE_MAX || im.h > IMAGE_SIDE_MAX)
		__builtin_trap();
	image_put(&small, &im, 64);
	if (!wr_ok(&small) || image_parse(rd_mem(small.buf, small.len), &again) < 0 || again.w > 64 || again.h > 64)
		__builtin_trap();
	image_png(&png, &again, 0x3465a4);
	if (!wr_ok(&png))
		__builtin_trap();
	return 0;
}
