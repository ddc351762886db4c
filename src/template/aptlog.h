/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How far apt and dpkg have come, told by their own output in a build's log. Pure: no file is read here. */
#ifndef TEMPLATE_APTLOG_H
#define TEMPLATE_APTLOG_H

#include <stddef.h>

struct aptlog {
	char line[200]; /* the one that is not whole yet; of a longer one the beginning */
	size_t len;
	unsigned planned, fetched, unpacked, set_up; /* packages */
	unsigned best; /* permille that was given last: it never falls */
};

/* aptlog_take reads n bytes of output, in pieces of any size. */
void aptlog_take(struct aptlog *a, const char *p, size_t n);
/* aptlog_permille: 0 to 1000; 0 as long as nothing is known. More packages may be planned later; the answer does not go back then. */
unsigned aptlog_permille(struct aptlog *a);

#endif
