/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encoders and decoders of gui.def, framing, greeting, and the check of a place in the memory for pixels. */
#include "proto/gui.h"

static void put_hdr(struct wr *w, uint32_t type, uint32_t window, size_t len)
{
	wr_u32le(w, type);
	wr_u32le(w, window);
	wr_u32le(w, (uint32_t)len);
}

/* The lengths of the fixed parts. */
enum {
#define U32(f) +4
#define I32(f) +4
#define B(f, n) +(n)
#define GUI(symbol, number, name, who, fields) LEN_##symbol = 0 fields,
#define GUIV(symbol, number, name, who, min, max, fields) LEN_##symbol = 0 fields,
#include "proto/gui.def"
#undef GUI
#undef GUIV
#undef U32
#undef I32
#undef B
};

#define U32(f) wr_u32le(w, m->f);
#define I32(f) wr_u32le(w, (uint32_t)m->f);
#define B(f, n) wr_bytes(w, m->f, n);
#define GUI(symbol, number, name, who, fields)                                                                         \
	void gui_put_##name(struct wr *w, uint32_t window, const struct gui_##name *m)                                 \
	{                                                                                                              \
		(void)m;                                                                                               \
		put_hdr(w, GUI_##symbol, window, LEN_##symbol);                                                        \
		fields                                                                                                 \
	}
#define GUIV(symbol, number, name, who, min, max, fields)                                                              \
	void gui_put_##name(struct wr *w, uint32_t window, const struct gui_##name *m, size_t extra)                   \
	{                                                                                                              \
		(void)m;                                                                                               \
		put_hdr(w, GUI_##symbol, window, LEN_##symbol + extra);                                                \
		fields                                                                                                 \
	}
#include "proto/gui.def"
#undef GUI
#undef GUIV
#undef U32
#undef I32
#undef B

#define U32(f) ret->f = rd_u32le(r);
#define I32(f) ret->f = (int32_t)rd_u32le(r);
#define B(f, n) rd_bytes(r, ret->f, n);
#define GUI(symbol, number, name, who, fields)                                                                         \
	int gui_get_##name(struct rd body, struct gui_##name *ret)                                                     \
	{                                                                                                              \
		struct rd *r = &body;                                                                                  \
                                                                                                                       \
		memset(ret, 0, sizeof *ret);                                                                           \
		fields                                                                                                 \
		return rd_done(r) ? 0 : -EBADMSG;                                                                      \
	}
#define GUIV(symbol, number, name, who, min, max, fields)                                                              \
	int gui_get_##name(struct rd *body, struct gui_##name *ret)                                                    \
	{                                                                                                              \
		struct rd *r = body;                                                                                   \
                                                                                                                       \
		memset(ret, 0, sizeof *ret);                                                                           \
		fields                                                                                                 \
		return rd_ok(r) ? 0 : -EBADMSG;                                                                        \
	}
#include "proto/gui.def"
#undef GUI
#undef GUIV
#undef U32
#undef I32
#undef B

struct row {
	uint32_t type, min, max;
	unsigned who;
	const char *name;
};

static const struct row rows[] = {
#define GUI(symbol, number, name, who, fields) { number, LEN_##symbol, LEN_##symbol, who, #symbol },
#define GUIV(symbol, number, name, who, min, max, fields) { number, LEN_##symbol + (min), LEN_##symbol + (max), who, #symbol },
#include "proto/gui.def"
#undef GUI
#undef GUIV
};

static const struct row *find(uint32_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].type == type)
			return &rows[i];
	return NULL;
}

const char *gui_name(uint32_t type)
{
	const struct row *row = find(type);

	return row ? row->name : "unknown";
}

unsigned gui_who(uint32_t type)
{
	const struct row *row = find(type);

	return row ? row->who : 0;
}

/* any: unknown types pass, up to the longest body. */
static int frame(struct gui_frame *ret, const void *p, size_t n, unsigned from, bool any)
{
	struct rd r = rd_mem(p, n);
	const struct row *row;
	struct gui_frame f;
	uint32_t len;

	f.type = rd_u32le(&r);
	f.window = rd_u32le(&r);
	len = rd_u32le(&r);
	if (!rd_ok(&r))
		return 0;
	row = find(f.type);
	if (row ? (row->who & from) == 0 || len < row->min || len > row->max : !any || len > GUI_BODY_MAX)
		return -EBADMSG;
	if (rd_left(&r) < len)
		return 0;
	f.body = rd_sub(&r, len);
	f.size = GUI_HDR_LEN + len;
	*ret = f;
	return 1;
}

int gui_frame(struct gui_frame *ret, const void *p, size_t n, unsigned from)
{
	return frame(ret, p, n, from, false);
}

int gui_frame_agent(struct gui_frame *ret, const void *p, size_t n)
{
	return frame(ret, p, n, GUI_FROM_HOST, true);
}

void gui_put_version(struct wr *w, uint32_t version)
{
	wr_u32le(w, version);
}

int gui_version_pick(uint32_t theirs, uint32_t *ret)
{
	uint32_t minor = theirs & 0xffff;

	if (theirs >> 16 != GUI_VERSION_MAJOR || minor < GUI_MINOR_MIN)
		return -EPROTO;
	*ret = GUI_VERSION_MAJOR << 16 | MIN(minor, GUI_VERSION_MINOR);
	return 0;
}

void gui_put_xconf(struct wr *w, const struct gui_xconf *x)
{
	wr_u32le(w, x->w);
	wr_u32le(w, x->h);
	wr_u32le(w, x->depth);
	wr_u32le(w, x->mem);
}

int gui_get_xconf(struct rd body, struct gui_xconf *ret)
{
	ret->w = rd_u32le(&body);
	ret->h = rd_u32le(&body);
	ret->depth = rd_u32le(&body);
	ret->mem = rd_u32le(&body);
	return rd_done(&body) ? 0 : -EBADMSG;
}

bool gui_bar_ok(uint32_t w, uint32_t h, uint64_t off, uint64_t size)
{
	if (w == 0 || h == 0 || w > GUI_WIDTH_MAX || h > GUI_HEIGHT_MAX || off % GUI_BAR_ALIGN != 0 || off > size)
		return false;
	return (uint64_t)w * h * 4 <= size - off;
}
