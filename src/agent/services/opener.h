/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which program of this qube opens a file or an address. */
#ifndef AGENT_SERVICES_OPENER_H
#define AGENT_SERVICES_OPENER_H

#include "base/err.h"

#define OPENER_ARGS 64

struct opener {
	char *text, *argv[OPENER_ARGS]; /* argv points into text */
	char path[4096];		/* of the program */
};

/* opener_find chooses the program for what (an absolute path, or an address with its scheme): the user's choice in mimeapps.list, the
   system's, the cache of what is installed, then the types above (text/x-c, text/plain). -ENOENT with a text that names the type. */
int opener_find(struct opener *ret, const char *what, struct err *e);
void opener_fini(struct opener *o);
/* opener_type writes the type of what ("x-scheme-handler/https" for an address). */
void opener_type(const char *what, char *out, size_t cap);

#endif
