/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Damage becomes pixels on the host. With the memory for pixels: a pixmap that lies in it, a copy within the X server, a round trip (the copy is done),
 * then the message. Without: the pixels themselves in messages. What guid has not acknowledged is not told again, but merged.
 */
#include <xcb/damage.h>
#include <xcb/shm.h>

#include "agent/gui/agent.h"
#include "base/log.h"

#define MINOR_DUMP_ACK 7u
#define BPP 24

void pixels_watch(struct agent *a, struct win *w)
{
	if (w->damage || w->input_only)
		return;
	w->damage = xcb_generate_id(a->x);
	xcb_damage_create(a->x, w->damage, w->id, XCB_DAMAGE_REPORT_LEVEL_RAW_RECTANGLES);
}

void pixels_unwatch(struct agent *a, struct win *w)
{
	if (w->damage)
		xcb_damage_destroy(a->x, w->damage);
	w->damage = 0;
	damage_clear(&w->dirty);
}

void pixels_damaged(struct agent *a, struct win *w, struct box b)
{
	if (w->announced && win_visible(w))
		damage_add(&w->dirty, b);
}

void pixels_all(struct agent *a, struct win *w)
{
	pixels_damaged(a, w, (struct box){ 0, 0, (int32_t)w->w, (int32_t)w->h });
}

/* --- places --------------------------------------------------------------------------------------------------------- */

static void buf_free(struct agent *a, struct buf *b)
{
	xcb_free_pixmap(a->x, b->pixmap);
	(void)bar_put(&a->bar, b->off);
	a->bar_full = false;
	free(b);
}

void pixels_release(struct agent *a, struct win *w)
{
	struct buf *b;

	while ((b = LIST_FIRST(&w->old))) {
		LIST_REMOVE(b, next);
		buf_free(a, b);
	}
	if (w->buf)
		buf_free(a, STEAL_PTR(w->buf));
	w->dumps = w->acks = 0;
	w->in_flight = false;
	w->dumped = false;
	damage_clear(&w->dirty);
	damage_clear(&w->out);
}

static uint32_t copy_gc(struct agent *a, uint32_t drawable, uint8_t depth)
{
	const uint32_t v[2] = { XCB_SUBWINDOW_MODE_INCLUDE_INFERIORS, 0 };
	uint32_t *gc = depth == 32 ? &a->gc32 : &a->gc24;

	if (!*gc) {
		*gc = xcb_generate_id(a->x);
		xcb_create_gc(a->x, *gc, drawable, XCB_GC_SUBWINDOW_MODE | XCB_GC_GRAPHICS_EXPOSURES, v);
	}
	return *gc;
}

/* A place of the window's size. The old one stays until guid has acknowledged the dump that replaces it. */
static bool buf_prepare(struct agent *a, struct win *w)
{
	struct buf *b = w->buf;
	uint64_t off;
	int r;

	if (b && b->w == w->w && b->h == w->h && b->depth == w->depth)
		return true;
	if (w->depth != 24 && w->depth != 32)
		return false;
	r = bar_get(&a->bar, (uint64_t)w->w * w->h * 4, &off);
	if (r < 0) {
		if (!a->bar_full)
			log_warn("the memory for pixels is full: used_mib=%llu", (unsigned long long)(bar_used(&a->bar) >> 20));
		a->bar_full = true;
		return false;
	}
	if (b && !w->dumped && b->seq == 0)
		buf_free(a, STEAL_PTR(w->buf)); /* guid never heard of it */
	else if (b)
		LIST_INSERT_HEAD(&w->old, b, next);
	b = xcalloc(1, sizeof *b);
	*b = (struct buf){ .off = off, .w = w->w, .h = w->h, .depth = w->depth, .pixmap = xcb_generate_id(a->x) };
	xcb_shm_create_pixmap(a->x, b->pixmap, w->id, (uint16_t)w->w, (uint16_t)w->h, w->depth, a->bar_seg, (uint32_t)off);
	w->buf = b;
	w->dumped = false;
	/* nothing of what was there before may be seen */
	damage_clear(&w->dirty);
	damage_add(&w->dirty, (struct box){ 0, 0, (int32_t)w->w, (int32_t)w->h });
	return true;
}

void pixels_dump_ack(struct agent *a, uint32_t id)
{
	struct win *w = win_find(a, id);
	struct buf *b, *next;

	if (!w)
		return;
	w->acks++;
	for (b = LIST_FIRST(&w->old); b; b = next) {
		next = LIST_NEXT(b, next);
		if (b->seq < w->acks) {
			LIST_REMOVE(b, next);
			buf_free(a, b);
		}
	}
}

static void free_old(struct agent *a, struct win *w)
{
	struct buf *b;

	while ((b = LIST_FIRST(&w->old))) {
		LIST_REMOVE(b, next);
		buf_free(a, b);
	}
}

/* --- sending -------------------------------------------------------------------------------------------------------- */

