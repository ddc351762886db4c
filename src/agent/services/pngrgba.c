/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PNG to plain pixels. */
#include "agent/services/pngrgba.h"

#include <png.h>
#include <setjmp.h>

struct source {
	struct rd r;
	struct arena *a;
};

static void *take(struct arena *a, size_t n)
{
	void *p;

	n = (n + 15) & ~(size_t)15;
	if (n > a->cap - a->used)
		return NULL;
	p = a->p + a->used;
	a->used += n;
	return p;
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t n)
{
	return take(png_get_mem_ptr(png), n);
}

static void on_free(png_structp png, png_voidp p)
{
}

static void on_warning(png_structp png, png_const_charp text)
{
}

static void on_error(png_structp png, png_const_charp text)
{
	longjmp(*png_set_longjmp_fn(png, longjmp, sizeof(jmp_buf)), 1);
}

static void on_read(png_structp png, png_bytep out, size_t n)
{
	struct source *s = png_get_io_ptr(png);

	rd_bytes(&s->r, out, n);
	if (!rd_ok(&s->r))
		png_error(png, "short");
}

/* Any kind of PNG becomes 8 bits red, green, blue, alpha. */
static void to_rgba(png_structp png, png_infop info)
{
	int type = png_get_color_type(png, info);

	if (type == PNG_COLOR_TYPE_PALETTE)
		png_set_palette_to_rgb(png);
	if (type == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png, info) < 8)
		png_set_expand_gray_1_2_4_to_8(png);
	if (png_get_valid(png, info, PNG_INFO_tRNS))
		png_set_tRNS_to_alpha(png);
	png_set_strip_16(png);
	png_set_packing(png);
	png_set_gray_to_rgb(png);
	png_set_add_alpha(png, 0xff, PNG_FILLER_AFTER);
	(void)png_set_interlace_handling(png);
	png_read_update_info(png, info);
}

/* The part that libpng may leave by a jump; its results are in *out, which is not local to it. */
struct image {
	uint32_t w, h;
	uint8_t *pixels;
	int r;
};

static void decode(png_structp png, png_infop info, struct arena *a, struct image *out)
{
	png_bytep *rows;

	out->r = -EBADMSG;
	if (setjmp(png_jmpbuf(png)))
		return;
	png_set_user_limits(png, PNG_SIDE_MAX, PNG_SIDE_MAX);
	png_set_chunk_cache_max(png, 64);
	png_read_info(png, info);
	out->w = png_get_image_width(png, info);
	out->h = png_get_image_height(png, info);
	if ((uint64_t)out->w * out->h > PNG_PIXELS_MAX) {
		out->r = -EFBIG;
		return;
	}
	to_rgba(png, info);
	if (png_get_rowbytes(png, info) != (size_t)out->w * 4)
		return;
	out->pixels = take(a, (size_t)out->w * out->h * 4);
	rows = take(a, out->h * sizeof(*rows));
	if (!out->pixels || !rows) {
		out->r = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < out->h; i++)
		rows[i] = out->pixels + (size_t)i * out->w * 4;
	png_read_image(png, rows);
	out->r = 0;
}

int png_rgba(struct arena *a, struct rd image, uint32_t *ret_w, uint32_t *ret_h, uint8_t **ret)
{
	struct source s = { image, a };
	struct image out = { 0 };
	png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning, a, on_malloc, on_free);
	png_infop info = png ? png_create_info_struct(png) : NULL;

	if (!info)
		return -ENOMEM;
	png_set_read_fn(png, &s, on_read);
	decode(png, info, a, &out);
	*ret_w = out.w;
	*ret_h = out.h;
	*ret = out.pixels;
	return out.r;
}
