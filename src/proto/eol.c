/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ends of life of releases. */
#include "proto/eol.h"

#include "base/str.h"
#include "proto/tpl.h"

static const struct {
	const char *distribution, *version, *end, *lts;
} rows[] = {
#define EOL(distribution_, version_, end_, lts_) { distribution_, version_, end_, lts_ },
#include "proto/eol.def"
#undef EOL
};

static struct eol of_date(const char *date, int64_t today, bool lts)
{
	struct eol x = { .level = EOL_UNKNOWN, .lts = lts };
	int64_t day;

	if (!tpl_date_ok(date, &day) || str_copy(x.date, sizeof x.date, date) < 0)
		return x;
	/* The last day is a good one. */
	x.days = day - today;
	if (x.days < 0)
		x.level = EOL_PAST;
	else if (x.days <= EOL_NOW_DAYS)
		x.level = EOL_NOW;
	else
		x.level = x.days <= EOL_SOON_DAYS || lts ? EOL_SOON : EOL_FAR;
	return x;
}

/* "12" is the row of 12.7 too. */
static bool same_version(const char *row, const char *version)
{
	size_t n = strlen(row);

	return strncmp(row, version, n) == 0 && (version[n] == '\0' || version[n] == '.');
}

struct eol eol_judge(const char *distribution, const char *version, const char *own, int64_t today)
{
	if (own && own[0])
		return of_date(own, today, false);
	for (size_t i = 0; distribution && version && i < ARRAY_SIZE(rows); i++) {
		struct eol x;

		if (!streq(rows[i].distribution, distribution) || !same_version(rows[i].version, version))
			continue;
		x = of_date(rows[i].end, today, false);
		return x.level == EOL_PAST && rows[i].lts ? of_date(rows[i].lts, today, true) : x;
	}
	return (struct eol){ .level = EOL_UNKNOWN };
}

const char *eol_text(char out[EOL_TEXT_MAX], const struct eol *x)
{
	const char *what = x->lts ? "long-term support" : "support";
	long long days = x->days < 0 ? -x->days : x->days;
	int r = 0;

	out[0] = '\0';
	switch (x->level) {
	case EOL_UNKNOWN:
	case EOL_FAR:
		break;
	case EOL_SOON:
		if (x->lts && x->days > EOL_SOON_DAYS)
			r = str_printf(out, EOL_TEXT_MAX, "has only long-term support, until %s", x->date);
		else
			r = str_printf(out, EOL_TEXT_MAX, "%s ends in %lld days, on %s", what, days, x->date);
		break;
	case EOL_NOW:
		if (days == 0)
			r = str_printf(out, EOL_TEXT_MAX, "%s ends today", what);
		else
			r = str_printf(out, EOL_TEXT_MAX, "%s ends in %lld day%s, on %s", what, days, days == 1 ? "" : "s", x->date);
		break;
	case EOL_PAST:
		r = str_printf(out, EOL_TEXT_MAX, "gets no security updates any more: %s ended %lld day%s ago, on %s", what, days, days == 1 ? "" : "s", x->date);
		break;
	}
	if (r < 0)
		abort(); /* all parts are bounded */
	return out;
}
