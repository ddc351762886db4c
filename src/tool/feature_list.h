/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Features of a qube, read as a list of names and values. */
#ifndef TOOL_FEATURE_LIST_H
#define TOOL_FEATURE_LIST_H

#include "tool/util.h"

struct feature {
	const char *name; /* in the list's reply */
	char *value;	  /* NULL when it went away meanwhile */
};
struct features {
	struct adm_reply rep;
	struct bulk_call *calls;
	struct feature *v;
	size_t n;
};

/* features_get reads all features of a qube whose name begins with prefix. */
int features_get(struct features *ret, const char *qube, const char *prefix, struct err *e);
void features_fini(struct features *f);

#endif
