/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text helpers: bounded copies that fail instead of cutting, strict number parsing, escaping of foreign text. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/defs.h"

/* str_copy copies s with its NUL into out; -ENAMETOOLONG (out = "") when it does not fit. */
int str_copy(char *out, size_t cap, const char *s) _must_check_;
/* str_printf formats into out; -ENAMETOOLONG (out = "") when it does not fit. */
int str_printf(char *out, size_t cap, const char *fmt, ...) _printf_(3, 4) _must_check_;
static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* str_u64 parses decimal digits only: no sign, no blank, no leading zero (but "0"), at most max. -EINVAL / -ERANGE. */
int str_u64(const char *s, uint64_t max, uint64_t *ret) _must_check_;
/* str_i64 is str_u64 with an optional leading '-'. */
int str_i64(const char *s, int64_t min, int64_t max, int64_t *ret) _must_check_;
/* str_bool parses 0/no/false/off and 1/yes/true/on without regard to case. -EINVAL. */
int str_bool(const char *s, bool *ret) _must_check_;
/* str_escape writes n bytes at p to out with every byte outside 0x20..0x7e, and '\\', as \xNN; cuts with "..." when cap is
   too small; always NUL-terminated. Gives out, for use inside a log call. */
const char *str_escape(char *out, size_t cap, const void *p, size_t n);
/* str_chars is true when every byte of s is a letter, a digit, or in extra. True for "". ASCII only, no locale. */
bool str_chars(const char *s, const char *extra);
bool ch_alpha(char c);
bool ch_digit(char c);
bool ch_alnum(char c);

/* str_size parses a size in bytes with an optional unit (K M G T, KiB MiB GiB TiB, KB…; all powers of 1024 as the
   reference does). -EINVAL. */
int str_size(const char *s, uint64_t *ret) _must_check_;

#endif
