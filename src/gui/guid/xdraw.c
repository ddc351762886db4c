/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Drawing: the label's pattern, puts of the qube's pixels into the inner window, the tint of tray icons. The X server does all of it. */
#include "gui/guid/x.h"

#define PICT_OP_HSL_COLOR 0x3d /* RENDER 0.11: hue and saturation of the source, lightness of what is there */
#define TEXT_FONT "fixed"
#define CURSOR_FONT "cursor"

static void make_tile(struct guid *g)
{
	struct xs *x = g->xs;
	uint32_t px[TEXT_TILE * TEXT_TILE];

	for (uint32_t yy = 0; yy < TEXT_TILE; yy++)
		for (uint32_t xx = 0; xx < TEXT_TILE; xx++)
			px[yy * TEXT_TILE + xx] = text_pattern(g->label, xx, yy) ? x->contrast : g->colour;
	x->tile = xcb_generate_id(x->c);
	xcb_create_pixmap(x->c, 24, x->tile, x->s->root, TEXT_TILE, TEXT_TILE);
	xcb_put_image(x->c, XCB_IMAGE_FORMAT_Z_PIXMAP, x->tile, x->gc, TEXT_TILE, TEXT_TILE, 0, 0, 0, 24, sizeof px, (const uint8_t *)px);
}

static int font(struct xs *x, xcb_font_t *ret, const char *name, struct err *e)
{
	_cleanup_free_ xcb_generic_error_t *bad = NULL;

	*ret = xcb_generate_id(x->c);
	bad = xcb_request_check(x->c, xcb_open_font_checked(x->c, *ret, (uint16_t)strlen(name), name));
	return bad ? err_set(e, ENOENT, "the X server has no font '%s'", name) : 0;
}

static void tint_open(struct guid *g)
{
	struct xs *x = g->xs;
	const xcb_query_extension_reply_t *ext = xcb_get_extension_data(x->c, &xcb_render_id);
	_cleanup_free_ xcb_render_query_version_reply_t *v = NULL;
	_cleanup_free_ xcb_render_query_pict_formats_reply_t *f = NULL;

	if (!ext || !ext->present || g->o.trayicon_mode > TRAY_TINT_MAX)
		return;
	v = xcb_render_query_version_reply(x->c, xcb_render_query_version(x->c, 0, 11), NULL);
	f = xcb_render_query_pict_formats_reply(x->c, xcb_render_query_pict_formats(x->c), NULL);
	if (!v || !f || (v->major_version == 0 && v->minor_version < 11))
		return;
	for (xcb_render_pictforminfo_iterator_t i = xcb_render_query_pict_formats_formats_iterator(f); i.rem; xcb_render_pictforminfo_next(&i)) {
		const xcb_render_directformat_t *d = &i.data->direct;

		if (i.data->depth == 24 && d->red_shift == 16 && d->red_mask == 255 && d->blue_shift == 0 && d->alpha_mask == 0)
			x->pict_format = i.data->id;
	}
	if (!x->pict_format)
		return;
	x->pict_colour = xcb_generate_id(x->c);
	xcb_render_create_solid_fill(x->c, x->pict_colour,
				     (xcb_render_color_t){ (uint16_t)((g->colour >> 16 & 255) * 257), (uint16_t)((g->colour >> 8 & 255) * 257),
							   (uint16_t)((g->colour & 255) * 257), 0xffff });
}

int x_draw_open(struct guid *g, struct err *e)
{
	struct xs *x = g->xs;
	int r = font(x, &x->text_font, TEXT_FONT, e);

	if (r == 0)
		r = font(x, &x->cursor_font, CURSOR_FONT, e);
	if (r < 0)
		return r;
	x->contrast = text_contrast(g->colour);
	x->gc = xcb_generate_id(x->c);
	xcb_create_gc(x->c, x->gc, x->s->root, XCB_GC_FOREGROUND | XCB_GC_GRAPHICS_EXPOSURES, (uint32_t[]){ g->o.window_background_color, 0 });
	x->text_gc = xcb_generate_id(x->c);
	xcb_create_gc(x->c, x->text_gc, x->s->root, XCB_GC_FOREGROUND | XCB_GC_BACKGROUND | XCB_GC_FONT | XCB_GC_GRAPHICS_EXPOSURES,
		      (uint32_t[]){ x->contrast, g->colour, x->text_font, 0 });
	make_tile(g);
	tint_open(g);
	return 0;
}

