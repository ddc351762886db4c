/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text of a bind-dirs file. It is a shell file by tradition, of which nearly all use only two
 * forms; they are decoded here, and anything else is left to a real shell.
 */
#ifndef AGENT_EARLY_BINDCONF_H
#define AGENT_EARLY_BINDCONF_H

#include "base/err.h"
#include "base/rd.h"

#define BINDS_MAX 256

struct binds {
	char *path[BINDS_MAX];
	size_t n;
};

void binds_clear(struct binds *b);
/* binds_add appends a path (copied): -EINVAL when it is not absolute, has a ".." or is longer
   than 1000 bytes; -E2BIG when full. */
int binds_add(struct binds *b, const char *path, struct err *e);
/* binds_parse applies binds=( ... ) and binds+=( ... ) with plain, 'single' or "double" quoted
   words, and comments. -ENOTSUP, with b unchanged, when the text uses more of the shell than
   that. */
int binds_parse(struct rd r, struct binds *b, struct err *e);

/* One /persist/ value: a path, or "file|dir:owner:group:mode:path". */
struct persist {
	char kind;	   /* 'f', 'd', or 0 for a bare path */
	char owner[33], group[33];
	unsigned mode;
	char path[1001];
};
int persist_parse(const char *value, struct persist *ret, struct err *e);

#endif
