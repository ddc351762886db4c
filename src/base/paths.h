/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one place that knows where things are, in system mode (fixed paths of the reference) and in session mode (everything
 * below one directory R). Nothing else in the tree spells a path of the system.
 */
#ifndef BASE_PATHS_H
#define BASE_PATHS_H

#include <limits.h>

#include "base/err.h"

enum path_id {
#define PATH(symbol, system, session) PATH_##symbol,
#include "base/paths.def"
#undef PATH
	PATH_N
};

/* paths_init chooses the mode: root non-NULL and not "" = session mode below root; else $QUBES_ROOT; else system mode when
   /etc/bulkhead/system exists and this is root, a daemon of ours, or somebody who may talk to the system's daemon;
   else session mode in $XDG_DATA_HOME/bulkhead or ~/.local/share/bulkhead. Call once, first. */
int paths_init(const char *root, struct err *e);
bool paths_system_mode(void);
/* paths_root gives R, or "" in system mode. */
const char *paths_root(void);
/* path_get gives a static absolute path of a fixed place. */
const char *path_get(enum path_id id);
/* path_fmt writes path_get(id) + formatted rest; aborts when it exceeds PATH_MAX (formats are ours). Gives out. */
const char *path_fmt(char out[PATH_MAX], enum path_id id, const char *fmt, ...) _printf_(3, 4);
/* path_program gives the absolute path of one of our own private programs: beside the running executable (build tree) or
   in the installed libexec directory. Static per call site is not guaranteed: copy it. Writes to out and gives it. */
const char *path_program(char out[PATH_MAX], const char *name);
/* path_data gives the directory of shipped data (default policy, services): build tree or installed. */
const char *path_data(char out[PATH_MAX], const char *name);
/* paths_make creates the directories: of session mode 0700, of system mode with the owners of the table in paths.c (only as root), and
   there the names under which clients of the reference know the sockets. */
int paths_make(struct err *e);

#endif
