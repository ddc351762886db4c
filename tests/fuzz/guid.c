/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole of guid but its X side: first byte the mode, then what a qube sends. Between messages the host moves, focuses, types and closes, by a sequence that
 * depends on the count alone. The X side is a recorder that ends the process when it is asked for something that the rules do not allow.
 */
#include "gui/guid/host.h"
#include "gui/guid/pixels.h"
#include "gui/guid/xs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BAR (1u << 20)

static uint32_t next_id, seed;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static uint32_t dice(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static void sane(const struct win *w)
{
	must(!w->ghost && w->outer);
	must(w->in.w >= 1 && w->in.w <= GUI_WIDTH_MAX && w->in.h >= 1 && w->in.h <= GUI_HEIGHT_MAX);
}

void xs_create(struct guid *g, struct win *w)
{
	w->outer = ++next_id;
	w->inner = ++next_id;
	w->strip = ++next_id;
	sane(w);
	must(g->n_wins <= g->o.windows_count_limit);
}

void xs_destroy(struct guid *g, struct win *w)
{
	w->outer = w->inner = w->strip = w->pixmap = 0;
	w->putting = false;
}

void xs_place(struct guid *g, struct win *w, bool move)
{
	sane(w);
}

void xs_inside(struct guid *g, struct win *w)
{
	sane(w);
}

static bool inside(const struct rect *r, const struct rect *of)
{
	return r->x >= of->x && r->y >= of->y && r->x + (int64_t)r->w <= of->x + (int64_t)of->w && r->y + (int64_t)r->h <= of->y + (int64_t)of->h;
}

void xs_map(struct guid *g, struct win *w, bool raise, bool no_focus)
{
	sane(w);
	must(w->mapped && !w->late);
}

void xs_unmap(struct guid *g, struct win *w)
{
	sane(w);
}

void xs_title(struct guid *g, struct win *w)
{
	const uint8_t *p = (const uint8_t *)w->title;
	size_t left = strlen(w->title), n;
	uint32_t cp;

	sane(w);
	must(left <= 128);
	for (; left; p += n, left -= n) {
		n = text_utf8(p, left, &cp);
		must(n && cp >= 0x20 && cp != 0x7f && (g->o.allow_utf8_titles || cp < 0x7f) && cp != 0x202e && !(cp >= 0x80 && cp <= 0xa0));
	}
}

void xs_class(struct guid *g, struct win *w)
{
	must(strlen(w->class) <= 64 && strlen(w->instance) <= 64);
}

void xs_hints(struct guid *g, struct win *w)
{
	sane(w);
	must((w->hints.flags & ~GUI_HINTS) == 0 && w->hints.max_w <= GUI_WIDTH_MAX && w->hints.base_h <= GUI_HEIGHT_MAX);
}

void xs_transient(struct guid *g, struct win *w, const struct win *of)
{
	sane(w);
	if (of)
		sane(of);
}

void xs_dock(struct guid *g, struct win *w)
{
	sane(w);
	must(w->docked && g->n_docked <= GUID_TRAY_MAX && !w->override);
}

void xs_cursor(struct guid *g, struct win *w, uint32_t cursor)
{
	sane(w);
	must(cursor == 0 || (cursor >= 0x100 && cursor < 0x19a && cursor % 2 == 0));
}

void xs_state(struct guid *g, struct win *w, enum xs_state state, bool on)
{
	sane(w);
	must(!w->override && !w->docked && (state != XS_FULLSCREEN || g->o.allow_fullscreen || !on));
}

void xs_iconify(struct guid *g, struct win *w)
{
	sane(w);
	must(w->mapped && !w->override);
}

void xs_icon(struct guid *g, struct win *w, const uint32_t *words, size_t n)
{
	volatile uint32_t sum = 0;

	sane(w);
	must(n == 0 || (words[0] >= 1 && words[0] <= GUI_ICON_SIDE && words[1] >= 1 && words[1] <= GUI_ICON_SIDE && n == 2 + (size_t)words[0] * words[1]));
	for (size_t i = 0; i < n; i++)
		sum += words[i];
}

void xs_image(struct guid *g, struct win *w)
{
	sane(w);
}

static void in_image(const struct win *w, const struct rect *r)
{
	sane(w);
	must(w->mapped && w->image && r->x >= 0 && r->y >= 0 && r->w && r->h);
	must((uint64_t)r->x + r->w <= w->img_w && (uint64_t)r->y + r->h <= w->img_h);
}

void xs_put(struct guid *g, struct win *w, const struct rect *r)
{
	in_image(w, r);
	must(g->bar_size == BAR && gui_bar_ok(w->img_w, w->img_h, w->img_off, BAR));
	must((uint64_t)r->x + r->w <= w->in.w && (uint64_t)r->y + r->h <= w->in.h);
	must(w->putting); /* and not twice: pix_done comes from below */
}

void xs_pixels(struct guid *g, struct win *w, const struct rect *r, const uint8_t *p)
{
	volatile uint8_t sum = 0;

	in_image(w, r);
	must(g->bar_size == 0);
	for (size_t i = 0; i < (size_t)r->w * r->h * 4; i++)
		sum = (uint8_t)(sum + p[i]);
}

void xs_again(struct guid *g, struct win *w, const struct rect *r)
{
	in_image(w, r);
}

uint32_t xs_idle_ms(struct guid *g)
{
	return dice() % 3000;
}

int xs_chord(struct guid *g, uint32_t state, uint32_t keycode)
{
	return keycode % 8 == 1 ? 1 : keycode % 8 == 2 ? 2 : 0;
}

/* What is true after every message. */
static void invariants(struct guid *g)
{
	unsigned n = 0, ghosts = 0, docked = 0, late = 0;
	uint64_t area = 0, pixels = 0;

	for (struct win *w = g->wins; w; w = w->hh.next) {
		struct frame f = win_frame(w);
		struct rect out = frame_outer(&f, &w->in);

		if (w->ghost) {
			must(!w->outer && !w->mapped);
			ghosts++;
			continue;
		}
		n++;
		docked += w->docked;
		late += w->late;
		must(win_by_x(g, w->inner) == w && win_find(g, w->id) == w);
		if (w->image && g->bar_size == 0)
			pixels += (uint64_t)w->img_w * w->img_h;
		if (!w->override || !w->mapped)
			continue;
		must(!w->docked);
		if (!rect_meets(&out, &g->work))
			continue;
		must(inside(&out, &g->work));
		area += rect_area(&out);
	}
	must(n == g->n_wins && ghosts == g->n_ghosts && docked == g->n_docked && late == g->n_late && pixels == g->stream_pixels);
	must(pixels <= GUID_STREAM_PIXELS && area <= rect_area(&g->root));
	must(n <= g->o.windows_count_limit && ghosts <= GUID_GHOSTS_MAX);
}

static void input(struct guid *g, struct win *w)
{
	uint8_t keys[32] = { 1, 2, 3 };
	struct gui_keypress key = { .type = 2 + dice() % 2, .keycode = dice() % 32 };
	struct gui_button button = { .type = 4 };
	struct gui_motion motion = { .x = 1 };
	struct gui_crossing crossing = { .type = 7 };
	struct gui_focus focus = { .type = 9 + dice() % 2 };

	host_focus(g, w, &focus, focus.type == 9 ? keys : NULL);
	host_key(g, w, &key, dice());
	host_button(g, w, &button, dice());
	host_motion(g, w, &motion);
	host_crossing(g, w, &crossing);
}

static void clipd(struct guid *g)
{
	uint8_t buf[64] = { 0 };
	struct wr w = wr_mem(buf, sizeof buf);

	wr_u32le(&w, dice() % 40);
	(void)!clip_message(g, DESK_GIVE, rd_mem(buf, 4));
	(void)!clip_message(g, DESK_DATA, rd_mem(buf, 1 + dice() % 40));
	if (dice() % 4 == 0)
		(void)!clip_message(g, DESK_REFUSED, rd_mem(buf, 4));
	must(clip_message(g, DESK_COPY, rd_mem(buf, 12)) == -EBADMSG);
}

static void host(struct guid *g, struct win *w)
{
	struct rect r = { (int32_t)(dice() % 3000) - 1000, (int32_t)(dice() % 3000) - 1000, dice() % 2000, dice() % 2000 };
	bool on = dice() % 2;

	if (w->conf_out && dice() % 4 == 0) {
		/* An agent answers with the same place. */
		win_configure(g, w, &(struct gui_configure){ w->told.x, w->told.y, w->told.w, w->told.h, 0, 0 });
		return;
	}
	switch (dice() % 9) {
	case 0:
	case 1:
		if (w->mapped && !w->override)
			host_geometry(g, w, &r);
		break;
	case 2:
	case 3:
		pix_done(g, w);
		break;
	case 4:
		input(g, w);
		break;
	case 5:
		if (w->mapped && !w->docked)
			host_state(g, w, on && g->o.allow_fullscreen && !w->override, dice() % 2, dice() % 2);
		break;
	case 6:
		if (on)
			r = (struct rect){ (int32_t)(dice() % 20), 0, 5000, 5000 };
		pix_show(g, w, &r);
		break;
	case 7:
		host_close(g, w);
		clipd(g);
		break;
	default:
		if (dice() % 8 == 0)
			host_lost(g, w);
		else if (dice() % 8 == 0)
			host_screen(g, &(struct rect){ 0, 0, 500 + dice() % 2000, 500 + dice() % 2000 }, &(struct rect){ 0, 0, 500, 400 });
	}
}

static void start(struct guid *g, uint8_t mode)
{
	guid_init(g);
	memcpy(g->name, "fuzz", 5);
	g->label = 1;
	g->random = dice;
	g->bar_size = mode & 1 ? BAR : 0;
	g->o.allow_utf8_titles = mode & 2;
	g->o.allow_fullscreen = mode & 4;
	g->o.events_max_delay = mode & 8 ? 50 : 0;
	g->o.windows_count_limit = mode & 16 ? 3 : 500;
	g->o.paste_guard_ms = 0;
	g->now_ms = 1000;
	host_screen(g, &(struct rect){ 0, 0, 1400, 1000 }, &(struct rect){ 0, 20, 1400, 960 });
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guid g;

	log_set_level(LOG_L_ERROR);
	if (size < 1)
		return 0;
	next_id = 0;
	seed = data[0];
	start(&g, data[0]);
	data++;
	size--;
	while (g.ended < 0) {
		ssize_t used = agent_feed(&g, data, size, 1);
		unsigned n = HASH_COUNT(g.wins), pick;
		struct win *w = g.wins;

		if (used < 0)
			break;
		invariants(&g);
		if (dice() % 16 == 0)
			g.now_ms += dice() % 400;
		guid_tick(&g);
		for (pick = n ? dice() % n : 0; w && pick; pick--)
			w = w->hh.next;
		if (w && !w->ghost)
			host(&g, w);
		invariants(&g);
		must(guid_wait_ms(&g) >= -1);
		if (g.out.len > 65536)
			wr_consume(&g.out, g.out.len);
		if (used == 0)
			break;
		data += used;
		size -= (size_t)used;
	}
	guid_fini(&g);
	return 0;
}
