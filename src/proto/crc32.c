/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * CRC-32 at memory speed. Long inputs are folded 128 or 64 bytes at a time by carry-less multiplication: a block of 128 bits is multiplied
 * by x^n modulo the polynomial and added to the block n bits further on, which keeps the remainder. What is left (16 bytes and the tail)
 * goes through eight tables.
 */
#include "proto/crc32.h"

#include <endian.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define POLY 0xedb88320u

static uint32_t table[8][256];
static enum crc32_method best = CRC32_TABLES;

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
#endif
	while (best + 1 < CRC32_METHOD_N && crc32_can(best + 1))
		best++;
}

bool crc32_can(enum crc32_method m)
{
#if defined(__x86_64__)
	if (m == CRC32_FOLD_128)
		return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
	if (m == CRC32_FOLD_256)
		return crc32_can(CRC32_FOLD_128) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("vpclmulqdq");
#endif
	return m == CRC32_TABLES;
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
/* High half: x^(n-32) mod P, low half: x^(n+32) mod P, bit-reflected; n = 1024, 512 and 128 bits. */
#define FOLD_1024 0x014a7fe880, 0x01e88ef372
#define FOLD_512 0x01c6e41596, 0x0154442bd4
#define FOLD_128 0x00ccaa009e, 0x01751997d0
#define NEEDS_128 __attribute__((target("pclmul,sse4.1")))
#define NEEDS_256 __attribute__((target("vpclmulqdq,pclmul,avx2")))

static inline NEEDS_128 __m128i load(const uint8_t *p)
{
	__m128i v;

	memcpy(&v, p, sizeof v);
	return v;
}

static inline NEEDS_128 __m128i fold(__m128i x, __m128i k, __m128i next)
{
	__m128i lo = _mm_clmulepi64_si128(x, k, 0x00), hi = _mm_clmulepi64_si128(x, k, 0x11);

	return _mm_xor_si128(_mm_xor_si128(lo, hi), next);
}

static inline NEEDS_256 __m256i load2(const uint8_t *p)
{
	__m256i v;

	memcpy(&v, p, sizeof v);
	return v;
}

static inline NEEDS_256 __m256i fold2(__m256i x, __m256i k, __m256i next)
{
	__m256i lo = _mm256_clmulepi64_epi128(x, k, 0x00), hi = _mm256_clmulepi64_epi128(x, k, 0x11);

	return _mm256_xor_si256(_mm256_xor_si256(lo, hi), next);
}

/* Folds the n128 blocks at x, each 128 bits behind the last, and whole blocks of what follows at p; *used counts the bytes. */
static NEEDS_128 uint32_t finish(const __m128i *x, size_t n128, const uint8_t *p, size_t n, size_t *used)
{
	const __m128i k128 = _mm_set_epi64x(FOLD_128);
	__m128i a = x[0];
	uint8_t rest[16];

	for (size_t i = 1; i < n128; i++)
		a = fold(a, k128, x[i]);
	for (; n - *used >= 16; *used += 16)
		a = fold(a, k128, load(p + *used));
	memcpy(rest, &a, sizeof rest);
	return by_tables(0, rest, sizeof rest);
}

/* n >= 64. Gives the state after all whole 16-byte blocks; *ret_used bytes were consumed. */
static NEEDS_128 uint32_t fold_128(uint32_t state, const uint8_t *p, size_t n, size_t *ret_used)
{
	const __m128i k512 = _mm_set_epi64x(FOLD_512);
	__m128i x[4] = { _mm_xor_si128(load(p), _mm_cvtsi32_si128((int)state)), load(p + 16), load(p + 32), load(p + 48) };
	size_t used = 64;

	for (; n - used >= 64; used += 64)
		for (size_t i = 0; i < 4; i++)
			x[i] = fold(x[i], k512, load(p + used + 16 * i));
	*ret_used = used;
	return finish(x, 4, p, n, ret_used);
}

/* n >= 128, as fold_128. */
static NEEDS_256 uint32_t fold_256(uint32_t state, const uint8_t *p, size_t n, size_t *ret_used)
{
	const __m256i k1024 = _mm256_broadcastsi128_si256(_mm_set_epi64x(FOLD_1024));
	__m256i x[4] = { _mm256_xor_si256(load2(p), _mm256_zextsi128_si256(_mm_cvtsi32_si128((int)state))), load2(p + 32),
			 load2(p + 64), load2(p + 96) };
	size_t used = 128;
	__m128i y[8];

	for (; n - used >= 128; used += 128)
		for (size_t i = 0; i < 4; i++)
			x[i] = fold2(x[i], k1024, load2(p + used + 32 * i));
	memcpy(y, x, sizeof y);
	_mm256_zeroupper();
	*ret_used = used;
	return finish(y, 8, p, n, ret_used);
}
#endif

uint32_t crc32_update_by(enum crc32_method m, uint32_t crc, const void *p, size_t n)
{
	const uint8_t *b = p;
	uint32_t state = ~crc;

#if defined(__x86_64__)
	if (m != CRC32_TABLES && n >= 128) {
		size_t used;

		state = m == CRC32_FOLD_256 ? fold_256(state, b, n, &used) : fold_128(state, b, n, &used);
		b += used;
		n -= used;
	}
#endif
	return ~by_tables(state, b, n);
}

uint32_t crc32_update(uint32_t crc, const void *p, size_t n)
{
	return crc32_update_by(best, crc, p, n);
}
