/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pictures that somebody sent, to plain pixels: inside the arena, and with every pixel written. */
#include "agent/services/pngrgba.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t mem[8u << 20];
	struct arena a = { .p = mem, .cap = sizeof mem };
	uint8_t *pixels = NULL;
	uint32_t w = 0, h = 0;

	if (png_rgba(&a, rd_mem(data, size), &w, &h, &pixels) < 0)
		return 0;
	if (!w || !h || w > PNG_SIDE_MAX || h > PNG_SIDE_MAX || (uint64_t)w * h > PNG_PIXELS_MAX || pixels < mem || pixels + 4 * (size_t)w * h > mem + sizeof mem)
		abort();
	for (size_t i = 0; i < 4 * (size_t)w * h; i++)
		sink += pixels[i];
	return 0;
}
