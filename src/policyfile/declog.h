/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines of the decision log (docs/protocol/qrexec.md, "Decision log"), read. Writing is policyd's. */
#ifndef POLICYFILE_DECLOG_H
#define POLICYFILE_DECLOG_H

#include "base/err.h"

#define DECLOG_LINE_MAX (1u << 18)

enum declog_field {
	DL_TIME, DL_SOURCE, DL_REQUESTED_SOURCE, DL_TARGET, DL_SERVICE, DL_ARGUMENT, DL_DECISION, DL_RULE, DL_ACTION, DL_EFFECTIVE_TARGET, DL_USER, DL_REASON,
	DL_N
};

struct declog_entry {
	char *field[DL_N]; /* "" when absent */
	uint64_t time_us;  /* since 1970, UTC */
	uint64_t not_logged;
};

/* declog_parse reads one line without its newline: 0, or -EBADMSG. Unknown members are ignored, so that later versions can add some.
   *ret: declog_fini. */
int declog_parse(struct declog_entry *ret, const char *line, size_t n, struct err *e) _must_check_;
void declog_fini(struct declog_entry *x);
/* declog_name gives the JSON name of a field. */
const char *declog_name(enum declog_field f);
/* declog_time reads "YYYY-MM-DDTHH:MM:SS.ffffffZ" (fraction optional). 0 or -EBADMSG. */
int declog_time(const char *s, uint64_t *ret_us);

#endif
