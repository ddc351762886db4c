/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copying a qube over the Admin API: create, then everything that belongs to it. Used by qvm-clone and qvm-create. */
#ifndef TOOL_CLONE_H
#define TOOL_CLONE_H

#include "tool/util.h"

/* Rows for the option tables of both. */
#define OPTS_POOL                                                                                          \
	{ 'P', "pool-all", "POOL", "storage pool of all volumes", 0, W_POOL },                             \
	{ 'p', "pool", "VOLUME=POOL", "storage pool of one volume (repeatable)", 0, W_VOLUME_POOL }

struct clone_spec {
	const char *src, *dst;
	const char *cls;   /* class of the copy; NULL = that of the source */
	const char *label; /* NULL = that of the source */
	bool ignore_errors;
};

/* clone_qube makes the copy. On failure the unfinished copy is removed again (unless ignore_errors). Prints; gives an exit status. */
int clone_qube(struct tool *t, const struct clone_spec *s);
/* create_qube makes one call of admin.vm.Create or CreateInPool with the pools of the options. 0 or an exit status (printed). */
int create_qube(struct tool *t, const char *cls, const char *tmpl, const char *name, const char *label);

#endif
