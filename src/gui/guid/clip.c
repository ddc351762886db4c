/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chords, clipboard bytes on their way between the qube and clipd, and notices. guid keeps no clipboard and decides nothing about it. */
#include "base/msg.h"
#include "gui/guid/guid.h"

/* Notices are counted and told at most once in this time for each kind, so that a qube cannot fill the screen with them. */
#define NOTICE_MS 2000u
#define CLIPBOARD_MAX_OLD 65000u /* before 1.8 */

/* clipd's socket does not block. -EAGAIN: full. Without clipd windows still work, only the clipboard does not. */
static int send_now(struct guid *g, uint32_t type, const struct wr *w)
{
	int r = g->desk_fd < 0 ? -ENOTCONN : msg_send(g->desk_fd, type, 0, 0, w, NULL, 0);

	if (r < 0 && r != -EAGAIN && g->desk_fd >= 0) {
		log_warn("clipd: %s; no clipboard from now on", strerror(-r));
		g->desk_fd = -1;
	}
	return r;
}

void clip_notice(struct guid *g, enum desk_kind kind)
{
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);
	struct desk_notice m = { .kind = kind };
	struct clip *c = &g->clip;

	if (c->notices[kind] < UINT32_MAX)
		c->notices[kind]++;
	if (c->notice_ms[kind] && g->now_ms - c->notice_ms[kind] < NOTICE_MS)
		return;
	m.number = c->notices[kind];
	desk_put_notice(&w, &m);
	if (send_now(g, DESK_NOTICE, &w) < 0)
		return;
	c->notices[kind] = 0;
	c->notice_ms[kind] = MAX(g->now_ms, (uint64_t)1);
}

void clip_ready(struct guid *g)
{
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);
	struct desk_ready m = { .version = g->version };

	desk_put_ready(&w, &m);
	(void)send_now(g, DESK_READY, &w);
}

void clip_copy(struct guid *g, struct win *w, uint32_t time)
{
	static const struct gui_clipboard_req m;

	g->clip.asked = true;
	g->clip.asked_time = time;
	gui_put_clipboard_req(&g->out, w->id, &m);
	out_check(g);
}

void clip_paste(struct guid *g, struct win *w, uint32_t time)
{
	uint8_t buf[16];
	struct wr msg = wr_mem(buf, sizeof buf);
	uint64_t age = g->now_ms - g->focus_ms;
	struct desk_paste m = { .time = time, .focus_ms = (uint32_t)MIN(age, (uint64_t)UINT32_MAX) };

	/* A window that has just caught the focus did so perhaps because the user was about to paste elsewhere. */
	if (!w->focused || age < g->o.paste_guard_ms) {
		clip_notice(g, DESK_N_PASTE_EARLY);
		return;
	}
	desk_put_paste(&msg, &m);
	if (send_now(g, DESK_PASTE, &msg) == 0)
		g->clip.pasting = true;
}

int clip_flush(struct guid *g)
{
	struct clip *c = &g->clip;

	while (c->out.len) {
		struct wr part = wr_mem(c->out.buf, MIN(c->out.len, (size_t)DESK_DATA_MAX));
		int r;

		part.len = part.cap;
		r = send_now(g, DESK_DATA, &part);
		if (r == -EAGAIN)
			return r;
		if (r < 0) {
			wr_reset(&c->out);
			return r;
		}
		wr_consume(&c->out, part.len);
	}
	return 0;
}

void clip_data(struct guid *g, struct rd body)
{
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);
	uint32_t n = (uint32_t)rd_left(&body), max = g->o.max_clipboard_size;
	struct desk_copy m = { .time = g->clip.asked_time, .length = MIN(n, GUI_CLIPBOARD_MAX) };

	if ((g->version & 0xffff) < 8)
		max = MIN(max, CLIPBOARD_MAX_OLD);
	/* One answer for each chord; and not while the last one is on its way to clipd. */
	if (!g->clip.asked || g->clip.out.len) {
		clip_notice(g, DESK_N_CLIPBOARD);
		return;
	}
	g->clip.asked = false;
	if (n > max)
		m.flags |= DESK_COPY_TOO_LONG;
	desk_put_copy(&w, &m);
	if (send_now(g, DESK_COPY, &w) < 0 || n > max)
		return;
	wr_reset(&g->clip.out);
	wr_bytes(&g->clip.out, rd_view(&body, n), n);
	(void)clip_flush(g);
}

static void give(struct guid *g)
{
	static const struct gui_clipboard_data m;
	struct wr *in = &g->clip.in;

	gui_put_clipboard_data(&g->out, 0, &m, in->len);
	wr_bytes(&g->out, in->buf, in->len);
	wr_reset(in);
	g->clip.pasting = false;
	g->clip.in_len = 0;
	out_check(g);
}

static int on_give(struct guid *g, struct rd payload)
{
	uint32_t max = (g->version & 0xffff) < 8 ? CLIPBOARD_MAX_OLD : GUI_CLIPBOARD_MAX;
	struct desk_give m;

	if (desk_get_give(payload, &m) < 0 || m.length > GUI_CLIPBOARD_MAX || !g->clip.pasting)
		return -EBADMSG;
	wr_reset(&g->clip.in);
	if (m.length > max)
		g->clip.pasting = false;
	g->clip.in_len = m.length > max ? 0 : m.length;
	if (m.length == 0)
		g->clip.pasting = false;
	return 0;
}

int clip_message(struct guid *g, uint32_t type, struct rd payload)
{
	struct clip *c = &g->clip;
	size_t n = rd_left(&payload);

	if (!desk_may(type, n, DESK_FROM_CLIPD))
		return -EBADMSG;
	if (type == DESK_GIVE)
		return on_give(g, payload);
	if (type == DESK_REFUSED) {
		c->pasting = false;
		return 0;
	}
	if (!c->pasting || c->in.len + n > c->in_len)
		return c->pasting ? -EBADMSG : 0;
	wr_bytes(&c->in, rd_view(&payload, n), n);
	if (c->in.len == c->in_len)
		give(g);
	return 0;
}
