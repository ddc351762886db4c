/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA-256 (FIPS 180-4) for names that are made from contents, in programs that link no library of cryptography. Not for secrets: not constant in time. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include "base/defs.h"

#define SHA256_HEX 64

/* sha256_hex writes the digest of n bytes as 64 small hex digits and NUL. */
void sha256_hex(const void *p, size_t n, char out[SHA256_HEX + 1]);

#endif
