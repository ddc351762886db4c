/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pictures of 4 bytes a pixel, the opacity last, rows from the top without a gap: as qubes.GetImageRGBA answers them ("WIDTH HEIGHT\n", then red, green, blue,
 * opacity), as icons of windows come (blue, green, red, opacity), and as PNG for the desktop's menus. Pure.
 */
#ifndef PROTO_IMAGE_H
#define PROTO_IMAGE_H

#include "base/rd.h"
#include "base/wr.h"

#define IMAGE_SIDE_MAX 1024u
#define IMAGE_ANSWER_MAX (IMAGE_SIDE_MAX * IMAGE_SIDE_MAX * 4 + 16)

struct image {
	uint32_t w, h;
	struct rd pixels; /* borrowed, w * h * 4 bytes */
};

/* image_parse takes an answer of qubes.GetImageRGBA, all of it: -EBADMSG when it is none, or larger than IMAGE_SIDE_MAX on a side. */
int image_parse(struct rd answer, struct image *ret) _must_check_;
/* image_small appends the pixels of the picture, made so small that no side is longer than side, and gives the size they have; means are weighted by opacity. */
void image_small(struct wr *w, const struct image *im, uint32_t side, uint32_t *ret_w, uint32_t *ret_h);
/* image_put appends an answer as image_parse reads it, no side longer than side. */
void image_put(struct wr *w, const struct image *im, uint32_t side);
/* image_tint gives a pixel 0xOORRGGBB (OO: opacity, which stays) the hue and saturation of a colour 0xRRGGBB; its lightness stays. */
uint32_t image_tint(uint32_t pixel, uint32_t colour);
/* image_png appends the picture (red first) as a PNG file, tinted; image_tile one without any picture: a square of the colour with a darker rim. */
void image_png(struct wr *w, const struct image *im, uint32_t colour);
void image_tile(struct wr *w, uint32_t side, uint32_t colour);

#endif