static void send_dump(struct agent *a, struct win *w, uint32_t type)
{
	const struct gui_window_dump m = { .type = type, .w = w->w, .h = w->h, .bpp = BPP };
	uint8_t mem[64];
	struct wr o = wr_mem(mem, sizeof mem);
	bool bar = type == GUI_DUMP_BAR && w->buf;

	gui_put_window_dump(&o, w->id, &m, bar ? 8 : 0);
	if (bar)
		wr_u64le(&o, w->buf->off);
	link_send(a, o.buf, o.len);
	w->dumps++;
	w->dumped = true;
	w->in_flight = false;
	if (bar)
		w->buf->seq = w->dumps;
	if ((a->version & 0xffff) < MINOR_DUMP_ACK)
		free_old(a, w);
}

static bool acks_frames(const struct agent *a)
{
	return a->can & GUI_CAN_FRAME_ACK;
}

/* Copies what is damaged; true when something is to be told after the round trip. */
static bool copy(struct agent *a, struct win *w)
{
	uint32_t gc;

	if (!buf_prepare(a, w))
		return false;
	if (!w->dumped) {
		damage_clear(&w->dirty);
		damage_add(&w->dirty, (struct box){ 0, 0, (int32_t)w->w, (int32_t)w->h });
	}
	gc = copy_gc(a, w->id, w->depth);
	w->out = w->dirty;
	damage_clear(&w->dirty);
	for (unsigned i = 0; i < w->out.n; i++) {
		const struct box *b = &w->out.v[i];

		xcb_copy_area(a->x, w->id, w->buf->pixmap, gc, (int16_t)b->x, (int16_t)b->y, (int16_t)b->x, (int16_t)b->y, (uint16_t)b->w, (uint16_t)b->h);
	}
	return true;
}

static void tell(struct agent *a, struct win *w)
{
	if (!w->dumped)
		send_dump(a, w, GUI_DUMP_BAR);
	for (unsigned i = 0; i < w->out.n; i++) {
		const struct box *b = &w->out.v[i];

		SEND(a, shmimage, w->id, .x = b->x, .y = b->y, .w = (uint32_t)b->w, .h = (uint32_t)b->h);
		w->in_flight = acks_frames(a);
	}
	damage_clear(&w->out);
}

static void stream_rows(struct agent *a, struct win *w, struct box b)
{
	_cleanup_free_ xcb_get_image_reply_t *r = xcb_get_image_reply(
		a->x, xcb_get_image(a->x, XCB_IMAGE_FORMAT_Z_PIXMAP, w->id, (int16_t)b.x, (int16_t)b.y, (uint16_t)b.w, (uint16_t)b.h, ~0u), NULL);
	const struct gui_pixels m = { .x = b.x, .y = b.y, .w = (uint32_t)b.w, .h = (uint32_t)b.h };
	size_t n = (size_t)b.w * (size_t)b.h * 4;
	struct wr o = wr_grow(GUI_BODY_MAX + GUI_HDR_LEN);

	/* gone, or not to be seen any more: an event about it is on the way */
	if (!r || (size_t)xcb_get_image_data_length(r) < n)
		return;
	gui_put_pixels(&o, w->id, &m, n);
	wr_bytes(&o, xcb_get_image_data(r), n);
	if (wr_ok(&o)) {
		link_send(a, o.buf, o.len);
		w->in_flight = acks_frames(a);
	}
	wr_free(&o);
}

static void stream(struct agent *a, struct win *w)
{
	struct damage d;

	if (!w->dumped) {
		send_dump(a, w, GUI_DUMP_STREAM);
		damage_clear(&w->dirty);
		damage_add(&w->dirty, (struct box){ 0, 0, (int32_t)w->w, (int32_t)w->h });
	}
	d = w->dirty;
	damage_clear(&w->dirty);
	for (unsigned i = 0; i < d.n; i++) {
		int32_t rows = (int32_t)(GUI_PIXELS_MAX / 4 / (uint32_t)d.v[i].w), end = d.v[i].y + d.v[i].h;

		for (int32_t y = d.v[i].y; y < end && rows > 0; y += rows)
			stream_rows(a, w, (struct box){ d.v[i].x, y, d.v[i].w, MIN(rows, end - y) });
	}
}

static bool due(struct agent *a, struct win *w)
{
	if (!w->announced || !win_visible(w) || w->in_flight || !damage_any(&w->dirty))
		return false;
	damage_clip(&w->dirty, w->w, w->h);
	return damage_any(&w->dirty);
}

bool pixels_send(struct agent *a)
{
	bool bar = bar_ready(a), can_stream = a->can & GUI_CAN_STREAM, copied = false, sent = false;
	struct win *w;

	if (!link_up(a) || (!bar && (a->bar_tries || !can_stream)))
		return false;
	TAILQ_FOREACH(w, &a->wins, all) {
		if (link_full(a))
			break;
		if (!due(a, w))
			continue;
		if (bar && copy(a, w)) {
			copied = true;
		} else if (can_stream) {
			stream(a, w);
			sent = true;
		}
	}
	if (!copied)
		return sent;
	x_roundtrip(a);
	TAILQ_FOREACH(w, &a->wins, all)
		if (damage_any(&w->out))
			tell(a, w);
	return true;
}

void pixels_frame_ack(struct agent *a, uint32_t id)
{
	struct win *w = win_find(a, id);

	/* one answer may stand for several messages */
	if (w)
		w->in_flight = false;
}