static void tint(struct guid *g, struct win *w, const struct rect *r)
{
	struct xs *x = g->xs;
	xcb_render_picture_t pic;

	if (!w->docked || !x->pict_format)
		return;
	pic = xcb_generate_id(x->c);
	xcb_render_create_picture(x->c, pic, w->pixmap, x->pict_format, 0, NULL);
	xcb_render_composite(x->c, PICT_OP_HSL_COLOR, x->pict_colour, XCB_NONE, pic, 0, 0, 0, 0, (int16_t)r->x, (int16_t)r->y, (uint16_t)r->w, (uint16_t)r->h);
	xcb_render_free_picture(x->c, pic);
}

void xs_image(struct guid *g, struct win *w)
{
	struct xs *x = g->xs;

	if (w->pixmap) {
		xcb_free_pixmap(x->c, w->pixmap);
		/* The end of a put into it could not be told from another's any more. */
		w->putting = false;
	}
	w->pixmap = 0;
	/* Kept by the server: what came as a stream, so that it can be shown again, and what is tinted. */
	if (!w->image || (g->bar_size && !w->docked))
		return;
	w->pixmap = xcb_generate_id(x->c);
	xcb_create_pixmap(x->c, 24, w->pixmap, x->s->root, (uint16_t)w->img_w, (uint16_t)w->img_h);
	xcb_poly_fill_rectangle(x->c, w->pixmap, x->gc, 1, (xcb_rectangle_t[]){ { 0, 0, (uint16_t)w->img_w, (uint16_t)w->img_h } });
}

void xs_again(struct guid *g, struct win *w, const struct rect *r)
{
	struct xs *x = g->xs;

	if (w->pixmap)
		xcb_copy_area(x->c, w->pixmap, w->inner, x->gc, (int16_t)r->x, (int16_t)r->y, (int16_t)r->x, (int16_t)r->y, (uint16_t)r->w, (uint16_t)r->h);
}

void xs_put(struct guid *g, struct win *w, const struct rect *r)
{
	struct xs *x = g->xs;

	xcb_shm_put_image(x->c, w->pixmap ? w->pixmap : w->inner, x->gc, (uint16_t)w->img_w, (uint16_t)w->img_h, (uint16_t)r->x, (uint16_t)r->y,
			  (uint16_t)r->w, (uint16_t)r->h, (int16_t)r->x, (int16_t)r->y, 24, XCB_IMAGE_FORMAT_Z_PIXMAP, 1, x->seg, (uint32_t)w->img_off);
	if (w->pixmap) {
		tint(g, w, r);
		xs_again(g, w, r);
	}
}

void xs_pixels(struct guid *g, struct win *w, const struct rect *r, const uint8_t *p)
{
	struct xs *x = g->xs;
	uint32_t row = r->w * 4, fit = (uint32_t)((x->max_request - 64) / row), y = 0;

	for (fit = MAX(fit, 1u); w->pixmap && y < r->h; y += fit) {
		uint32_t n = MIN(fit, r->h - y);

		xcb_put_image(x->c, XCB_IMAGE_FORMAT_Z_PIXMAP, w->pixmap, x->gc, (uint16_t)r->w, (uint16_t)n, (int16_t)r->x, (int16_t)(r->y + (int32_t)y), 0, 24,
			      row * n, p + (size_t)y * row);
	}
	tint(g, w, r);
	xs_again(g, w, r);
}
