/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images, damage and acknowledgements (pixels.h). */
#include "gui/guid/pixels.h"

#include "gui/guid/xs.h"

static void frame_ack(struct guid *g, struct win *w)
{
	static const struct gui_frame_ack m;

	w->ack = false;
	gui_put_frame_ack(&g->out, w->id, &m);
	out_check(g);
}

void pix_drop(struct guid *g, struct win *w)
{
	if (g->bar_size == 0 && w->image)
		g->stream_pixels -= (uint64_t)w->img_w * w->img_h;
	w->image = false;
	w->damage = (struct rect){ 0 };
	w->img_w = w->img_h = 0;
	xs_image(g, w);
	if (w->ack && !w->putting)
		frame_ack(g, w);
}

/* What the body of a dump says of the place of its pixels. */
static int place(struct guid *g, const struct gui_window_dump *m, struct rd *body, uint64_t *ret_off)
{
	*ret_off = 0;
	if (m->w == 0 || m->h == 0 || m->w > GUI_WIDTH_MAX || m->h > GUI_HEIGHT_MAX)
		return -EBADMSG;
	if (g->bar_size == 0)
		return m->type == GUI_DUMP_STREAM && rd_done(body) ? 0 : -EBADMSG;
	*ret_off = rd_u64le(body);
	return m->type == GUI_DUMP_BAR && rd_done(body) && gui_bar_ok(m->w, m->h, *ret_off, g->bar_size) ? 0 : -EBADMSG;
}

int pix_dump(struct guid *g, struct win *w, struct rd body)
{
	static const struct gui_window_dump_ack ack;
	struct gui_window_dump m;
	uint64_t off;

	if (gui_get_window_dump(&body, &m) < 0 || place(g, &m, &body, &off) < 0)
		return -EBADMSG;
	if (w->ghost)
		goto out;
	pix_drop(g, w);
	if (g->bar_size == 0 && g->stream_pixels + (uint64_t)m.w * m.h > GUID_STREAM_PIXELS) {
		clip_notice(g, DESK_N_PIXELS);
		goto out;
	}
	if (g->bar_size == 0)
		g->stream_pixels += (uint64_t)m.w * m.h;
	w->image = true;
	w->img_w = m.w;
	w->img_h = m.h;
	w->img_off = off;
	xs_image(g, w);
out:
	gui_put_window_dump_ack(&g->out, w->id, &ack);
	out_check(g);
	return 0;
}

static void put(struct guid *g, struct win *w, const struct rect *r)
{
	struct rect cut;

	/* The window may have shrunk since the damage was told. */
	if (!check_damage(r, w->img_w, w->img_h, w->in.w, w->in.h, &cut))
		return;
	w->putting = true;
	xs_put(g, w, &cut);
}

void pix_damage(struct guid *g, struct win *w, const struct gui_shmimage *m)
{
	struct rect r = { m->x, m->y, m->w, m->h }, cut;

	if (r.x < 0 || r.y < 0 || r.w > INT32_MAX || r.h > INT32_MAX)
		clip_notice(g, DESK_N_REQUEST);
	w->ack = true;
	if (w->mapped && w->image && g->bar_size && check_damage(&r, w->img_w, w->img_h, w->in.w, w->in.h, &cut)) {
		if (w->putting)
			w->damage = rect_join(&w->damage, &cut);
		else
			put(g, w, &cut);
	}
	if (!w->putting)
		frame_ack(g, w);
}

void pix_done(struct guid *g, struct win *w)
{
	struct rect r = w->damage;

	w->putting = false;
	w->damage = (struct rect){ 0 };
	if (w->mapped && w->image && rect_area(&r))
		put(g, w, &r);
	if (!w->putting && w->ack)
		frame_ack(g, w);
}

int pix_pixels(struct guid *g, struct win *w, struct rd body)
{
	struct gui_pixels m;
	struct rect r, cut;
	uint64_t bytes;
	const uint8_t *p;

	if (g->bar_size || gui_get_pixels(&body, &m) < 0 || m.w > GUI_WIDTH_MAX || m.h > GUI_HEIGHT_MAX)
		return -EBADMSG;
	bytes = (uint64_t)m.w * m.h * 4;
	if (bytes != rd_left(&body))
		return -EBADMSG;
	p = rd_view(&body, (size_t)bytes);
	r = (struct rect){ m.x, m.y, m.w, m.h };
	/* Rows cannot be cut without a copy, so it is the whole rectangle or nothing; the X server cuts to the window. */
	if (w->mapped && w->image && check_damage(&r, w->img_w, w->img_h, w->img_w, w->img_h, &cut) && rect_eq(&r, &cut))
		xs_pixels(g, w, &r, p);
	else if (w->mapped && w->image)
		clip_notice(g, DESK_N_REQUEST);
	/* Of a window that is not shown too: its agent would wait for ever. */
	frame_ack(g, w);
	return 0;
}

void pix_show(struct guid *g, struct win *w, const struct rect *r)
{
	struct rect cut;

	if (!w->mapped || !w->image || !check_damage(r, w->img_w, w->img_h, w->in.w, w->in.h, &cut))
		return;
	if (g->bar_size == 0)
		xs_again(g, w, &cut);
	else if (w->putting)
		w->damage = rect_join(&w->damage, &cut);
	else
		put(g, w, &cut);
}
