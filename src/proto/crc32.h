/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CRC-32 as zlib computes it (IEEE polynomial, reflected, complemented at both ends). */
#ifndef PROTO_CRC32_H
#define PROTO_CRC32_H

#include "base/defs.h"

/* crc32_update continues a checksum over n more bytes; start with 0. Uses carry-less multiplication where the processor has it. */
uint32_t crc32_update(uint32_t crc, const void *p, size_t n);
/* The portable half of crc32_update, for tests and other processors. */
uint32_t crc32_update_portable(uint32_t crc, const void *p, size_t n);

#endif
