/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal of administrative changes: one file a run of a tool in PATH_UNDO, named by a growing number. Each line is a call that takes one of
 * its changes back, written after the change was made. Tools do nothing for it: the calls themselves are watched.
 *
 * Lines, fields separated by tabs ('\\', tab and newline escaped): "command TEXT", "op TEXT DEST METHOD ARG PAYLOAD" (METHOD empty: cannot be
 * taken back), "gone QUBE" (what the run made, it also removed). Lines that are not whole are passed over.
 */
#ifndef TOOL_JOURNAL_H
#define TOOL_JOURNAL_H

#include "tool/tool.h"

#define JOURNAL_KEPT 100 /* runs */
#define JOURNAL_FILE_MAX (4u << 20)

/* journal_start watches the calls of this process; command is what the user typed. journal_stop ends that. A journal that cannot be written is
   none: the tool works all the same, and says so with -v. */
void journal_start(const struct tool *t, int argc, char **argv);
void journal_stop(void);

struct journal_op {
	char *text, *dest, *method, *arg, *payload;
	bool gone;
};
struct journal_entry {
	uint64_t no, time; /* of the last change: microseconds since 1970 */
	char *command, *data; /* the pointers point into data */
	struct journal_op *ops;
	size_t n;
};
/* journal_parse decodes text (changed in place) into ent. */
void journal_parse(struct journal_entry *ent, char *text);
/* journal_load gives all entries, oldest first; no directory = none. journal_free frees them. */
int journal_load(struct journal_entry **ret, size_t *ret_n, struct err *e);
void journal_free(struct journal_entry *v, size_t n);
/* journal_time gives the time of a file in that form. */
struct stat;
uint64_t journal_time(const struct stat *sb);
int journal_drop(uint64_t no, struct err *e);

#endif
