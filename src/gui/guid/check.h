/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a qube may do with its windows, as pure functions: no clock, no memory, no X. Sizes are in pixels, positions in the
 * coordinates of the screen. A window of a qube (the inner one) lies in a frame of guid (the outer one).
 */
#ifndef GUI_GUID_CHECK_H
#define GUI_GUID_CHECK_H

#include "base/defs.h"
#include "proto/gui.h"

/* The frame: pixels in the label's colour, then pixels in the label's pattern; a strip with name and title inside of the former. */
#define FRAME_SOLID 3u
#define FRAME_PATTERN 2u
#define FRAME_STRIP 16u
#define FRAME_STRIP_MIN_W 48u /* inner width from which on there is a strip */

#define CHECK_OVERRIDE_PERCENT 90u

struct rect {
	int32_t x, y;
	uint32_t w, h;
};

/* What surrounds the inner window. */
struct frame {
	uint32_t left, top, right, bottom;
	uint32_t pattern, strip; /* parts of the former; 0 = none */
};

static inline bool rect_eq(const struct rect *a, const struct rect *b)
{
	return a->x == b->x && a->y == b->y && a->w == b->w && a->h == b->h;
}
static inline uint64_t rect_area(const struct rect *r)
{
	return (uint64_t)r->w * r->h;
}
bool rect_meets(const struct rect *a, const struct rect *b);
/* rect_join gives the smallest rectangle around both; an empty one (w or h 0) does not count. */
struct rect rect_join(const struct rect *a, const struct rect *b);

struct frame frame_of(bool managed, bool docked, bool fullscreen, uint32_t inner_w);
struct rect frame_outer(const struct frame *f, const struct rect *in);
/* frame_inner gives the place for the inner window; w and h are at least 1. False: the outer one is so small that it is all frame. */
bool frame_inner(const struct frame *f, const struct rect *out, struct rect *ret);

/* check_place brings a size into 1 … GUI_WIDTH_MAX x 1 … GUI_HEIGHT_MAX and a position into plus or minus that. False when something was
   a size that no program asks for (0, or negative as a signed number). */
bool check_place(struct rect *r);
/* check_damage cuts a rectangle to an image and a window that start at 0, 0. False: nothing is left, or it is negative. */
bool check_damage(const struct rect *damage, uint32_t image_w, uint32_t image_h, uint32_t win_w, uint32_t win_h, struct rect *ret);
/* check_override: may a window that no window manager sees have this outer rectangle, beside others whose areas sum up to others? */
bool check_override(const struct rect *outer, const struct rect *work, uint64_t others);
/* check_on_screen moves and shrinks an outer rectangle until all four edges are inside of work. A rectangle that is not on the screen at all
   is left alone. True when it changed something. */
bool check_on_screen(struct rect *outer, const struct rect *work);
/* check_bring moves a rectangle that is not on the screen to the nearest place where its left upper corner and as much as fits are inside of work. */
void check_bring(struct rect *outer, const struct rect *work);
/* check_cursor: 0, or a glyph of the X cursor font. */
bool check_cursor(uint32_t cursor);
/* check_flags: no bit is in both, no unknown bit; minimize beats fullscreen. False: to be dropped. */
bool check_flags(uint32_t *set, uint32_t *unset);
/* check_hints drops what is not known and brings sizes into limits; max is never below min. */
void check_hints(struct gui_window_hints *h);

/* A limit of so many at once, refilled evenly: burst in each per_ms. */
struct rate {
	uint64_t full_at; /* ms: when all is refilled; 0 = it is */
};
bool rate_ok(struct rate *r, uint64_t now_ms, unsigned burst, unsigned per_ms);

#endif
