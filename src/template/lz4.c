/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decoder of the legacy LZ4 stream: a magic number, then blocks of at most 8 MiB of output, each
   with its packed length in front. */
#include "template/lz4.h"

#include "base/wr.h"

#define MAGIC 0x184c2102u
#define BLOCK_OUT_MAX (8u << 20)

/* length adds the continuation bytes of a count. */
static size_t length(struct rd *r, size_t n)
{
	uint8_t b;

	if (n != 15)
		return n;
	do {
		b = rd_u8(r);
		n += b;
		if (n > BLOCK_OUT_MAX)
			rd_fail(r);
	} while (b == 255 && rd_ok(r));
	return n;
}

static void copy_match(struct wr *w, size_t start, size_t offset, size_t n)
{
	if (offset == 0 || offset > w->len - start) {
		wr_fail(w);
		return;
	}
	/* The source may overlap what is being written: the distance is the period. */
	while (n > 0 && wr_ok(w)) {
		size_t part = MIN(n, offset);
		uint8_t tmp[4096];

		part = MIN(part, sizeof tmp);
		memcpy(tmp, w->buf + w->len - offset, part);
		wr_bytes(w, tmp, part);
		n -= part;
	}
}

static void block(struct rd r, struct wr *w)
{
	size_t start = w->len;

	while (rd_left(&r) > 0 && wr_ok(w)) {
		uint8_t token = rd_u8(&r);
		size_t n = length(&r, token >> 4), offset;
		const uint8_t *p = rd_view(&r, n);

		if (p)
			wr_bytes(w, p, n);
		if (!rd_ok(&r)) {
			wr_fail(w);
			return;
		}
		if (rd_left(&r) == 0)
			return;	/* a block ends with literals */
		offset = rd_u16le(&r);
		n = length(&r, token & 15u) + 4;
		if (!rd_ok(&r) || w->len - start + n > BLOCK_OUT_MAX) {
			wr_fail(w);
			return;
		}
		copy_match(w, start, offset, n);
	}
}

int lz4_legacy(struct rd r, size_t max, uint8_t **ret, size_t *ret_len, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(max);

	if (rd_u32le(&r) != MAGIC)
		return err_set(e, ENOTSUP, "not an LZ4 stream of a kernel");
	while (rd_left(&r) >= 4 && wr_ok(&w)) {
		uint32_t n = rd_u32le(&r);

		if (n == MAGIC)
			continue;
		block(rd_sub(&r, n), &w);
		if (!rd_ok(&r))
			return err_set(e, EBADMSG, "the LZ4 stream is cut");
	}
	if (!wr_ok(&w))
		return err_set(e, EBADMSG, "the LZ4 stream is damaged or larger than %zu bytes", max);
	*ret_len = w.len;
	*ret = (uint8_t *)wr_take(&w, NULL);
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}
