/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Takes the uncompressed kernel out of a boot image, so that an emulated qube need not unpack it
   at every start. */
#ifndef TEMPLATE_BZIMAGE_H
#define TEMPLATE_BZIMAGE_H

#include "base/err.h"

#include "base/rd.h"

enum bz_method { BZ_LZ4, BZ_ZSTD, BZ_XZ, BZ_OTHER };

/* bzimage_payload finds the packed kernel in an x86 boot image: a view into p. -EBADMSG when the
   image is damaged. */
int bzimage_payload(const uint8_t *p, size_t n, struct rd *ret, enum bz_method *ret_method, struct err *e);
/* bzimage_vmlinux gives the ELF kernel inside an x86 boot image as memory of the caller (free).
   -ENOTSUP when the image is packed with another method than LZ4, -EBADMSG when it is damaged. */
int bzimage_vmlinux(const uint8_t *p, size_t n, uint8_t **ret, size_t *ret_len, struct err *e);

#endif
