/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Monitors as the host has them: a mode of each size (QBwxh) on the outputs of the dummy driver, side by side as told. And the scale of the host's screens, as
 * the number of dots that programs take an inch for.
 */
#include <xcb/randr.h>

#include "agent/gui/agent.h"
#include "base/log.h"
#include "base/str.h"

#define SIZE_LEAST 64u
#define SIZE_MOST 32767u
#define DPI 96u
#define RESOURCES_MAX 65536u

typedef xcb_randr_get_screen_resources_current_reply_t resources;

static uint32_t find_mode(const resources *r, const char *name)
{
	const uint8_t *names = xcb_randr_get_screen_resources_current_names(r);
	xcb_randr_mode_info_iterator_t it = xcb_randr_get_screen_resources_current_modes_iterator(r);

	for (; it.rem; xcb_randr_mode_info_next(&it)) {
		if (it.data->name_len == strlen(name) && memcmp(names, name, it.data->name_len) == 0)
			return it.data->id;
		names += it.data->name_len;
	}
	return 0;
}

static uint32_t get_mode(struct agent *a, const resources *r, uint32_t w, uint32_t h)
{
	xcb_randr_mode_info_t m = { .width = (uint16_t)w, .height = (uint16_t)h };
	char name[32];
	uint32_t id;

	(void)!str_printf(name, sizeof name, "QB%ux%u", w, h);
	id = find_mode(r, name);
	if (id)
		return id;
	m.hsync_start = (uint16_t)w;
	m.hsync_end = m.htotal = (uint16_t)(w + 1);
	m.vsync_start = (uint16_t)h;
	m.vsync_end = m.vtotal = (uint16_t)(h + 1);
	m.dot_clock = 60u * m.htotal * m.vtotal;
	m.name_len = (uint16_t)strlen(name);
	_cleanup_free_ xcb_randr_create_mode_reply_t *made =
		xcb_randr_create_mode_reply(a->x, xcb_randr_create_mode(a->x, a->root, m, m.name_len, name), NULL);

	return made ? made->mode : 0;
}

static bool set_crtc(struct agent *a, uint32_t crtc, uint32_t mode, const struct monitor *m, uint32_t output)
{
	xcb_randr_set_crtc_config_cookie_t c = xcb_randr_set_crtc_config(a->x, crtc, XCB_CURRENT_TIME, XCB_CURRENT_TIME, m ? (int16_t)m->x : 0,
									 m ? (int16_t)m->y : 0, mode, XCB_RANDR_ROTATION_ROTATE_0, mode ? 1 : 0, &output);
	_cleanup_free_ xcb_randr_set_crtc_config_reply_t *r = xcb_randr_set_crtc_config_reply(a->x, c, NULL);

	return r && r->status == XCB_RANDR_SET_CONFIG_SUCCESS;
}

static struct monitor bounds(const struct monitor *v, size_t n)
{
	struct monitor all = { 0 };

	for (size_t i = 0; i < n; i++) {
		all.w = MAX(all.w, v[i].x + v[i].w);
		all.h = MAX(all.h, v[i].y + v[i].h);
		all.w_mm = MAX(all.w_mm, v[i].w_mm);
		all.h_mm = MAX(all.h_mm, v[i].h_mm);
	}
	return all;
}

static bool sane(const struct monitor *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].w < SIZE_LEAST || v[i].h < SIZE_LEAST || v[i].w > SIZE_MOST || v[i].h > SIZE_MOST || v[i].x > SIZE_MOST || v[i].y > SIZE_MOST ||
		    v[i].x + v[i].w > SIZE_MOST || v[i].y + v[i].h > SIZE_MOST)
			return false;
	return n >= 1 && n <= MONITORS_MAX;
}

