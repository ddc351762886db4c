/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * struct err: the human half of a failure. Functions return 0 or a positive value on success and a negative
 * code on failure (-errno, or a domain code <= -4096); the text goes into the caller's struct err, which lives
 * on the stack, allocates nothing, and may be NULL. Library code never prints: only mains and event handlers do.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/defs.h"

#define ERR_MSG_MAX 400
/* Domain codes start here, so that one int carries both kinds. */
#define ERR_DOMAIN_BASE 4096

struct err {
	int code; /* positive errno or domain code; 0 = no error recorded */
	char msg[ERR_MSG_MAX];
};

/* err_set records code (positive) and a formatted text; too long a text is cut. Returns -code. e may be NULL. */
int err_set(struct err *e, int code, const char *fmt, ...) _printf_(3, 4);
/* err_errno is err_set with ": strerror(code)" appended. */
int err_errno(struct err *e, int code, const char *fmt, ...) _printf_(3, 4);
/* err_add puts "PREFIX: " in front of the text recorded so far and returns r unchanged. */
int err_add(struct err *e, int r, const char *fmt, ...) _printf_(3, 4);
/* err_text gives the recorded text, or the text of code r (negative) when none was recorded. Never NULL. */
const char *err_text(const struct err *e, int r);
void err_clear(struct err *e);

#endif
