/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shows how far a copy is: a line on a terminal, or numbers for a graphical front end. Used by the senders of qubes and of dom0. Shows names
 * only escaped.
 */
#ifndef AGENT_QFILE_PROGRESS_H
#define AGENT_QFILE_PROGRESS_H

#include "base/defs.h"

/* Values of $PROGRESS_TYPE. */
enum progress_kind { PROGRESS_NONE, PROGRESS_CONSOLE, PROGRESS_GUI };

struct progress {
	enum progress_kind kind;
	int fd;		/* PROGRESS_GUI: gets the number of bytes sent so far, one a line; -1 = none */
	unsigned width; /* PROGRESS_CONSOLE: columns of the terminal on standard error; 0 = no terminal: the short form of the reference */
	uint64_t total; /* bytes; 0 = unknown */
	uint64_t start_us, last_us;
	size_t shown; /* columns of the line that stands there */
};

/* progress_kind parses "console", "gui" or "none": 0 or -EINVAL. */
int progress_kind(const char *text, enum progress_kind *ret) _must_check_;
/* progress_init starts the clock; total as above. fd stays the caller's. */
void progress_init(struct progress *p, enum progress_kind kind, int fd, uint64_t total);
/* progress_from_env takes $PROGRESS_TYPE, $FILECOPY_TOTAL_BYTES and $SAVED_FD_1; what is absent or wrong shows nothing. */
void progress_from_env(struct progress *p);
/* progress_show is the callback of qfile_pack; draws a few times a second. arg: struct progress. */
void progress_show(uint64_t sent, const char *name, void *arg);
/* progress_end draws the last state when the copy went well, and leaves the line. */
void progress_end(struct progress *p, uint64_t sent, bool ok);
/* progress_line formats the line of a terminal of p->width columns, without line end: at most width - 1 columns. */
void progress_line(char *out, size_t cap, const struct progress *p, uint64_t now, uint64_t sent, const char *name);

#endif
