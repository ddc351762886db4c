/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pictures of _NET_WM_ICON. */
#include "agent/gui/iconpick.h"

#include "proto/gui.h"

#define WANTED 48u   /* what panels show is rarely larger */
#define SIDE_MAX 4096u

struct picture {
	uint32_t w, h;
	struct rd pixels;
};

/* Smaller is better, from WANTED on; below it larger is. */
static bool better(const struct picture *a, const struct picture *than)
{
	uint32_t x = MAX(a->w, a->h), y = MAX(than->w, than->h);

	if (than->w == 0)
		return true;
	return x >= WANTED ? y < WANTED || x < y : y < WANTED && x > y;
}

/* The mean of a square of pixels, each with the weight of its opacity. */
static uint32_t mean(const struct picture *p, uint32_t x0, uint32_t y0, uint32_t step)
{
	uint64_t sum[4] = { 0 }, alpha;
	uint32_t n = 0;

	for (uint32_t y = y0; y < MIN(y0 + step, p->h); y++)
		for (uint32_t x = x0; x < MIN(x0 + step, p->w); x++) {
			struct rd at = p->pixels;
			uint32_t v;

			rd_skip(&at, ((size_t)y * p->w + x) * 4);
			v = rd_u32le(&at);
			alpha = v >> 24;
			sum[3] += alpha;
			for (unsigned i = 0; i < 3; i++)
				sum[i] += (v >> 8 * i & 255) * alpha;
			n++;
		}
	if (n == 0 || sum[3] == 0)
		return 0;
	return (uint32_t)(sum[3] / n) << 24 | (uint32_t)(sum[2] / sum[3]) << 16 | (uint32_t)(sum[1] / sum[3]) << 8 | (uint32_t)(sum[0] / sum[3]);
}

bool icon_pick(struct wr *w, struct rd words, uint32_t *ret_w, uint32_t *ret_h)
{
	struct picture best = { 0 };
	uint32_t step;

	while (rd_left(&words) >= 8) {
		struct picture p = { .w = rd_u32le(&words) };

		p.h = rd_u32le(&words);
		if (p.w == 0 || p.h == 0 || p.w > SIDE_MAX || p.h > SIDE_MAX || (uint64_t)p.w * p.h * 4 > rd_left(&words))
			break;
		p.pixels = rd_sub(&words, (size_t)p.w * p.h * 4);
		if (better(&p, &best))
			best = p;
	}
	if (best.w == 0)
		return false;
	step = (MAX(best.w, best.h) + GUI_ICON_SIDE - 1) / GUI_ICON_SIDE;
	*ret_w = (best.w + step - 1) / step;
	*ret_h = (best.h + step - 1) / step;
	for (uint32_t y = 0; y < *ret_h; y++)
		for (uint32_t x = 0; x < *ret_w; x++)
			wr_u32le(w, mean(&best, x * step, y * step, step));
	return wr_ok(w);
}
