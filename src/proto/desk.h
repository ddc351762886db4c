/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages between a guid and clipd (desk.def): payloads of base/msg.h. guid is trusted less than clipd: it reads what a qube sends. So nothing here is a text
 * or a path; what a notice says is decided by clipd, and the bytes of a clipboard are passed on unread.
 */
#ifndef PROTO_DESK_H
#define PROTO_DESK_H

#include "base/rd.h"
#include "base/wr.h"

#define DESK_DATA_MAX 60000u
#define DESK_COPY_TOO_LONG 1u

#define DESK_FROM_GUID 1u
#define DESK_FROM_CLIPD 2u
#define DESK_FROM_BOTH 3u

enum desk_type {
#define DESK(symbol, number, name, who, fields) DESK_##symbol = number,
#define DESKV(symbol, number, name, who, fields) DESK_##symbol = number,
#include "proto/desk.def"
#undef DESK
#undef DESKV
};

enum desk_kind {
	DESK_N_REQUEST = 1,  /* a request that no program makes: dropped */
	DESK_N_OVERRIDE,     /* a menu or tooltip that would have covered the screen got an ordinary frame */
	DESK_N_WINDOWS,	     /* more windows than allowed: the further ones are not shown */
	DESK_N_ATTENTION,    /* too many requests for attention, raising or state: some are dropped */
	DESK_N_PASTE_EARLY,  /* the paste chord came right after the focus had changed: nothing was pasted */
	DESK_N_FULLSCREEN,   /* fullscreen was asked for and is not allowed: maximized in its place */
	DESK_N_CLIPBOARD,    /* clipboard data that nobody asked for: dropped */
	DESK_N_TRAY,	     /* more tray icons than allowed */
	DESK_N_PIXELS,	     /* pixels of so large windows that no more memory is given to them */
	DESK_N_END
};

#define U32(f) uint32_t f;
#define DESK(symbol, number, name, who, fields) \
	struct desk_##name { fields uint8_t end_; };
#define DESKV(symbol, number, name, who, fields)
#include "proto/desk.def"
#undef DESK
#undef DESKV
#undef U32

/* desk_put_NAME appends the payload; desk_get_NAME decodes one of exactly the fields: 0 or -EBADMSG. DATA has no functions: it is its bytes. */
#define DESK(symbol, number, name, who, fields)                                                                        \
	void desk_put_##name(struct wr *w, const struct desk_##name *m);                                               \
	int desk_get_##name(struct rd payload, struct desk_##name *ret) _must_check_;
#define DESKV(symbol, number, name, who, fields)
#include "proto/desk.def"
#undef DESK
#undef DESKV

/* desk_may is true when from (DESK_FROM_GUID or DESK_FROM_CLIPD) may send a message of this type with a payload of len bytes. */
bool desk_may(uint32_t type, size_t len, unsigned from);
const char *desk_name(uint32_t type);

#endif
