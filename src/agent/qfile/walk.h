/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Walks what a user named, depth first, parents before and after their content, through descriptors of directories. Used by the sender
 * and by the survey, so that both see the same.
 */
#ifndef AGENT_QFILE_WALK_H
#define AGENT_QFILE_WALK_H

#include <sys/stat.h>

#include "base/err.h"

enum walk_step { WALK_FILE, WALK_LINK, WALK_DIR_BEFORE, WALK_DIR_AFTER };

/* One visit. base is the entry's own name inside directory dir; name is its path in the stream. fd: the open file or directory, for
   WALK_LINK -1 (and for WALK_FILE when opening was not asked for). Non-zero ends the walk with that code. */
typedef int (*walk_fn)(enum walk_step step, int dir, const char *base, const char *name, int fd,
		       const struct stat *st, void *arg);
/* Told before the entries of each argument: the directory that the names are relative to, as the user spelled it. */
typedef void (*walk_group_fn)(const char *dir, void *arg);

struct walk {
	walk_fn fn;
	walk_group_fn group; /* may be NULL */
	void (*skipped)(const char *name, void *arg); /* told of each device, fifo and socket; may be NULL */
	bool open_files;
	void *arg;
};

/* walk_path walks one argument: its entries are named after its last component. Devices, fifos and sockets are passed over.
   0 or -errno (or what fn gave). */
int walk_path(const struct walk *w, const char *path, struct err *e);
/* walk_raise_limit raises the limit of open descriptors of this process as far as it may: every level of folders holds one. */
void walk_raise_limit(void);

#endif
