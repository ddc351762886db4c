/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Windows of the qube: which there are, where they may be, and who decides. The rules themselves are in check.c. */
#include "gui/guid/host.h"
#include "gui/guid/pixels.h"
#include "gui/guid/xs.h"

struct win *win_find(struct guid *g, uint32_t id)
{
	struct win *w;

	HASH_FIND(hh, g->wins, &id, sizeof id, w);
	return w;
}

struct win *win_by_x(struct guid *g, uint32_t xid)
{
	for (struct win *w = g->wins; xid && w; w = w->hh.next)
		if (w->outer == xid || w->inner == xid || w->strip == xid)
			return w;
	return NULL;
}

struct frame win_frame(const struct win *w)
{
	return frame_of(!w->override, w->docked, w->fullscreen, w->in.w);
}

int win_create(struct guid *g, uint32_t id, const struct gui_create *m)
{
	struct win *w;

	if (win_find(g, id))
		return -EBADMSG;
	if (g->n_wins >= g->o.windows_count_limit && g->n_ghosts >= GUID_GHOSTS_MAX)
		return -EBADMSG;
	w = xcalloc(1, sizeof *w);
	w->id = id;
	w->ghost = g->n_wins >= g->o.windows_count_limit;
	w->in = (struct rect){ m->x, m->y, m->w, m->h };
	if (!check_place(&w->in))
		clip_notice(g, DESK_N_REQUEST);
	w->told = w->in;
	HASH_ADD(hh, g->wins, id, sizeof w->id, w);
	if (w->ghost) {
		g->n_ghosts++;
		clip_notice(g, DESK_N_WINDOWS);
		return 0;
	}
	g->n_wins++;
	/* The parent that the qube names means nothing here: no window of a qube lies in another one. */
	xs_create(g, w);
	return 0;
}

static void forget(struct guid *g, struct win *w)
{
	if (w->ghost) {
		g->n_ghosts--;
	} else {
		g->n_wins--;
		g->n_late -= w->late;
		g->n_docked -= w->docked;
		if (g->bar_size == 0 && w->image)
			g->stream_pixels -= (uint64_t)w->img_w * w->img_h;
		xs_destroy(g, w);
	}
	HASH_DEL(g->wins, w);
	free(w);
}

void win_destroy(struct guid *g, struct win *w)
{
	static const struct gui_destroy m;
	uint32_t id = w->id;

	for (struct win *o = g->wins; o; o = o->hh.next)
		if (o->transient == id && !o->ghost) {
			o->transient = 0;
			xs_transient(g, o, NULL);
		}
	forget(g, w);
	if ((g->version & 0xffff) >= 5) {
		gui_put_destroy(&g->out, id, &m);
		out_check(g);
	}
}

void guid_fini(struct guid *g)
{
	while (g->wins)
		forget(g, g->wins);
	wr_free(&g->out);
	wr_free(&g->clip.in);
	wr_free(&g->clip.out);
	free(g->delayed);
	g->delayed = NULL;
}

/* What the qube's other menus cover. */
static uint64_t covered(struct guid *g, const struct win *but)
{
	uint64_t sum = 0;

	for (struct win *w = g->wins; w; w = w->hh.next)
		if (w != but && w->mapped && w->override) {
			struct frame f = win_frame(w);
			struct rect out = frame_outer(&f, &w->in);

			if (rect_meets(&out, &g->work))
				sum += rect_area(&out);
		}
	return sum;
}

/* May w be without a window manager, at this place? */
static bool may_override(struct guid *g, const struct win *w, const struct rect *in)
{
	struct frame f = frame_of(false, false, false, in->w);
	struct rect out = frame_outer(&f, in);

	if (g->o.override_redirect != OR_ALLOW || w->docked)
		return false;
	if (!g->o.override_redirect_protection)
		return true;
	if (check_override(&out, &g->work, covered(g, w)))
		return true;
	clip_notice(g, DESK_N_OVERRIDE);
	return false;
}

/* Brings a place for a menu inside of the work area, frame and all. */
static void on_screen(struct guid *g, struct rect *in)
{
	struct frame f = frame_of(false, false, false, in->w);
	struct rect out = frame_outer(&f, in);

	if (g->o.override_redirect_protection && check_on_screen(&out, &g->work))
		(void)frame_inner(&f, &out, in);
}

