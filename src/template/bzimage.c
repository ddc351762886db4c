/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reader of the x86 boot image header. */
#include "template/bzimage.h"

#include "template/lz4.h"

#define VMLINUX_MAX (256u << 20)
#define SECTOR 512u

static enum bz_method method_of(struct rd body)
{
	static const struct {
		enum bz_method method;
		const char *magic;
	} known[] = { { BZ_LZ4, "\x02\x21\x4c\x18" }, { BZ_ZSTD, "\x28\xb5\x2f\xfd" }, { BZ_XZ, "\xfd" "7zX" } };
	const uint8_t *p = rd_view(&body, 4);

	for (size_t i = 0; p && i < ARRAY_SIZE(known); i++)
		if (memcmp(p, known[i].magic, 4) == 0)
			return known[i].method;
	return BZ_OTHER;
}

int bzimage_payload(const uint8_t *p, size_t n, struct rd *ret, enum bz_method *ret_method, struct err *e)
{
	struct rd r = rd_mem(p, n), body;
	uint32_t offset, len;
	size_t setup;
	uint16_t version;

	rd_skip(&r, 0x1f1);
	setup = rd_u8(&r);
	setup = ((setup ? setup : 4) + 1) * SECTOR;
	rd_skip(&r, 0x202 - 0x1f2);
	if (rd_u32le(&r) != 0x53726448)
		return err_set(e, EBADMSG, "not a boot image");
	version = rd_u16le(&r);
	rd_skip(&r, 0x248 - 0x208);
	offset = rd_u32le(&r);
	len = rd_u32le(&r);
	/* The last four bytes are the unpacked size, for the unpacker's own use. */
	if (!rd_ok(&r) || version < 0x208 || len < 8)
		return err_set(e, EBADMSG, "the boot image names no payload");
	body = rd_mem(p, n);
	rd_skip(&body, setup);
	rd_skip(&body, offset);
	body = rd_sub(&body, len - 4);
	if (!rd_ok(&body))
		return err_set(e, EBADMSG, "the boot image is cut");
	*ret = body;
	*ret_method = method_of(body);
	return 0;
}

int bzimage_vmlinux(const uint8_t *p, size_t n, uint8_t **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ uint8_t *out = NULL;
	enum bz_method method;
	struct rd body;
	size_t got = 0;
	int r = bzimage_payload(p, n, &body, &method, e);

	if (r < 0)
		return r;
	if (method != BZ_LZ4)
		return err_set(e, ENOTSUP, "the kernel is not packed with LZ4");
	r = lz4_legacy(body, VMLINUX_MAX, &out, &got, e);
	if (r < 0)
		return r;
	if (got < 64 || memcmp(out, "\x7f" "ELF", 4) != 0)
		return err_set(e, EBADMSG, "the boot image holds no ELF kernel");
	*ret = STEAL_PTR(out);
	*ret_len = got;
	return 0;
}
