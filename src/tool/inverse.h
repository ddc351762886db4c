/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The call that takes a call of the Admin API back, found before the call is made (table: inverse.def). */
#ifndef TOOL_INVERSE_H
#define TOOL_INVERSE_H

#include "tool/tool.h"

/* A change about to be made; borrowed. payload ends with NUL. */
struct change {
	const char *dest, *method, *arg, *payload; /* arg, payload "" when there is none */
};

struct inverse {
	char *text;			      /* what taking back does, or why it cannot be done */
	char *dest, *method, *arg, *payload; /* method "" = cannot be taken back; all are the owner's */
	char *before;			      /* inside: what finish compares with */
	void (*finish)(struct inverse *inv); /* may be NULL */
};

/* inverse_of gives the inverse (inverse_free), or NULL when the call changes nothing. It makes calls. */
struct inverse *inverse_of(const struct change *c);
/* inverse_finish completes it once the call has succeeded. */
void inverse_finish(struct inverse *inv);
void inverse_free(struct inverse *inv);
/* inverse_allowed says whether a method can be an inverse: others are not called whatever a file says. */
bool inverse_allowed(const char *method);

#endif
