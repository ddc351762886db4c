/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Merged damage of one window: rectangles that wait to be told. Few rectangles, since each costs a message and a copy; two become one where that
 * wastes little. Pure arithmetic; coordinates may be anything, clipping makes them fit.
 */
#ifndef AGENT_GUI_DAMAGE_H
#define AGENT_GUI_DAMAGE_H

#include "base/defs.h"

#define DAMAGE_MAX 4

struct box {
	int32_t x, y, w, h;
};

struct damage {
	struct box v[DAMAGE_MAX];
	unsigned n;
};

/* damage_add takes a rectangle up; one without area is left out. */
void damage_add(struct damage *d, struct box b);
/* damage_clip cuts all rectangles to a window of w x h pixels; what is outside goes. */
void damage_clip(struct damage *d, uint32_t w, uint32_t h);
static inline void damage_clear(struct damage *d)
{
	d->n = 0;
}
static inline bool damage_any(const struct damage *d)
{
	return d->n > 0;
}
/* box_clip gives whether something is left of b inside w x h. */
bool box_clip(struct box *b, uint32_t w, uint32_t h);

#endif
