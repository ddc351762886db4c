/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CRC-32 as zlib computes it (IEEE polynomial, reflected, complemented at both ends). */
#ifndef PROTO_CRC32_H
#define PROTO_CRC32_H

#include "base/defs.h"

/* crc32_update continues a checksum over n more bytes; start with 0. Uses the best method that the processor has. */
uint32_t crc32_update(uint32_t crc, const void *p, size_t n);

/* The methods, from the portable one to the fastest; named for tests. */
enum crc32_method { CRC32_TABLES, CRC32_FOLD_128, CRC32_FOLD_256, CRC32_METHOD_N };
/* crc32_can: has this processor got what the method needs? */
bool crc32_can(enum crc32_method m);
/* crc32_update_by is crc32_update by a method that crc32_can confirmed. */
uint32_t crc32_update_by(enum crc32_method m, uint32_t crc, const void *p, size_t n);

#endif
