/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bench-paint [-n WINDOWS] [-s WxH] MODE [MS]: draws in windows of its own, for figures of how pixels come to the host. Runs in a qube. MODE: full (each
 * window as a whole, one colour after another), rect (100 x 20 of each), key (the whole window at each key). MS: pause between two rounds.
 * Linked statically: a qube needs nothing for it.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xcb/xcb.h>

#define WINDOWS_MAX 64
#define RECT_W 100
#define RECT_H 20

struct paint {
	xcb_connection_t *x;
	xcb_screen_t *screen;
	xcb_gcontext_t gc;
	xcb_window_t win[WINDOWS_MAX];
	unsigned n, w, h, round;
};

static void title(struct paint *p, unsigned i)
{
	char text[32];
	int n = snprintf(text, sizeof text, "paint-%u", i);

	xcb_change_property(p->x, XCB_PROP_MODE_REPLACE, p->win[i], XCB_ATOM_WM_NAME, XCB_ATOM_STRING, 8, (uint32_t)n, text);
}

static void make_windows(struct paint *p)
{
	const uint32_t v[2] = { p->screen->white_pixel, XCB_EVENT_MASK_KEY_PRESS };

	for (unsigned i = 0; i < p->n; i++) {
		p->win[i] = xcb_generate_id(p->x);
		xcb_create_window(p->x, XCB_COPY_FROM_PARENT, p->win[i], p->screen->root, (int16_t)(i % 6 * p->w), (int16_t)(i / 6 * p->h), (uint16_t)p->w,
				  (uint16_t)p->h, 0, XCB_WINDOW_CLASS_INPUT_OUTPUT, p->screen->root_visual, XCB_CW_BACK_PIXEL | XCB_CW_EVENT_MASK, v);
		title(p, i);
		xcb_map_window(p->x, p->win[i]);
	}
	p->gc = xcb_generate_id(p->x);
	xcb_create_gc(p->x, p->gc, p->win[0], 0, NULL);
}

/* All windows in the next colour, whole or in part, and nothing is left in a queue: what the X server has not drawn yet would not be on the host either. */
static void draw(struct paint *p, bool whole)
{
	const uint32_t colour[1] = { (p->round * 0x3f1d7bu) & 0xffffffu };
	const uint32_t step = p->round++ % 16;
	const xcb_rectangle_t all = { 0, 0, (uint16_t)p->w, (uint16_t)p->h };
	const xcb_rectangle_t part = { (int16_t)(step * 7), (int16_t)(step * 11), RECT_W, RECT_H };

	xcb_change_gc(p->x, p->gc, XCB_GC_FOREGROUND, colour);
	for (unsigned i = 0; i < p->n; i++)
		xcb_poly_fill_rectangle(p->x, p->win[i], p->gc, 1, whole ? &all : &part);
	free(xcb_get_input_focus_reply(p->x, xcb_get_input_focus(p->x), NULL));
}

static int events(struct paint *p, bool keys)
{
	xcb_generic_event_t *ev;

	while ((ev = xcb_poll_for_event(p->x))) {
		if (keys && (ev->response_type & 0x7f) == XCB_KEY_PRESS)
			draw(p, true);
		free(ev);
	}
	return xcb_connection_has_error(p->x);
}

int main(int argc, char **argv)
{
	struct paint p = { .n = 1, .w = 1280, .h = 800 };
	const char *mode;
	int c, pause, screen;

	while ((c = getopt(argc, argv, "n:s:")) != -1) {
		if (c == 'n')
			p.n = (unsigned)strtoul(optarg, NULL, 10);
		else if (c != 's' || sscanf(optarg, "%ux%u", &p.w, &p.h) != 2)
			return 2;
	}
	mode = optind < argc ? argv[optind] : "";
	pause = optind + 1 < argc ? (int)strtol(argv[optind + 1], NULL, 10) : 16;
	if (p.n < 1 || p.n > WINDOWS_MAX || (strcmp(mode, "full") != 0 && strcmp(mode, "rect") != 0 && strcmp(mode, "key") != 0)) {
		fprintf(stderr, "usage: bench-paint [-n WINDOWS] [-s WxH] full|rect|key [MS]\n");
		return 2;
	}
	p.x = xcb_connect(NULL, &screen);
	if (xcb_connection_has_error(p.x))
		return 4;
	p.screen = xcb_setup_roots_iterator(xcb_get_setup(p.x)).data;
	make_windows(&p);
	draw(&p, true);
	for (;;) {
		struct pollfd f = { .fd = xcb_get_file_descriptor(p.x), .events = POLLIN };
		int n = poll(&f, 1, *mode == 'k' ? -1 : pause);

		if (events(&p, *mode == 'k'))
			return 0;
		if (n == 0)
			draw(&p, *mode == 'f');
	}
}
