/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Takes the uncompressed kernel out of a boot image, so that an emulated qube need not unpack it at every start. */
#ifndef TEMPLATE_BZIMAGE_H
#define TEMPLATE_BZIMAGE_H

#include "base/err.h"

/* bzimage_vmlinux gives the ELF kernel inside an x86 boot image as memory of the caller (free). -ENOTSUP when the image is packed with another
   method than LZ4, -EBADMSG when it is damaged. */
int bzimage_vmlinux(const uint8_t *p, size_t n, uint8_t **ret, size_t *ret_len, struct err *e);

#endif
