/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counts the lines that apt and dpkg write once for each package. */
#include "template/aptlog.h"

#include "base/str.h"

/* "3 upgraded, 120 newly installed, 0 to remove and 0 not upgraded." */
static unsigned newly(const char *line)
{
	const char *at = strstr(line, " newly installed");
	const char *p = at;
	char num[12];
	uint64_t v;

	while (p && p > line && p[-1] >= '0' && p[-1] <= '9')
		p--;
	if (!at || p == at || str_printf(num, sizeof num, "%.*s", (int)(at - p), p) < 0 || str_u64(num, 100000, &v) < 0)
		return 0;
	return (unsigned)v;
}

static void whole_line(struct aptlog *a)
{
	a->line[a->len] = '\0';
	a->len = 0;
	/* Indexes are fetched too, but before anything is planned. */
	if (str_starts(a->line, "Get:") && a->planned)
		a->fetched++;
	else if (str_starts(a->line, "Unpacking "))
		a->unpacked++;
	else if (str_starts(a->line, "Setting up "))
		a->set_up++;
	else
		a->planned += newly(a->line);
}

void aptlog_take(struct aptlog *a, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n')
			whole_line(a);
		else if (a->len + 1 < sizeof a->line)
			a->line[a->len++] = p[i];
	}
}

unsigned aptlog_permille(struct aptlog *a)
{
	unsigned done = MIN(a->fetched, a->planned) + MIN(a->unpacked, a->planned) + MIN(a->set_up, a->planned);
	unsigned now = a->planned ? done * 1000 / (3 * a->planned) : 0;

	a->best = MAX(a->best, now);
	return a->best;
}
