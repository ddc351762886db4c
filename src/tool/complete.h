/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Candidates for a word by its kind (complete_kinds.c); complete.c finds out which kind the word has. */
#ifndef TOOL_COMPLETE_H
#define TOOL_COMPLETE_H

#include "tool/tool.h"

struct want {
	const char *prefix;   /* what is typed of the word */
	const char *lead;     /* printed before each candidate: what stands before the last comma */
	size_t lead_len;
	const char *qube;     /* first positional that was a qube; NULL = none yet */
	const char *property; /* the property before the word; NULL = none */
	const char *first;    /* the first positional: the class of qvm-device; NULL = none yet */
	bool pairs;	      /* NAME=VALUE is wanted */
};

/* offer prints s and tail when s goes on where the prefix ends. */
void offer(const struct want *w, const char *s, const char *tail);
/* offer_kind prints all candidates of that kind. */
void offer_kind(const struct verb *v, enum word_kind kind, const struct want *w);

#endif
