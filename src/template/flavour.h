/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of templates that can be built. */
#ifndef TEMPLATE_FLAVOUR_H
#define TEMPLATE_FLAVOUR_H

#include "base/defs.h"

struct flavour {
	const char *name, *suite;
	bool sudo, x11;
	const char *feature; /* of the template; NULL = none */
	const char *packages; /* blank separated, on top of flavour_common() */
	const char *summary;
};

/* flavour_find gives the row of a name, or NULL. flavour_at gives row i, or NULL at the end. */
const struct flavour *flavour_find(const char *name);
const struct flavour *flavour_at(size_t i);
/* flavour_common is the package list of every flavour. */
const char *flavour_common(void);

#endif
