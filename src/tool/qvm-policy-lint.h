/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-policy lint: findings, and the checks by where they look. */
#ifndef TOOL_QVM_POLICY_LINT_H
#define TOOL_QVM_POLICY_LINT_H

#include "tool/qvm-policy.h"

enum severity { SEV_ERROR, SEV_WARNING, SEV_NOTE, SEV_N };

struct finding {
	enum severity severity;
	const char *check; /* short name of the check */
	char *file;
	unsigned line; /* 0 = the whole file */
	char *text;    /* what is wrong, and what to do */
};

struct lint {
	struct pq *p;
	bool table; /* the table of qubes is known */
	struct finding *v;
	size_t n;
};

/* lint_add notes one finding; the same one twice (an included file) is noted once. */
void lint_add(struct lint *l, enum severity s, const char *check, const char *file, unsigned line, const char *fmt, ...) _printf_(6, 7);
/* lint_rules looks at each rule; qvm-policy-lint-rules.c */
void lint_rules(struct lint *l);
/* lint_files looks at directories and files; qvm-policy-lint-files.c */
void lint_files(struct lint *l);
/* lint_shipped: a file that comes with the system (its name begins with 80 or 90, or it is included by one). */
bool lint_shipped(const struct lint *l, const char *file);

#endif
