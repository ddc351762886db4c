/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decoding of guid's messages. */
#include "agent/gui/hostmsg.h"

#define PRESS 2u
#define RELEASE 3u
#define BUTTON_PRESS 4u
#define BUTTON_RELEASE 5u
#define ENTER 7u
#define LEAVE 8u
#define FOCUS_IN 9u
#define FOCUS_OUT 10u
#define SIZE_MAX_X 32767u

/* Positions of X have 16 bits. */
static bool place_ok(int32_t x, int32_t y)
{
	return x >= -32768 && x <= 32767 && y >= -32768 && y <= 32767;
}

static bool input_ok(const struct hostmsg *m)
{
	switch (m->type) {
	case GUI_KEYPRESS:
		return (m->u.key.type == PRESS || m->u.key.type == RELEASE) && m->u.key.keycode >= 8 && m->u.key.keycode <= 255 && place_ok(m->u.key.x, m->u.key.y);
	case GUI_BUTTON:
		return (m->u.button.type == BUTTON_PRESS || m->u.button.type == BUTTON_RELEASE) && m->u.button.button >= 1 && m->u.button.button <= 255 &&
		       place_ok(m->u.button.x, m->u.button.y);
	case GUI_MOTION:
		return place_ok(m->u.motion.x, m->u.motion.y);
	case GUI_CROSSING:
		return (m->u.crossing.type == ENTER || m->u.crossing.type == LEAVE) && place_ok(m->u.crossing.x, m->u.crossing.y);
	case GUI_FOCUS:
		return m->u.focus.type == FOCUS_IN || m->u.focus.type == FOCUS_OUT;
	default:
		return true;
	}
}

static bool sense(const struct hostmsg *m)
{
	const struct gui_configure *c = &m->u.configure;

	if (m->type == GUI_CONFIGURE)
		return place_ok(c->x, c->y) && c->w >= 1 && c->w <= SIZE_MAX_X && c->h >= 1 && c->h <= SIZE_MAX_X;
	if (m->type == GUI_WINDOW_FLAGS)
		return (m->u.flags.set & m->u.flags.unset) == 0;
	if (m->type == GUI_HOST_HELLO)
		return m->u.hello.version >= GUI_HELLO_VERSION && m->u.hello.bar_mib <= 65536;
	return input_ok(m);
}

static int decode(struct hostmsg *m, struct rd body)
{
	struct gui_clipboard_data clip;

	switch (m->type) {
	case GUI_KEYPRESS:
		return gui_get_keypress(body, &m->u.key);
	case GUI_BUTTON:
		return gui_get_button(body, &m->u.button);
	case GUI_MOTION:
		return gui_get_motion(body, &m->u.motion);
	case GUI_CROSSING:
		return gui_get_crossing(body, &m->u.crossing);
	case GUI_FOCUS:
		return gui_get_focus(body, &m->u.focus);
	case GUI_MAP:
		return gui_get_map(body, &m->u.map);
	case GUI_CONFIGURE:
		return gui_get_configure(body, &m->u.configure);
	case GUI_KEYMAP_NOTIFY:
		return gui_get_keymap_notify(body, &m->u.keymap);
	case GUI_WINDOW_FLAGS:
		return gui_get_window_flags(body, &m->u.flags);
	case GUI_HOST_HELLO:
		return gui_get_host_hello(body, &m->u.hello);
	case GUI_HOST_SCREEN:
		return gui_get_host_screen(body, &m->u.screen);
	case GUI_CLIPBOARD_DATA:
		if (gui_get_clipboard_data(&body, &clip) < 0)
			return -EBADMSG;
		m->u.text = body;
		return 0;
	case GUI_DESTROY:
	case GUI_CLOSE:
	case GUI_CLIPBOARD_REQ:
	case GUI_WINDOW_DUMP_ACK:
	case GUI_FRAME_ACK:
		return 0;
	default:
		m->type = HOSTMSG_SKIP;
		return 0;
	}
}

int hostmsg_next(struct hostmsg *ret, const void *p, size_t n)
{
	struct gui_frame f;
	int r = gui_frame_agent(&f, p, n);

	if (r <= 0)
		return r;
	memset(ret, 0, sizeof *ret);
	ret->type = ret->real_type = f.type;
	ret->window = f.window;
	ret->size = f.size;
	if (decode(ret, f.body) < 0)
		return -EBADMSG;
	if (!sense(ret))
		ret->type = HOSTMSG_SKIP;
	return 1;
}

int hostmsg_greeting(uint32_t *ret_version, struct gui_xconf *x, const void *p, size_t n)
{
	struct rd r = rd_mem(p, MIN(n, (size_t)HOSTMSG_GREETING));
	uint32_t theirs = rd_u32le(&r);

	if (!rd_ok(&r))
		return 0;
	if (gui_version_pick(theirs, ret_version) < 0)
		return -EPROTO;
	if (n < HOSTMSG_GREETING)
		return 0;
	return gui_get_xconf(r, x) < 0 ? -EPROTO : 1;
}