static void place_override(struct guid *g, struct win *w, const struct rect *in)
{
	w->in = *in;
	on_screen(g, &w->in);
	xs_place(g, w, true);
	win_tell_place(g, w);
}

/* A new window of a qube in which nobody works must not catch what is being typed elsewhere. */
static bool no_focus(struct guid *g)
{
	for (struct win *w = g->wins; w; w = w->hh.next)
		if (w->focused)
			return false;
	return g->o.focus_guard_ms && xs_idle_ms(g) < g->o.focus_guard_ms;
}

static void map_now(struct guid *g, struct win *w)
{
	w->mapped = true;
	if (w->override)
		place_override(g, w, &w->in);
	else
		xs_place(g, w, true);
	xs_map(g, w, rate_ok(&g->raise, g->now_ms, 50, 5000), !w->override && no_focus(g));
}

void win_map(struct guid *g, struct win *w, const struct gui_map *m)
{
	struct win *of = m->transient_for ? win_find(g, m->transient_for) : NULL;

	if (w->ghost || w->mapped || w->docked || w->late)
		return;
	w->override = m->override_redirect != 0 && may_override(g, w, &w->in);
	w->fullscreen = false;
	/* Only a window of the same qube, which all ids here are. */
	w->transient = of && of != w && !of->ghost ? of->id : 0;
	xs_transient(g, w, w->transient ? of : NULL);
	if (!rate_ok(&g->mapping, g->now_ms, 100, 5000)) {
		w->late = true;
		g->n_late++;
		clip_notice(g, DESK_N_ATTENTION);
		return;
	}
	map_now(g, w);
}

void win_late(struct guid *g)
{
	for (struct win *w = g->wins; g->n_late && w; w = w->hh.next) {
		if (!w->late)
			continue;
		if (!rate_ok(&g->mapping, g->now_ms, 100, 5000))
			return;
		w->late = false;
		g->n_late--;
		/* Others may have come meanwhile. */
		w->override = w->override && may_override(g, w, &w->in);
		map_now(g, w);
	}
}

void win_unmap(struct guid *g, struct win *w)
{
	if (w->ghost)
		return;
	if (w->late) {
		w->late = false;
		g->n_late--;
	}
	if (w->mapped) {
		w->mapped = w->focused = w->fullscreen = false;
		xs_unmap(g, w);
	}
	if (w->id != 0)
		pix_drop(g, w);
}

void win_tell_place(struct guid *g, struct win *w)
{
	struct gui_configure m = { w->in.x, w->in.y, w->in.w, w->in.h, w->override, 0 };

	if (w->conf_out || rect_eq(&w->in, &w->told))
		return;
	w->told = w->in;
	w->conf_out = true;
	gui_put_configure(&g->out, w->id, &m);
	out_check(g);
}

static void tell_again(struct guid *g, struct win *w)
{
	w->conf_out = false;
	w->told = (struct rect){ 0 };
	win_tell_place(g, w);
}

/* The qube wants w at in, and nothing is under way. */
static void place_wish(struct guid *g, struct win *w, const struct rect *in)
{
	struct rect was = w->in;
	bool move = in->x != was.x || in->y != was.y;

	w->told = *in;
	if (w->docked) {
		win_tell_place(g, w);
		return;
	}
	if (w->override && w->mapped && !may_override(g, w, in)) {
		win_tell_place(g, w);
		return;
	}
	if (w->override) {
		place_override(g, w, in);
		return;
	}
	w->in = *in;
	if (!w->mapped) {
		xs_place(g, w, true);
		return;
	}
	/* A request to the window manager; what comes of it host_geometry is told. */
	if (!w->fullscreen)
		xs_place(g, w, move);
	w->in = was;
}

void win_configure(struct guid *g, struct win *w, const struct gui_configure *m)
{
	struct rect in = { m->x, m->y, m->w, m->h };
	bool sane = check_place(&in);

	if (w->ghost)
		return;
	if (!sane) {
		clip_notice(g, DESK_N_REQUEST);
		return;
	}
	if (!w->conf_out) {
		if (rect_eq(&in, &w->in))
			w->told = in;
		else
			place_wish(g, w, &in);
		return;
	}
	if (!rect_eq(&in, &w->told)) {
		/* Something older, or a window that resists: the host wins. */
		tell_again(g, w);
		return;
	}
	w->conf_out = false;
	win_tell_place(g, w);
}

