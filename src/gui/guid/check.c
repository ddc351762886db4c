/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rules of check.h. All arithmetic is in 64 bits, so no input wraps. */
#include "gui/guid/check.h"

static int64_t right_of(const struct rect *r)
{
	return (int64_t)r->x + r->w;
}

static int64_t bottom_of(const struct rect *r)
{
	return (int64_t)r->y + r->h;
}

bool rect_meets(const struct rect *a, const struct rect *b)
{
	return a->x < right_of(b) && b->x < right_of(a) && a->y < bottom_of(b) && b->y < bottom_of(a);
}

struct rect rect_join(const struct rect *a, const struct rect *b)
{
	struct rect r;

	if (rect_area(a) == 0)
		return *b;
	if (rect_area(b) == 0)
		return *a;
	r.x = MIN(a->x, b->x);
	r.y = MIN(a->y, b->y);
	r.w = (uint32_t)(MAX(right_of(a), right_of(b)) - r.x);
	r.h = (uint32_t)(MAX(bottom_of(a), bottom_of(b)) - r.y);
	return r;
}

struct frame frame_of(bool managed, bool docked, bool fullscreen, uint32_t inner_w)
{
	struct frame f = { .pattern = docked ? 0 : FRAME_PATTERN };

	if (managed && !docked && !fullscreen && inner_w >= FRAME_STRIP_MIN_W)
		f.strip = FRAME_STRIP;
	f.left = f.right = f.bottom = FRAME_SOLID + f.pattern;
	f.top = f.left + f.strip;
	return f;
}

struct rect frame_outer(const struct frame *f, const struct rect *in)
{
	return (struct rect){ in->x - (int32_t)f->left, in->y - (int32_t)f->top, in->w + f->left + f->right, in->h + f->top + f->bottom };
}

bool frame_inner(const struct frame *f, const struct rect *out, struct rect *ret)
{
	bool fits = out->w > f->left + f->right && out->h > f->top + f->bottom;

	ret->x = out->x + (int32_t)f->left;
	ret->y = out->y + (int32_t)f->top;
	ret->w = out->w > f->left + f->right ? out->w - f->left - f->right : 1;
	ret->h = out->h > f->top + f->bottom ? out->h - f->top - f->bottom : 1;
	return fits;
}

static uint32_t size_in(uint32_t n, uint32_t max)
{
	return n == 0 ? 1 : MIN(n, max);
}

static int32_t at_in(int32_t at, int32_t max)
{
	return at > max ? max : MAX(at, -max);
}

bool check_place(struct rect *r)
{
	bool sane = r->w != 0 && r->h != 0 && r->w <= INT32_MAX && r->h <= INT32_MAX;

	r->w = size_in(r->w, GUI_WIDTH_MAX);
	r->h = size_in(r->h, GUI_HEIGHT_MAX);
	r->x = at_in(r->x, (int32_t)GUI_WIDTH_MAX);
	r->y = at_in(r->y, (int32_t)GUI_HEIGHT_MAX);
	return sane;
}

bool check_damage(const struct rect *damage, uint32_t image_w, uint32_t image_h, uint32_t win_w, uint32_t win_h, struct rect *ret)
{
	uint32_t w = MIN(image_w, win_w), h = MIN(image_h, win_h), x, y;

	if (damage->x < 0 || damage->y < 0 || damage->w > INT32_MAX || damage->h > INT32_MAX)
		return false;
	x = (uint32_t)damage->x;
	y = (uint32_t)damage->y;
	if (x >= w || y >= h || damage->w == 0 || damage->h == 0)
		return false;
	*ret = (struct rect){ damage->x, damage->y, MIN(damage->w, w - x), MIN(damage->h, h - y) };
	return true;
}

bool check_override(const struct rect *outer, const struct rect *work, uint64_t others)
{
	return (rect_area(outer) + others) * 100 <= rect_area(work) * CHECK_OVERRIDE_PERCENT;
}

/* One axis: at and len into from … from + room. */
static void fit(int32_t *at, uint32_t *len, int32_t from, uint32_t room)
{
	*len = MIN(*len, room);
	if (*at < from)
		*at = from;
	else if ((int64_t)*at + *len > (int64_t)from + room)
		*at = (int32_t)((int64_t)from + room - *len);
}

bool check_on_screen(struct rect *outer, const struct rect *work)
{
	struct rect was = *outer;

	if (work->w == 0 || work->h == 0 || !rect_meets(outer, work))
		return false;
	fit(&outer->x, &outer->w, work->x, work->w);
	fit(&outer->y, &outer->h, work->y, work->h);
	return !rect_eq(&was, outer);
}

void check_bring(struct rect *outer, const struct rect *work)
{
	uint32_t w = outer->w, h = outer->h;

	fit(&outer->x, &w, work->x, work->w);
	fit(&outer->y, &h, work->y, work->h);
}

bool check_cursor(uint32_t cursor)
{
	return cursor == 0 || (cursor >= GUI_CURSOR_X && cursor < GUI_CURSOR_END && cursor % 2 == 0);
}

bool check_flags(uint32_t *set, uint32_t *unset)
{
	const uint32_t known = GUI_FLAG_FULLSCREEN | GUI_FLAG_ATTENTION | GUI_FLAG_MINIMIZE;

	if ((*set & *unset) != 0 || ((*set | *unset) & ~known) != 0)
		return false;
	if (*set & GUI_FLAG_MINIMIZE)
		*set &= ~GUI_FLAG_FULLSCREEN;
	return true;
}

void check_hints(struct gui_window_hints *h)
{
	h->flags &= GUI_HINTS;
	h->min_w = size_in(h->min_w, GUI_WIDTH_MAX);
	h->min_h = size_in(h->min_h, GUI_HEIGHT_MAX);
	h->max_w = size_in(h->max_w, GUI_WIDTH_MAX);
	h->max_h = size_in(h->max_h, GUI_HEIGHT_MAX);
	h->w_inc = size_in(h->w_inc, GUI_WIDTH_MAX);
	h->h_inc = size_in(h->h_inc, GUI_HEIGHT_MAX);
	h->base_w = MIN(h->base_w, GUI_WIDTH_MAX);
	h->base_h = MIN(h->base_h, GUI_HEIGHT_MAX);
	if ((h->flags & GUI_HINT_MIN_SIZE) && (h->flags & GUI_HINT_MAX_SIZE)) {
		h->max_w = MAX(h->max_w, h->min_w);
		h->max_h = MAX(h->max_h, h->min_h);
	}
}

bool rate_ok(struct rate *r, uint64_t now_ms, unsigned burst, unsigned per_ms)
{
	uint64_t each = burst ? per_ms / burst : per_ms, one = each ? each : 1, from = MAX(r->full_at, now_ms);

	if (from - now_ms + one > per_ms)
		return false;
	r->full_at = from + one;
	return true;
}
