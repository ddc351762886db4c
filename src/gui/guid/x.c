/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The connection: atoms, shared memory, keyboard, work area. All of it happens before the sandbox closes, but for answers to later changes. */
#include "gui/guid/x.h"

#include <fcntl.h>
#include <xcb/xcbext.h>
#include <xkbcommon/xkbcommon.h>

#include "base/str.h"

static const char *const atom_names[] = {
#define A(name) #name,
	X_ATOMS(A)
#undef A
};

static int atoms(struct xs *x, struct err *e)
{
	xcb_intern_atom_cookie_t cookies[A_N + 1];
	char tray[40];

	(void)!str_printf(tray, sizeof tray, "_NET_SYSTEM_TRAY_S%d", x->screen);
	for (size_t i = 0; i < A_N; i++)
		cookies[i] = xcb_intern_atom(x->c, 0, (uint16_t)strlen(atom_names[i]), atom_names[i]);
	cookies[A_N] = xcb_intern_atom(x->c, 0, (uint16_t)strlen(tray), tray);
	for (size_t i = 0; i <= A_N; i++) {
		_cleanup_free_ xcb_intern_atom_reply_t *r = xcb_intern_atom_reply(x->c, cookies[i], NULL);

		if (!r)
			return err_set(e, EIO, "the X server gives no atom");
		if (i < A_N)
			x->atom[i] = r->atom;
		else
			x->tray_sel = r->atom;
	}
	return 0;
}

/* Windows are drawn in 24 bits with red in the third byte, as the qube's pixels are. */
static int visual(struct xs *x, struct err *e)
{
	for (xcb_depth_iterator_t d = xcb_screen_allowed_depths_iterator(x->s); d.rem; xcb_depth_next(&d))
		for (xcb_visualtype_iterator_t v = xcb_depth_visuals_iterator(d.data); v.rem; xcb_visualtype_next(&v))
			if (v.data->visual_id == x->s->root_visual && d.data->depth == 24 && v.data->red_mask == 0xff0000 && v.data->blue_mask == 0xff)
				return 0;
	return err_set(e, ENOTSUP, "the X server's screen has not 24 bits a pixel (red first): guid cannot show windows on it");
}

/* A server on another machine, or behind a proxy: the agent is told to send its pixels. */
static int no_memory(struct guid *g, const char *why)
{
	log_warn("the X server %s; pixels come as a stream, which is slower", why);
	g->bar_size = 0;
	return 0;
}

