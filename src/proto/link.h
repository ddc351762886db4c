/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Wire format of the link (docs/protocol/link.md): header {u8 type, u8 0, u16 length, u32 channel}, little-endian, then the
 * payload. From link.def come, for each frame, struct link_NAME, link_put_NAME (header and payload) and link_get_NAME.
 */
#ifndef PROTO_LINK_H
#define PROTO_LINK_H

#include "base/rd.h"
#include "base/wr.h"

#define LINK_VERSION 1
#define LINK_HDR_LEN 8
/* A full DATA frame is 32 KiB: what the guest's virtio port takes in one write. */
#define LINK_DATA_MAX (32768 - LINK_HDR_LEN)
#define LINK_CTL_MAX 64 /* longest payload of any other frame */
#define LINK_NONCE_LEN 16
#define LINK_SEED_LEN 64
#define LINK_MAGIC_LEN 16
extern const uint8_t link_magic[LINK_MAGIC_LEN];

/* What a console says before it closes when somebody uses it already. */
#define LINK_CONSOLE_BUSY "another program uses this console\n"

#define LINK_FROM_GUEST 1u
#define LINK_FROM_HOST 2u
#define LINK_FROM_BOTH 3u

enum link_type {
#define LINK(symbol, number, name, who, chan, fields) LINK_##symbol = number,
#include "proto/link.def"
#undef LINK
};

#define U8(f) uint8_t f;
#define U16(f) uint16_t f;
#define U32(f) uint32_t f;
#define U64(f) uint64_t f;
#define B(f, n) uint8_t f[n];
#define LINK(symbol, number, name, who, chan, fields) struct link_##name { fields };
#include "proto/link.def"
#undef LINK
#undef U8
#undef U16
#undef U32
#undef U64
#undef B

/* link_put_NAME appends a whole frame; chan is 0 for frames without a channel. link_get_NAME decodes a payload: 0 or -EBADMSG. */
#define LINK(symbol, number, name, who, chan, fields)                                              \
	void link_put_##name(struct wr *w, uint32_t id, const struct link_##name *m);              \
	int link_get_##name(const void *payload, size_t n, struct link_##name *ret) _must_check_;
#include "proto/link.def"
#undef LINK

struct link_hdr {
	uint8_t type;
	uint16_t len;
	uint32_t chan;
};

/* link_put_data_hdr writes the header of a DATA frame of n payload bytes to out. */
void link_put_data_hdr(uint8_t out[LINK_HDR_LEN], uint32_t id, size_t n);
/* link_get_hdr decodes a header and checks it against the table: known type that from (LINK_FROM_*) may send, its exact length, a channel
   where one belongs. 0 or -EBADMSG. */
int link_get_hdr(const uint8_t p[LINK_HDR_LEN], unsigned from, struct link_hdr *ret) _must_check_;
/* link_type_name for logs, "?" when unknown. */
const char *link_type_name(uint8_t type);

/*
 * Resynchronisation: struct link_scan finds a HELLO (from the guest) or a WELCOME (from the host) in a stream of anything. Its first
 * byte does not occur again in the fixed part, so a mismatch restarts at the byte that mismatched.
 */
struct link_scan {
	size_t have;
	uint8_t buf[LINK_HDR_LEN + LINK_CTL_MAX];
};

/* link_scan_feed takes bytes up to the end of a frame of the wanted type. Gives how many it took; *ret_found when the last of them completed
   a frame, whose payload is then at s->buf + LINK_HDR_LEN; the scan is reset by the next call. */
size_t link_scan_feed(struct link_scan *s, enum link_type want, const uint8_t *p, size_t n, bool *ret_found);
/* link_ctl_len gives the payload length of a frame other than DATA. */
size_t link_ctl_len(enum link_type type);

#endif