static void want_full(struct guid *g, struct win *w, bool on)
{
	if (g->o.allow_fullscreen || (!on && w->fullscreen)) {
		xs_state(g, w, XS_FULLSCREEN, on);
		return;
	}
	if (on)
		clip_notice(g, DESK_N_FULLSCREEN);
	w->wants_full = on;
	xs_state(g, w, XS_MAXIMIZED, on);
}

void win_flags(struct guid *g, struct win *w, const struct gui_window_flags *m)
{
	uint32_t set = m->set, unset = m->unset;
	bool full = (set | unset) & GUI_FLAG_FULLSCREEN;

	if (!check_flags(&set, &unset)) {
		clip_notice(g, DESK_N_REQUEST);
		return;
	}
	if (w->ghost || w->override || w->docked)
		return;
	if ((set & GUI_FLAG_ATTENTION) && !rate_ok(&g->attention, g->now_ms, 5, 10000)) {
		clip_notice(g, DESK_N_ATTENTION);
		set &= ~GUI_FLAG_ATTENTION;
	}
	/* Leaving fullscreen is always allowed. */
	if ((((set & GUI_FLAG_FULLSCREEN) && full) || (set & GUI_FLAG_MINIMIZE)) && !rate_ok(&g->state, g->now_ms, 8, 4000)) {
		clip_notice(g, DESK_N_ATTENTION);
		set &= ~(GUI_FLAG_FULLSCREEN | GUI_FLAG_MINIMIZE);
	}
	if ((set | unset) & GUI_FLAG_ATTENTION)
		xs_state(g, w, XS_ATTENTION, set & GUI_FLAG_ATTENTION);
	if ((set | unset) & GUI_FLAG_FULLSCREEN)
		want_full(g, w, set & GUI_FLAG_FULLSCREEN);
	if ((set & GUI_FLAG_MINIMIZE) && w->mapped)
		xs_iconify(g, w);
}

void win_dock(struct guid *g, struct win *w)
{
	if (w->ghost || w->docked)
		return;
	if (w->mapped || w->late) {
		clip_notice(g, DESK_N_REQUEST);
		return;
	}
	if (g->n_docked >= GUID_TRAY_MAX) {
		clip_notice(g, DESK_N_TRAY);
		return;
	}
	g->n_docked++;
	w->docked = w->mapped = true;
	w->override = false;
	xs_dock(g, w);
}

void win_tell_flags(struct guid *g, struct win *w, uint32_t flags)
{
	struct gui_window_flags m = { flags & ~w->told_flags, w->told_flags & ~flags, 0 };

	if (flags == w->told_flags)
		return;
	w->told_flags = flags;
	gui_put_window_flags(&g->out, w->id, &m);
	out_check(g);
}

/* Was w on the screen, and is not on the new one at all? Then *ret is a place where it is. */
static bool left_outside(struct guid *g, const struct win *w, const struct rect *was, struct rect *ret)
{
	struct frame f = win_frame(w);
	struct rect out = frame_outer(&f, &w->in);

	if (!rect_meets(&out, was) || rect_meets(&out, &g->root))
		return false;
	check_bring(&out, &g->work);
	(void)frame_inner(&f, &out, ret);
	return true;
}

/* Window managers bring back what a smaller screen has left outside; not all of them do, and there may be none. */
static void refit_managed(struct guid *g, struct win *w, const struct rect *screen_was)
{
	struct rect in, was = w->in;

	if (!left_outside(g, w, screen_was, &in))
		return;
	w->in = in;
	xs_place(g, w, true);
	w->in = was;
}

void win_refit(struct guid *g, const struct rect *was)
{
	for (struct win *w = g->wins; w; w = w->hh.next) {
		struct rect in = w->in;

		if (!w->mapped || w->docked)
			continue;
		if (!w->override) {
			refit_managed(g, w, was);
			continue;
		}
		if (!left_outside(g, w, was, &in))
			on_screen(g, &in);
		if (!rect_eq(&in, &w->in))
			place_override(g, w, &in);
	}
}
