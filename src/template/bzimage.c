/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reader of the x86 boot image header. */
#include "template/bzimage.h"

#include "base/rd.h"
#include "template/lz4.h"

#define VMLINUX_MAX (256u << 20)
#define SECTOR 512u

int bzimage_vmlinux(const uint8_t *p, size_t n, uint8_t **ret, size_t *ret_len, struct err *e)
{
	struct rd r = rd_mem(p, n), body;
	uint32_t offset, len;
	size_t setup, got = 0;
	uint16_t version;
	_cleanup_free_ uint8_t *out = NULL;
	int err;

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
	err = lz4_legacy(body, VMLINUX_MAX, &out, &got, e);
	if (err < 0)
		return err;
	if (got < 64 || memcmp(out, "\x7f" "ELF", 4) != 0)
		return err_set(e, EBADMSG, "the boot image holds no ELF kernel");
	*ret = STEAL_PTR(out);
	*ret_len = got;
	return 0;
}
