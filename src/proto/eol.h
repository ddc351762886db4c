/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ends of life of releases (eol.def): which date counts and how bad that is today. Pure: the caller brings the date. */
#ifndef PROTO_EOL_H
#define PROTO_EOL_H

#include "base/defs.h"

enum eol_level {
	EOL_UNKNOWN, /* no date is known */
	EOL_FAR,
	EOL_SOON, /* at most EOL_SOON_DAYS left, or only long-term support is left */
	EOL_NOW,  /* at most EOL_NOW_DAYS left */
	EOL_PAST,
};
#define EOL_SOON_DAYS 90
#define EOL_NOW_DAYS 7

struct eol {
	enum eol_level level;
	int64_t days;  /* left; negative: since */
	char date[11]; /* that counts */
	bool lts;      /* it is that of long-term support */
};
/* eol_judge: own = the release's own date (YYYY-MM-DD; NULL or "" = look into the table); today in days since 1970. */
struct eol eol_judge(const char *distribution, const char *version, const char *own, int64_t today);
/* eol_text writes "gets no security updates since …" and the like; gives out. "" when there is nothing to say. */
#define EOL_TEXT_MAX 160
const char *eol_text(char out[EOL_TEXT_MAX], const struct eol *x);

#endif