static int shared_memory(struct guid *g, int bar_fd, struct err *e)
{
	struct xs *x = g->xs;
	const xcb_query_extension_reply_t *ext = xcb_get_extension_data(x->c, &xcb_shm_id);
	_cleanup_free_ xcb_shm_query_version_reply_t *v = NULL;
	_cleanup_free_ xcb_generic_error_t *bad = NULL;
	int copy;

	if (bar_fd < 0)
		return 0;
	v = ext && ext->present ? xcb_shm_query_version_reply(x->c, xcb_shm_query_version(x->c), NULL) : NULL;
	if (!v || v->major_version < 1 || (v->major_version == 1 && v->minor_version < 2))
		return no_memory(g, "has no MIT-SHM 1.2");
	x->shm_event = ext->first_event;
	x->shm_major = ext->major_opcode;
	/* The library closes what it sends. */
	copy = fcntl(bar_fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return err_errno(e, errno, "copy of the descriptor of the pixel memory");
	x->seg = xcb_generate_id(x->c);
	bad = xcb_request_check(x->c, xcb_shm_attach_fd_checked(x->c, x->seg, copy, 1));
	return bad ? no_memory(g, "does not take the memory for pixels") : 0;
}

void x_keyboard(struct xs *x)
{
	const xcb_setup_t *setup = xcb_get_setup(x->c);
	uint8_t n = (uint8_t)(setup->max_keycode - setup->min_keycode + 1);
	_cleanup_free_ xcb_get_keyboard_mapping_reply_t *r =
		xcb_get_keyboard_mapping_reply(x->c, xcb_get_keyboard_mapping(x->c, setup->min_keycode, n), NULL);
	size_t total;

	if (!r || r->keysyms_per_keycode == 0)
		return;
	total = (size_t)xcb_get_keyboard_mapping_keysyms_length(r);
	free(x->syms);
	x->syms = xcalloc(MAX(total, (size_t)1), sizeof *x->syms);
	memcpy(x->syms, xcb_get_keyboard_mapping_keysyms(r), total * sizeof *x->syms);
	x->min_code = setup->min_keycode;
	x->per_code = r->keysyms_per_keycode;
	x->n_codes = (unsigned)(total / x->per_code);
}

static bool has_sym(const struct xs *x, uint32_t code, uint32_t sym)
{
	if (sym == 0 || code < x->min_code || code - x->min_code >= x->n_codes)
		return false;
	for (unsigned i = 0; i < x->per_code; i++)
		if (x->syms[(code - x->min_code) * x->per_code + i] == sym)
			return true;
	return false;
}

int xs_chord(struct guid *g, uint32_t state, uint32_t keycode)
{
	/* Caps Lock and Num Lock do not count, unless a chord asks for Mod2. */
	const struct chord *copy = &g->o.secure_copy_sequence, *paste = &g->o.secure_paste_sequence;
	uint32_t mods = state & 0xed;

	if (copy->mods && (mods | (state & copy->mods & 16)) == copy->mods && has_sym(g->xs, keycode, g->xs->copy_sym))
		return 1;
	if (paste->mods && (mods | (state & paste->mods & 16)) == paste->mods && has_sym(g->xs, keycode, g->xs->paste_sym))
		return 2;
	return 0;
}

static int chord_sym(uint32_t *ret, const struct chord *c, struct err *e)
{
	*ret = c->key[0] ? xkb_keysym_from_name(c->key, XKB_KEYSYM_NO_FLAGS) : 0;
	return c->key[0] && *ret == XKB_KEY_NoSymbol ? err_set(e, EINVAL, "no key has the name '%s'", c->key) : 0;
}

void x_work_area(struct guid *g)
{
	struct xs *x = g->xs;
	_cleanup_free_ xcb_get_geometry_reply_t *geo = xcb_get_geometry_reply(x->c, xcb_get_geometry(x->c, x->s->root), NULL);
	_cleanup_free_ xcb_get_property_reply_t *p =
		xcb_get_property_reply(x->c, xcb_get_property(x->c, 0, x->s->root, x->atom[A__NET_WORKAREA], XCB_ATOM_CARDINAL, 0, 4), NULL);
	struct rect root = { 0, 0, geo ? geo->width : x->s->width_in_pixels, geo ? geo->height : x->s->height_in_pixels }, work = root;

	if (p && p->format == 32 && xcb_get_property_value_length(p) == 16) {
		struct rd r = rd_mem(xcb_get_property_value(p), 16);
		uint32_t v[4] = { rd_u32le(&r), rd_u32le(&r), rd_u32le(&r), rd_u32le(&r) };

		if (v[0] < root.w && v[1] < root.h && v[2] && v[3] && v[2] <= root.w - v[0] && v[3] <= root.h - v[1])
			work = (struct rect){ (int32_t)v[0], (int32_t)v[1], v[2], v[3] };
	}
	host_screen(g, &root, &work);
}

/* A request of MIT-SCREEN-SAVER, of which we need this one. */
static xcb_extension_t saver_id = { "MIT-SCREEN-SAVER", 0 };

static uint32_t untouched_ms(struct guid *g)
{
	struct xs *x = g->xs;
	const xcb_query_extension_reply_t *ext = xcb_get_extension_data(x->c, &saver_id);
	const xcb_protocol_request_t req = { .count = 2, .ext = &saver_id, .opcode = 1 };
	uint8_t body[8] = { 0 };
	struct wr w = wr_mem(body + 4, 4);
	struct iovec parts[4] = { { 0 }, { 0 }, { body, sizeof body }, { NULL, 0 } };
	_cleanup_free_ void *reply = NULL;
	struct rd r;

	if (!ext || !ext->present)
		return UINT32_MAX;
	wr_u32le(&w, x->s->root);
	reply = xcb_wait_for_reply(x->c, xcb_send_request(x->c, XCB_REQUEST_CHECKED, parts + 2, &req), NULL);
	if (!reply)
		return UINT32_MAX;
	r = rd_mem(reply, 32);
	rd_skip(&r, 16); /* header, window, time until the saver starts */
	return rd_u32le(&r);
}

/* When somebody typed or clicked in a window its owner says so (EWMH); a click on a panel or a menu of the desktop is not work in it. Times of the X server are
   the monotonic clock in milliseconds. */
uint32_t xs_idle_ms(struct guid *g)
{
	uint32_t idle = untouched_ms(g), active = x_word(g->xs, g->xs->s->root, A__NET_ACTIVE_WINDOW), other, time;

	_cleanup_free_ xcb_get_window_attributes_reply_t *there = NULL;

	/* Some window managers go on naming one that has ended, whose number may be one of ours by now. */
	if (active && !win_by_x(g, active))
		there = xcb_get_window_attributes_reply(g->xs->c, xcb_get_window_attributes(g->xs->c, active), NULL);
	if (!there)
		return UINT32_MAX;
	other = x_word(g->xs, active, A__NET_WM_USER_TIME_WINDOW);
	time = x_word(g->xs, other ? other : active, A__NET_WM_USER_TIME);
	return time ? MAX(idle, (uint32_t)g->now_ms - time) : idle;
}

bool x_alive(const struct xs *x)
{
	return xcb_connection_has_error(x->c) == 0;
}

int x_open(struct guid *g, int bar_fd, struct err *e)
{
	struct xs *x = xcalloc(1, sizeof *x);
	uint32_t mask = XCB_EVENT_MASK_STRUCTURE_NOTIFY | XCB_EVENT_MASK_SUBSTRUCTURE_NOTIFY | XCB_EVENT_MASK_PROPERTY_CHANGE;
	int r;

	g->xs = x;
	x->c = xcb_connect(NULL, &x->screen);
	if (!x_alive(x))
		return err_set(e, ECONNREFUSED, "no X server at display '%s'", getenv("DISPLAY") ? getenv("DISPLAY") : "");
	xcb_screen_iterator_t it = xcb_setup_roots_iterator(xcb_get_setup(x->c));
	for (int i = 0; i < x->screen && it.rem; i++)
		xcb_screen_next(&it);
	x->s = it.data;
	x->max_request = (size_t)xcb_get_maximum_request_length(x->c) * 4;
	xcb_prefetch_extension_data(x->c, &saver_id);
	x->pid = (uint32_t)getpid();
	if (gethostname(x->host, sizeof x->host - 1) < 0)
		x->host[0] = '\0';
	r = visual(x, e);
	if (r == 0)
		r = atoms(x, e);
	if (r == 0)
		r = chord_sym(&x->copy_sym, &g->o.secure_copy_sequence, e);
	if (r == 0)
		r = chord_sym(&x->paste_sym, &g->o.secure_paste_sequence, e);
	if (r == 0)
		r = shared_memory(g, bar_fd, e);
	if (r == 0)
		r = x_draw_open(g, e);
	if (r < 0)
		return r;
	xcb_change_window_attributes(x->c, x->s->root, XCB_CW_EVENT_MASK, &mask);
	x_keyboard(x);
	x_work_area(g);
	x_lock_scan(g);
	x_tray_find(g);
	(void)untouched_ms(g);
	return x_alive(x) ? 0 : err_set(e, EPIPE, "the X server is gone");
}
