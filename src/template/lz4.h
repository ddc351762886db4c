/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decoder of the legacy LZ4 stream that compressed kernels use. */
#ifndef TEMPLATE_LZ4_H
#define TEMPLATE_LZ4_H

#include "base/err.h"
#include "base/rd.h"

/* lz4_legacy unpacks a whole stream to memory of the caller (free), at most max bytes. -ENOTSUP
   when it is not of this kind, -EBADMSG when it is damaged, -EFBIG above max. */
int lz4_legacy(struct rd r, size_t max, uint8_t **ret, size_t *ret_len, struct err *e);

#endif
