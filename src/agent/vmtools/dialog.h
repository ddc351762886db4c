/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A window with the progress of a copy: zenity (or what takes its place, see qvm-copy(1)), which reads percents on its standard input. When
 * its user closes or cancels it, the copy is to end.
 */
#ifndef AGENT_VMTOOLS_DIALOG_H
#define AGENT_VMTOOLS_DIALOG_H

#include "base/proc.h"

struct dialog {
	struct proc proc;
	int to;	  /* its standard input */
	int from; /* numbers of bytes, one a line, from the sender */
	uint64_t total;
	unsigned percent;
	char line[32]; /* an unfinished line */
	size_t len;
};
#define DIALOG_INIT ((struct dialog){ .proc = { .pid = 0, .pidfd = -1 }, .to = -1, .from = -1 })

/* dialog_possible: is there a display, and a program to show the window? */
bool dialog_possible(void);
/* dialog_open shows the window. *ret_counts is the descriptor (the caller's) into which the sender is to write. 0 or -errno. */
int dialog_open(struct dialog *d, const char *title, uint64_t total, int *ret_counts, struct err *e);
/* dialog_follow shows what the sender says until client has ended: 0; or until the user cancelled: -ECANCELED, with client told to end. */
int dialog_follow(struct dialog *d, struct proc *client);
void dialog_close(struct dialog *d);

#endif
