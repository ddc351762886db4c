/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PNG to plain pixels, by libpng, without a system call: memory comes from an arena of the caller. */
#ifndef AGENT_SERVICES_PNGRGBA_H
#define AGENT_SERVICES_PNGRGBA_H

#include "base/err.h"
#include "base/rd.h"

#define PNG_SIDE_MAX 4096
#define PNG_PIXELS_MAX (16u << 20)

/* Memory that is only given out; everything is given back at once with the arena. */
struct arena {
	uint8_t *p;
	size_t used, cap;
};

/* png_rgba decodes an image of at most PNG_SIDE_MAX a side to 4 bytes a pixel, rows from the top, in memory of the arena. -EBADMSG, -EFBIG, -ENOMEM. */
int png_rgba(struct arena *a, struct rd image, uint32_t *ret_w, uint32_t *ret_h, uint8_t **ret);

#endif
