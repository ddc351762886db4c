/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel's module dependency table (modules.dep): which files, in which order. */
#ifndef TEMPLATE_MODDEP_H
#define TEMPLATE_MODDEP_H

#include "base/err.h"

struct moddep_list {
	char **path; /* relative to the modules directory */
	size_t n;
};

void moddep_free(struct moddep_list *l);
/* moddep_resolve appends the files that module name needs, dependencies first, then itself;
   files already in l are left out. '-' and '_' are the same in names. text: the whole
   modules.dep. -ENOENT when there is no such module (built in, or not in this kernel). */
int moddep_resolve(const char *text, size_t len, const char *name, struct moddep_list *l, struct err *e);

#endif
