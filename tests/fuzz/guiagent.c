/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What guid says to the agent of a qube's windows: greeting, then messages until one is refused. What is decoded must keep its promises. */
#include "agent/gui/cliptext.h"
#include "agent/gui/hostmsg.h"

static volatile uint64_t sink;

static void check(const struct hostmsg *m, size_t left)
{
	struct rd text = m->u.text;

	if (m->size < GUI_HDR_LEN || m->size > left)
		abort();
	if (m->type == GUI_KEYPRESS && (m->u.key.keycode < 8 || m->u.key.keycode > 255))
		abort();
	if (m->type == GUI_CONFIGURE && (m->u.configure.w - 1 > 32766 || m->u.configure.h - 1 > 32766))
		abort();
	if (m->type == GUI_WINDOW_FLAGS && (m->u.flags.set & m->u.flags.unset))
		abort();
	if (m->type == GUI_CLIPBOARD_DATA) {
		struct wr w = wr_grow(2 * GUI_CLIPBOARD_MAX + 16);
		size_t n = rd_left(&text);

		if (n > GUI_CLIPBOARD_MAX + 1)
			abort();
		sink += text_is_utf8(text.p, n);
		text_to_latin1(&w, text.p, n);
		if (w.len > n || text_cut(text.p, n, 100) > 100)
			abort();
		wr_free(&w);
	}
	sink += m->window + m->u.key.state;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct gui_xconf x = { 0 };
	uint32_t version = 0;
	struct hostmsg m;
	size_t at = 0;

	if (hostmsg_greeting(&version, &x, p, n) == 1)
		at = HOSTMSG_GREETING;
	while (hostmsg_next(&m, p + at, n - at) == 1) {
		check(&m, n - at);
		at += m.size;
	}
	sink += version + x.w;
	return 0;
}
