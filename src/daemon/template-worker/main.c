/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * template-worker: the only program that compresses and decompresses images of templates. Confined before it reads: descriptors and nothing else.
 *
 *   template-worker unpack SIZE   0  parts from template-verifier; 1  the empty image of SIZE bytes
 *   template-worker pack SIZE     0  the image; 1  out: packed parts one behind the other; 3  out: "OFFSET RAW PACKED", a line for each
 *
 * A part is one zstd frame of at most TPL_RAW_MAX bytes of the image. Blocks of zeros are not stored and stay holes.
 */
#include <sys/stat.h>
#include <zstd.h>

#include "base/io.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "proto/tpl.h"

#define FD_LIST 3
#define LEVEL 6
#define BLOCK 4096u

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static int put_at(uint64_t off, const uint8_t *p, size_t n, struct err *e)
{
	while (n) {
		ssize_t k = pwrite(STDOUT_FILENO, p, n, (off_t)off);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_errno(e, k < 0 ? errno : EIO, "writing the image");
		p += k;
		n -= (size_t)k;
		off += (uint64_t)k;
	}
	return 0;
}

/* Writes what is not zero; the image is empty where nothing is written. */
static int put_sparse(uint64_t off, const uint8_t *p, size_t n, struct err *e)
{
	size_t from = 0, at = 0;
	int r = 0;

	while (r == 0 && at < n) {
		size_t len = MIN((size_t)BLOCK, n - at);

		if (all_zero(p + at, len)) {
			r = put_at(off + from, p + from, at - from, e);
			from = at + len;
		}
		at += len;
	}
	return r < 0 ? r : put_at(off + from, p + from, n - from, e);
}

static int unpack(uint64_t size, struct err *e)
{
	_cleanup_free_ uint8_t *packed = xmalloc(TPL_PACKED_MAX), *raw = xmalloc(TPL_RAW_MAX);
	uint64_t end = 0;

	for (;;) {
		uint8_t head[16];
		struct rd r = rd_mem(head, sizeof head);
		uint64_t off;
		uint32_t n_raw, n_packed;
		size_t n;
		int res;

		if (read_full(STDIN_FILENO, head, sizeof head) != (ssize_t)sizeof head)
			return err_set(e, EBADMSG, "the image is not complete");
		off = rd_u64le(&r);
		n_raw = rd_u32le(&r);
		n_packed = rd_u32le(&r);
		if (!n_raw && !n_packed)
			return off == size ? 0 : err_set(e, EBADMSG, "the image has another size");
		if (off < end || n_raw > TPL_RAW_MAX || n_packed > TPL_PACKED_MAX || off > size || n_raw > size - off)
			return err_set(e, EBADMSG, "a part has no place in the image");
		if (read_full(STDIN_FILENO, packed, n_packed) != (ssize_t)n_packed)
			return err_set(e, EBADMSG, "the image is not complete");
		n = ZSTD_decompress(raw, n_raw, packed, n_packed);
		if (ZSTD_isError(n) || n != n_raw)
			return err_set(e, EBADMSG, "a part of the image cannot be decompressed");
		res = put_sparse(off, raw, n_raw, e);
		if (res < 0)
			return res;
		end = off + n_raw;
	}
}

static int pack_part(ZSTD_CCtx *ctx, uint64_t off, const uint8_t *raw, size_t n, uint8_t *packed, struct err *e)
{
	size_t k = ZSTD_compressCCtx(ctx, packed, TPL_PACKED_MAX, raw, n, LEVEL);
	int r;

	if (ZSTD_isError(k))
		return err_set(e, EIO, "compressing failed");
	r = write_full(STDOUT_FILENO, packed, k);
	if (r == 0 && dprintf(FD_LIST, "%llu %zu %zu\n", (unsigned long long)off, n, k) < 0)
		r = -EIO;
	return r < 0 ? err_errno(e, -r, "writing the parts") : 0;
}

/* Where the next data of the image is at or behind off; size when there is none. */
static uint64_t next_data(uint64_t off, uint64_t size)
{
	off_t at = lseek(STDIN_FILENO, (off_t)off, SEEK_DATA);

	if (at < 0)
		return errno == ENXIO ? size : off;
	/* Parts lie on a grid, so that the same image gives the same parts. */
	return (uint64_t)at - (uint64_t)at % TPL_RAW_MAX;
}

static int pack(uint64_t size, struct err *e)
{
	_cleanup_free_ uint8_t *packed = xmalloc(TPL_PACKED_MAX), *raw = xmalloc(TPL_RAW_MAX);
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	int r = ctx ? 0 : err_set(e, ENOMEM, "no memory");

	for (uint64_t off = next_data(0, size); r == 0 && off < size; off = next_data(off + TPL_RAW_MAX, size)) {
		size_t n = (size_t)MIN((uint64_t)TPL_RAW_MAX, size - off);

		if (lseek(STDIN_FILENO, (off_t)off, SEEK_SET) < 0 || read_full(STDIN_FILENO, raw, n) != (ssize_t)n)
			r = err_set(e, EIO, "the image cannot be read");
		else if (!all_zero(raw, n))
			r = pack_part(ctx, off, raw, n, packed, e);
	}
	ZSTD_freeCCtx(ctx);
	return r;
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	uint64_t size = 0;
	int r = 0;

	if (argc != 3 || str_u64(argv[2], TPL_IMAGE_MAX, &size) < 0 || (!streq(argv[1], "pack") && !streq(argv[1], "unpack")))
		r = err_set(&e, EINVAL, "this program is started by qvm-template");
	if (r == 0)
		r = sandbox_enter(SB_PARSER, NULL, 0, &e);
	if (r == 0)
		r = streq(argv[1], "pack") ? pack(size, &e) : unpack(size, &e);
	if (r < 0)
		dprintf(STDERR_FILENO, "%s\n", err_text(&e, r));
	return r < 0 ? 1 : 0;
}
