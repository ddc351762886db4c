/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pictures of _NET_WM_ICON. */
#include "agent/gui/iconpick.h"

#include "proto/gui.h"
#include "proto/image.h"

#define WANTED 48u   /* what panels show is rarely larger */
#define SIDE_MAX 4096u

/* Smaller is better, from WANTED on; below it larger is. */
static bool better(const struct image *a, const struct image *than)
{
	uint32_t x = MAX(a->w, a->h), y = MAX(than->w, than->h);

	if (than->w == 0)
		return true;
	return x >= WANTED ? y < WANTED || x < y : y < WANTED && x > y;
}

bool icon_pick(struct wr *w, struct rd words, uint32_t *ret_w, uint32_t *ret_h)
{
	struct image best = { 0 };

	while (rd_left(&words) >= 8) {
		struct image p = { .w = rd_u32le(&words) };

		p.h = rd_u32le(&words);
		if (p.w == 0 || p.h == 0 || p.w > SIDE_MAX || p.h > SIDE_MAX || (uint64_t)p.w * p.h * 4 > rd_left(&words))
			break;
		p.pixels = rd_sub(&words, (size_t)p.w * p.h * 4);
		if (better(&p, &best))
			best = p;
	}
	if (best.w == 0)
		return false;
	image_small(w, &best, GUI_ICON_SIDE, ret_w, ret_h);
	return wr_ok(w);
}
