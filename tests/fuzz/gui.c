/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The GUI protocol's decoders in both directions, and those of messages between guid and clipd: what is accepted is written again as it was. */
#include "proto/desk.h"
#include "proto/gui.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[4096];

static void same(struct wr *w, const struct gui_frame *f, size_t fixed)
{
	struct rd r = f->body;
	const uint8_t *p = rd_view(&r, fixed);

	if (!wr_ok(w) || w->len != GUI_HDR_LEN + fixed || memcmp(out + GUI_HDR_LEN, p, fixed) != 0)
		abort();
}

static void one(const struct gui_frame *f)
{
	struct wr w = wr_mem(out, sizeof out);
	struct rd r = f->body;
	size_t n = rd_left(&r);

	switch (f->type) {
#define GUI(symbol, number, name, who, fields)                              \
	case number: {                                                      \
		struct gui_##name m;                                        \
                                                                            \
		if (gui_get_##name(f->body, &m) < 0)                        \
			abort(); /* the frame has the length already */     \
		gui_put_##name(&w, f->window, &m);                          \
		same(&w, f, n);                                             \
		break;                                                      \
	}
#define GUIV(symbol, number, name, who, min, max, fields)                   \
	case number: {                                                      \
		struct gui_##name m;                                        \
                                                                            \
		if (gui_get_##name(&r, &m) < 0)                             \
			abort();                                            \
		gui_put_##name(&w, f->window, &m, rd_left(&r));             \
		same(&w, f, n - rd_left(&r));                               \
		break;                                                      \
	}
#include "proto/gui.def"
	default:
		if (gui_who(f->type) != 0)
			abort();
	}
}

static void desk(const uint8_t *data, size_t size)
{
	struct wr w = wr_mem(out, sizeof out);
	struct rd r = rd_mem(data, size);

#undef GUI
#undef GUIV
#define DESK(symbol, number, name, who, fields)                                               \
	do {                                                                                  \
		struct desk_##name m;                                                         \
		bool ok = desk_get_##name(r, &m) == 0;                                        \
                                                                                              \
		if (ok != desk_may(number, size, who))                                        \
			abort();                                                              \
		w = wr_mem(out, sizeof out);                                                  \
		if (ok)                                                                       \
			desk_put_##name(&w, &m);                                              \
		if (ok && (w.len != size || memcmp(out, data, size) != 0))                    \
			abort();                                                              \
	} while (0);
#define DESKV(symbol, number, name, who, fields)
#include "proto/desk.def"
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int way = 0; way < 3; way++) {
		size_t at = 0;
		struct gui_frame f;
		int r;

		do {
			r = way == 2 ? gui_frame_agent(&f, data + at, size - at) : gui_frame(&f, data + at, size - at, way ? GUI_FROM_HOST : GUI_FROM_GUEST);
			if (r <= 0)
				break;
			if (f.size > size - at || rd_left(&f.body) + GUI_HDR_LEN != f.size)
				abort();
			one(&f);
			at += f.size;
		} while (at < size);
	}
	desk(data, size);
	return 0;
}
