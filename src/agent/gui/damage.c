/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Merging of rectangles. */
#include "agent/gui/damage.h"

/* X coordinates have 16 bits; more than this cannot be meant, and sums of two stay in 32 bits. */
#define FAR 65536

static int32_t bound(int32_t v)
{
	return v < -FAR ? -FAR : v > FAR ? FAR : v;
}

static struct box join(const struct box *a, const struct box *b)
{
	int32_t x = MIN(a->x, b->x), y = MIN(a->y, b->y);
	int32_t x2 = MAX(a->x + a->w, b->x + b->w), y2 = MAX(a->y + a->h, b->y + b->h);

	return (struct box){ x, y, x2 - x, y2 - y };
}

static int64_t area(const struct box *b)
{
	return (int64_t)b->w * b->h;
}

/* What joining the two would send in vain. Negative where they overlap. */
static int64_t waste(const struct box *a, const struct box *b)
{
	struct box j = join(a, b);

	return area(&j) - area(a) - area(b);
}

static void drop(struct damage *d, unsigned i)
{
	d->v[i] = d->v[--d->n];
}

/* Joins the pair that wastes least, and gives whether that was worth it (or must). */
static bool join_best(struct damage *d, bool must)
{
	unsigned bi = 0, bj = 0;
	int64_t best = INT64_MAX;

	for (unsigned i = 0; i < d->n; i++)
		for (unsigned j = i + 1; j < d->n; j++) {
			int64_t w = waste(&d->v[i], &d->v[j]);

			if (w < best) {
				best = w;
				bi = i;
				bj = j;
			}
		}
	/* a message and a copy cost as much as some thousand pixels */
	if (best == INT64_MAX || (!must && best > 4096))
		return false;
	d->v[bi] = join(&d->v[bi], &d->v[bj]);
	drop(d, bj);
	return true;
}

void damage_add(struct damage *d, struct box b)
{
	if (b.w <= 0 || b.h <= 0)
		return;
	b.x = bound(b.x);
	b.y = bound(b.y);
	b.w = bound(b.w);
	b.h = bound(b.h);
	/* blinking cursors and progress bars: the same place again */
	for (unsigned i = 0; i < d->n; i++) {
		struct box j = join(&d->v[i], &b);

		if (j.x == d->v[i].x && j.y == d->v[i].y && j.w == d->v[i].w && j.h == d->v[i].h)
			return;
	}
	if (d->n == DAMAGE_MAX)
		(void)join_best(d, true);
	d->v[d->n++] = b;
	while (join_best(d, false))
		;
}

bool box_clip(struct box *b, uint32_t w, uint32_t h)
{
	int64_t x2 = (int64_t)b->x + b->w, y2 = (int64_t)b->y + b->h;
	int64_t x = MAX((int64_t)b->x, (int64_t)0), y = MAX((int64_t)b->y, (int64_t)0);

	x2 = MIN(x2, (int64_t)w);
	y2 = MIN(y2, (int64_t)h);
	if (x2 <= x || y2 <= y)
		return false;
	*b = (struct box){ (int32_t)x, (int32_t)y, (int32_t)(x2 - x), (int32_t)(y2 - y) };
	return true;
}

void damage_clip(struct damage *d, uint32_t w, uint32_t h)
{
	for (unsigned i = 0; i < d->n;)
		if (box_clip(&d->v[i], w, h))
			i++;
		else
			drop(d, i);
}