/* In this order: a screen may only shrink when no monitor lies outside of the new one. */
static int set_all(struct agent *a, const resources *r, const struct monitor *v, size_t n)
{
	const xcb_randr_output_t *out = xcb_randr_get_screen_resources_current_outputs(r);
	const xcb_randr_crtc_t *crtc = xcb_randr_get_screen_resources_current_crtcs(r);
	int n_crtc = xcb_randr_get_screen_resources_current_crtcs_length(r);
	struct monitor all = bounds(v, n);
	uint32_t modes[MONITORS_MAX];
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		modes[i] = get_mode(a, r, v[i].w, v[i].h);
		if (!modes[i])
			return -EINVAL;
		xcb_randr_add_output_mode(a->x, out[i], modes[i]);
	}
	for (int i = 0; i < n_crtc; i++)
		(void)set_crtc(a, crtc[i], 0, NULL, 0);
	/* millimetres that a host does not tell: as many as make the usual number of dots */
	xcb_randr_set_screen_size(a->x, a->root, (uint16_t)all.w, (uint16_t)all.h, all.w * 254 / 10 / DPI, all.h * 254 / 10 / DPI);
	for (size_t i = 0; i < n; i++)
		ok = set_crtc(a, crtc[i], modes[i], &v[i], out[i]) && ok;
	return ok ? 0 : -EIO;
}

int layout_set(struct agent *a, const struct monitor *v, size_t n, struct err *e)
{
	int r;

	if (!sane(v, n))
		return err_set(e, EINVAL, "a layout has 1 to %d monitors of %u to %u dots", MONITORS_MAX, SIZE_LEAST, SIZE_MOST);
	if (!a->has_randr)
		return err_set(e, ENOTSUP, "this X server has no RandR");
	_cleanup_free_ resources *res =
		xcb_randr_get_screen_resources_current_reply(a->x, xcb_randr_get_screen_resources_current(a->x, a->root), NULL);

	if (!res || (size_t)xcb_randr_get_screen_resources_current_outputs_length(res) < n ||
	    (size_t)xcb_randr_get_screen_resources_current_crtcs_length(res) < n)
		return err_set(e, ENOTSUP, "this X server has fewer outputs");
	xcb_grab_server(a->x);
	r = set_all(a, res, v, n);
	xcb_ungrab_server(a->x);
	if (r < 0)
		log_warn("the X server does not take the layout of %zu monitors, the first %ux%u", n, v[0].w, v[0].h);
	if (r < 0)
		return err_set(e, -r, "the X server does not take this layout");
	a->told_w = bounds(v, n).w;
	a->told_h = bounds(v, n).h;
	/* millimetres are told only where things should be drawn larger, and rounded by the one who tells them; once more here, so that nothing can be
	   read from them */
	if (v[0].w_mm)
		scale_set(a, (v[0].w * 254 * 4 / (v[0].w_mm * DPI) + 5) / 10 * 250);
	return 0;
}

void layout_screen(struct agent *a, uint32_t w, uint32_t h)
{
	const struct monitor one = { .w = w, .h = h };

	/* the greeting's width is rounded up */
	if ((a->told_w + 7) / 8 != (w + 7) / 8 || a->told_h != h)
		(void)!layout_set(a, &one, 1, NULL);
}

/* The line about dots in the database of resources is replaced, the rest stays. */
void scale_set(struct agent *a, uint32_t thousandths)
{
	static const char key[] = "Xft.dpi:";
	struct wr w = wr_grow(RESOURCES_MAX + 64);
	size_t n;
	_cleanup_free_ uint8_t *old = x_prop(a, a->root, XCB_ATOM_RESOURCE_MANAGER, XCB_ATOM_STRING, RESOURCES_MAX, &n, NULL);
	struct rd r = rd_mem(old ? old : (const uint8_t *)"", old ? n : 0), line;

	if (thousandths < 500 || thousandths > 8000)
		return;
	while (rd_line(&r, &line)) {
		if (rd_left(&line) >= sizeof key - 1 && memcmp(line.p, key, sizeof key - 1) == 0)
			continue;
		wr_bytes(&w, line.p, rd_left(&line));
		wr_u8(&w, '\n');
	}
	wr_printf(&w, "%s\t%u\n", key, (DPI * thousandths + 500) / 1000);
	if (wr_ok(&w))
		xcb_change_property(a->x, XCB_PROP_MODE_REPLACE, a->root, XCB_ATOM_RESOURCE_MANAGER, XCB_ATOM_STRING, 8, (uint32_t)w.len, w.buf);
	wr_free(&w);
}
