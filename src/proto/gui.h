/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Wire format of the GUI protocol 1.8 (docs/gui.md §2): header {u32 type, u32 window, u32 length}, little-endian, then the body. From gui.def come, for each
 * message, struct gui_NAME, gui_put_NAME (header and fields) and gui_get_NAME. Pure functions: what the values mean is checked where they are used.
 */
#ifndef PROTO_GUI_H
#define PROTO_GUI_H

#include "base/rd.h"
#include "base/wr.h"

#define GUI_PORT 6000
#define GUI_VERSION_MAJOR 1u
#define GUI_VERSION_MINOR 8u
#define GUI_VERSION (GUI_VERSION_MAJOR << 16 | GUI_VERSION_MINOR)
#define GUI_MINOR_MIN 4u /* from here on guid says its version too */
#define GUI_HDR_LEN 12
#define GUI_XCONF_LEN 16
#define GUI_WIDTH_MAX 16384u
#define GUI_HEIGHT_MAX 6144u
#define GUI_REFS_MAX 98304u
#define GUI_CLIPBOARD_MAX 256000u /* one more byte says that it was longer */
#define GUI_CLIPBOARD_MIN 256u
#define GUI_CLIPBOARD_DEFAULT 64000u
#define GUI_PIXELS_MAX (4u * 1024 * 1024)
#define GUI_ICON_SIDE 128u
#define GUI_ICON_MAX (4 * GUI_ICON_SIDE * GUI_ICON_SIDE)
#define GUI_BODY_MAX (GUI_PIXELS_MAX + 16) /* longest body of all */

/* WINDOW_DUMP: what the pixels are in. */
enum gui_dump { GUI_DUMP_GRANTS, GUI_DUMP_BAR, GUI_DUMP_STREAM, GUI_DUMP_N };
#define GUI_BAR_ALIGN 4096u

/* WINDOW_FLAGS */
#define GUI_FLAG_FULLSCREEN 1u
#define GUI_FLAG_ATTENTION 2u
#define GUI_FLAG_MINIMIZE 4u

/* CURSOR: 0, or GUI_CURSOR_X + an even number of the X cursor font below GUI_CURSOR_END. */
#define GUI_CURSOR_X 0x100u
#define GUI_CURSOR_END 0x19au

/* WINDOW_HINTS: the bits of ICCCM that are taken over. */
#define GUI_HINT_POSITION 4u
#define GUI_HINT_MIN_SIZE 16u
#define GUI_HINT_MAX_SIZE 32u
#define GUI_HINT_INCREMENT 64u
#define GUI_HINT_BASE_SIZE 256u
#define GUI_HINTS (GUI_HINT_POSITION | GUI_HINT_MIN_SIZE | GUI_HINT_MAX_SIZE | GUI_HINT_INCREMENT | GUI_HINT_BASE_SIZE)

/* HOST_HELLO */
#define GUI_HELLO_VERSION 1u
#define GUI_CAN_BAR 1u
#define GUI_CAN_FRAME_ACK 2u
#define GUI_CAN_STREAM 4u
#define GUI_CAN_ICON 8u

#define GUI_FROM_GUEST 1u
#define GUI_FROM_HOST 2u
#define GUI_FROM_BOTH 3u

enum gui_type {
#define GUI(symbol, number, name, who, fields) GUI_##symbol = number,
#define GUIV(symbol, number, name, who, min, max, fields) GUI_##symbol = number,
#include "proto/gui.def"
#undef GUI
#undef GUIV
};

/* C wants a member; what has no fields gets one that is not on the wire. */
#define U32(f) uint32_t f;
#define I32(f) int32_t f;
#define B(f, n) uint8_t f[n];
#define GUI(symbol, number, name, who, fields) \
	struct gui_##name { fields uint8_t end_; };
#define GUIV(symbol, number, name, who, min, max, fields) GUI(symbol, number, name, who, fields)
#include "proto/gui.def"
#undef GUI
#undef GUIV
#undef U32
#undef I32
#undef B

/* gui_put_NAME appends a header and the fields; of a GUIV message extra counts the bytes that the caller appends then. gui_get_NAME decodes a body of exactly
   the fields: 0 or -EBADMSG; of a GUIV message r is left behind the fields, its rest is the caller's to read. */
#define GUI(symbol, number, name, who, fields)                                                                         \
	void gui_put_##name(struct wr *w, uint32_t window, const struct gui_##name *m);                                \
	int gui_get_##name(struct rd body, struct gui_##name *ret) _must_check_;
#define GUIV(symbol, number, name, who, min, max, fields)                                                              \
	void gui_put_##name(struct wr *w, uint32_t window, const struct gui_##name *m, size_t extra);                  \
	int gui_get_##name(struct rd *body, struct gui_##name *ret) _must_check_;
#include "proto/gui.def"
#undef GUI
#undef GUIV

/* gui_name gives the symbol of a message for logs, "unknown" otherwise. gui_who gives GUI_FROM_* of a type, 0 for an unknown one. */
const char *gui_name(uint32_t type);
unsigned gui_who(uint32_t type);

struct gui_frame {
	uint32_t type, window;
	struct rd body; /* borrowed */
	size_t size;	/* header and body, to be dropped from the buffer */
};
/* gui_frame looks at the n bytes at p: 1 and *ret when a whole message is there, 0 when more is needed. from: GUI_FROM_GUEST or GUI_FROM_HOST. An unknown type, one
   that from may not send, or a length that the type cannot have: -EBADMSG. gui_frame_agent is the agent's reader: what it does not know it gets as it is, up to
   GUI_BODY_MAX (to be skipped); a known type has its exact length. */
int gui_frame(struct gui_frame *ret, const void *p, size_t n, unsigned from) _must_check_;
int gui_frame_agent(struct gui_frame *ret, const void *p, size_t n) _must_check_;

/* The greeting, without headers: the agent's version; guid's answer is a version and the screen. mem is in KiB. */
struct gui_xconf {
	uint32_t w, h, depth, mem;
};
void gui_put_version(struct wr *w, uint32_t version);
/* gui_version_pick gives what both speak, or -EPROTO: another major number, or an agent older than 1.4. */
int gui_version_pick(uint32_t theirs, uint32_t *ret) _must_check_;
void gui_put_xconf(struct wr *w, const struct gui_xconf *x);
int gui_get_xconf(struct rd body, struct gui_xconf *ret) _must_check_;

/* gui_bar_ok: w x h pixels of 4 bytes at off lie inside a memory of size bytes, are aligned, and within the limits of windows. */
bool gui_bar_ok(uint32_t w, uint32_t h, uint64_t off, uint64_t size);

#endif
