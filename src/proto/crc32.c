/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * CRC-32 at memory speed. Long inputs are folded 64 bytes at a time by carry-less multiplication: a block of 128 bits is multiplied by
 * x^n modulo the polynomial and added to the block n bits further on, which keeps the remainder. What is left (16 bytes and the tail)
 * goes through eight tables.
 */
#include "proto/crc32.h"

#include <endian.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define POLY 0xedb88320u

static uint32_t table[8][256];
static bool have_clmul;

static __attribute__((constructor)) void crc32_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ POLY : c >> 1;
		table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int t = 1; t < 8; t++)
			table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 0xff];
#if defined(__x86_64__)
	__builtin_cpu_init();
	have_clmul = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

/* state: the complemented checksum. */
static uint32_t by_tables(uint32_t state, const uint8_t *p, size_t n)
{
	while (n >= 8) {
		uint64_t v;

		memcpy(&v, p, 8);
		v = le64toh(v) ^ state;
		state = table[7][v & 0xff] ^ table[6][v >> 8 & 0xff] ^ table[5][v >> 16 & 0xff] ^
			table[4][v >> 24 & 0xff] ^ table[3][v >> 32 & 0xff] ^ table[2][v >> 40 & 0xff] ^
			table[1][v >> 48 & 0xff] ^ table[0][v >> 56];
		p += 8;
		n -= 8;
	}
	while (n--)
		state = state >> 8 ^ table[0][(state ^ *p++) & 0xff];
	return state;
}

#if defined(__x86_64__)
/* Low half: x^(n+32) mod P, high half: x^(n-32) mod P, bit-reflected; n = 512 and 128 bits. */
#define FOLD_512 0x01c6e41596, 0x0154442bd4
#define FOLD_128 0x00ccaa009e, 0x01751997d0

static inline __attribute__((target("pclmul,sse4.1"))) __m128i load(const uint8_t *p)
{
	__m128i v;

	memcpy(&v, p, sizeof v);
	return v;
}

static inline __attribute__((target("pclmul,sse4.1"))) __m128i fold(__m128i x, __m128i k, __m128i next)
{
	__m128i lo = _mm_clmulepi64_si128(x, k, 0x00), hi = _mm_clmulepi64_si128(x, k, 0x11);

	return _mm_xor_si128(_mm_xor_si128(lo, hi), next);
}

/* n >= 64. Gives the state after all whole 16-byte blocks; *ret_used bytes were consumed. */
static __attribute__((target("pclmul,sse4.1"))) uint32_t by_folding(uint32_t state, const uint8_t *p, size_t n,
								      size_t *ret_used)
{
	const __m128i k512 = _mm_set_epi64x(FOLD_512), k128 = _mm_set_epi64x(FOLD_128);
	__m128i a = _mm_xor_si128(load(p), _mm_cvtsi32_si128((int)state)), b = load(p + 16), c = load(p + 32),
		d = load(p + 48);
	size_t used = 64;
	uint8_t rest[16];

	for (; n - used >= 64; used += 64) {
		a = fold(a, k512, load(p + used));
		b = fold(b, k512, load(p + used + 16));
		c = fold(c, k512, load(p + used + 32));
		d = fold(d, k512, load(p + used + 48));
	}
	a = fold(a, k128, b);
	a = fold(a, k128, c);
	a = fold(a, k128, d);
	for (; n - used >= 16; used += 16)
		a = fold(a, k128, load(p + used));
	memcpy(rest, &a, sizeof rest);
	*ret_used = used;
	return by_tables(0, rest, sizeof rest);
}
#endif

uint32_t crc32_update_portable(uint32_t crc, const void *p, size_t n)
{
	return ~by_tables(~crc, p, n);
}

uint32_t crc32_update(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *b = p;
	uint32_t state = ~crc;

#if defined(__x86_64__)
	if (have_clmul && n >= 128) {
		size_t used;

		state = by_folding(state, b, n, &used);
		b += used;
		n -= used;
	}
#endif
	return ~by_tables(state, b, n);
}
