/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words and lines of policy files; used by the policy parser only. */
#ifndef PROTO_POLICY_LEX_H
#define PROTO_POLICY_LEX_H

#include "base/err.h"

#define POL_WORDS_MAX 16

struct pol_words {
	char *mem; /* all words, NUL-separated */
	char *v[POL_WORDS_MAX];
	size_t n;
	bool more; /* there were more than POL_WORDS_MAX */
};

/* pol_text_ok: valid UTF-8 without NUL. */
bool pol_text_ok(const char *p, size_t n);
/* pol_line gives the next line of [*p, end) (ended by LF, CR or CR LF) and moves *p behind it; false at the end. */
bool pol_line(const char **p, const char *end, const char **ret, size_t *ret_len);
/* pol_trim drops blanks (ASCII and Unicode white space, as the reference does) at both ends. */
void pol_trim(const char **p, size_t *n);
/* pol_split splits at blanks; with commas also at commas, and '$' becomes '@'. Release with pol_words_fini. */
void pol_split(struct pol_words *ret, const char *p, size_t n, bool commas);
void pol_words_fini(struct pol_words *w);

#endif
