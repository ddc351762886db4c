/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encoders and decoders of link.def, header check, search for a handshake frame. */
#include "proto/link.h"

const uint8_t link_magic[LINK_MAGIC_LEN] = "bulkhead-link\r\n";

#define U8(f) wr_u8(w, m->f);
#define U16(f) wr_u16le(w, m->f);
#define U32(f) wr_u32le(w, m->f);
#define U64(f) wr_u64le(w, m->f);
#define B(f, n) wr_bytes(w, m->f, n);
#define LINK(symbol, number, name, who, chan, fields)                                              \
	void link_put_##name(struct wr *w, uint32_t id, const struct link_##name *m)               \
	{                                                                                          \
		wr_u8(w, number);                                                                  \
		wr_u8(w, 0);                                                                       \
		wr_u16le(w, (uint16_t)link_ctl_len(LINK_##symbol));                                \
		wr_u32le(w, id);                                                                   \
		fields                                                                             \
	}
#include "proto/link.def"
#undef LINK
#undef U8
#undef U16
#undef U32
#undef U64
#undef B

#define U8(f) m.f = rd_u8(&r);
#define U16(f) m.f = rd_u16le(&r);
#define U32(f) m.f = rd_u32le(&r);
#define U64(f) m.f = rd_u64le(&r);
#define B(f, n) rd_bytes(&r, m.f, n);
#define LINK(symbol, number, name, who, chan, fields)                                              \
	int link_get_##name(const void *payload, size_t len, struct link_##name *ret)              \
	{                                                                                          \
		struct rd r = rd_mem(payload, len);                                                \
		struct link_##name m;                                                              \
                                                                                                   \
		memset(&m, 0, sizeof m);                                                           \
		fields                                                                             \
		if (!rd_done(&r))                                                                  \
			return -EBADMSG;                                                           \
		*ret = m;                                                                          \
		return 0;                                                                          \
	}
#include "proto/link.def"
#undef LINK
#undef U8
#undef U16
#undef U32
#undef U64
#undef B

struct row {
	uint8_t type, who;
	bool chan;
	uint16_t len;
	const char *name;
};

#define U8(f) +1
#define U16(f) +2
#define U32(f) +4
#define U64(f) +8
#define B(f, n) +(n)
static const struct row rows[] = {
#define LINK(symbol, number, name, who, chan, fields) { number, who, chan, 0 fields, #symbol },
#include "proto/link.def"
#undef LINK
};
#undef U8
#undef U16
#undef U32
#undef U64
#undef B

static const struct row *find(uint8_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].type == type)
			return &rows[i];
	return NULL;
}

size_t link_ctl_len(enum link_type type)
{
	const struct row *row = find((uint8_t)type);

	return row ? row->len : 0;
}

const char *link_type_name(uint8_t type)
{
	const struct row *row = find(type);

	return row ? row->name : "?";
}

void link_put_data_hdr(uint8_t out[LINK_HDR_LEN], uint32_t id, size_t n)
{
	struct wr w = wr_mem(out, LINK_HDR_LEN);

	wr_u8(&w, LINK_DATA);
	wr_u8(&w, 0);
	wr_u16le(&w, (uint16_t)n);
	wr_u32le(&w, id);
}

int link_get_hdr(const uint8_t p[LINK_HDR_LEN], unsigned from, struct link_hdr *ret)
{
	struct rd r = rd_mem(p, LINK_HDR_LEN);
	struct link_hdr h = { .type = rd_u8(&r) };
	uint8_t reserved = rd_u8(&r);
	const struct row *row = find(h.type);

	h.len = rd_u16le(&r);
	h.chan = rd_u32le(&r);
	if (!rd_done(&r) || reserved || !row || !(row->who & from) || row->chan != (h.chan != 0))
		return -EBADMSG;
	if (h.type == LINK_DATA ? h.len == 0 || h.len > LINK_DATA_MAX : h.len != row->len)
		return -EBADMSG;
	*ret = h;
	return 0;
}

static uint8_t expected(enum link_type want, size_t i)
{
	size_t len = link_ctl_len(want);

	if (i >= LINK_HDR_LEN)
		return link_magic[i - LINK_HDR_LEN];
	return i == 0 ? (uint8_t)want : i == 2 ? (uint8_t)len : i == 3 ? (uint8_t)(len >> 8) : 0;
}

size_t link_scan_feed(struct link_scan *s, enum link_type want, const uint8_t *p, size_t n, bool *ret_found)
{
	const size_t fixed = LINK_HDR_LEN + LINK_MAGIC_LEN, whole = LINK_HDR_LEN + link_ctl_len(want);
	size_t i = 0;

	*ret_found = false;
	if (s->have >= whole)
		s->have = 0;
	while (i < n) {
		if (s->have == 0) {
			const uint8_t *q = memchr(p + i, want, n - i);

			if (!q)
				return n;
			i = (size_t)(q - p);
		}
		if (s->have < fixed && p[i] != expected(want, s->have)) {
			/* The byte may be the first of the real one: look at it again, unless it was compared as the first. */
			if (s->have == 0)
				i++;
			s->have = 0;
			continue;
		}
		s->buf[s->have++] = p[i++];
		if (s->have == whole) {
			*ret_found = true;
			return i;
		}
	}
	return n;
}
