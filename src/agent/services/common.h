/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the services and user tools of a qube share: lines of input, bounded copies, calls to other qubes. */
#ifndef AGENT_SERVICES_COMMON_H
#define AGENT_SERVICES_COMMON_H

#include "base/err.h"
#include "base/rd.h"

/* read_line reads bytes one by one up to a newline (not kept) or the end of input, so that nothing behind the line is lost. -E2BIG when it does
   not fit, -EBADMSG for a NUL byte, -ENODATA when there is no byte at all. */
int read_line(int fd, char *out, size_t cap, struct err *e);
/* read_some reads up to the end of input, at most max bytes (-EFBIG for more). Caller frees. */
int read_some(int fd, size_t max, char **ret, size_t *ret_len, struct err *e);
/* copy_all moves bytes until the end of input; gives their number through ret_n (may be NULL). */
int copy_all(int from, int to, uint64_t *ret_n, struct err *e);

/* How a call to another qube goes: what it reads (-1 = nothing) and where its answer goes (-1 = nowhere); both stay the caller's. */
struct remote {
	const char *target, *service; /* service with its argument */
	int in, out;
};
/* remote_text sends a text and gives up to max bytes of the answer (caller frees). An exit status other than 0 is -EREMOTEIO with a text. */
int remote_text(const char *target, const char *service, const char *text, size_t max, char **ret, size_t *ret_len, struct err *e);
/* remote_reason gives words for the exit status of a call that did not work. */
const char *remote_reason(int code);

/* finish prints the text of a failure for people and gives the exit status 1, or 0. */
int finish(const char *program, int r, const struct err *e);

#endif
