/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tools that change the run state of qubes share. */
#ifndef TOOL_LIFECYCLE_H
#define TOOL_LIFECYCLE_H

#include "tool/util.h"

/* act_on calls METHOD on every picked qube at once; each failure is a line on stderr. An error for which harmless() (may be NULL) is true
   is passed over. Gives the number of failures. dom0 is left out when it was not named (--all). */
int act_on(const struct tool *t, const struct adm_qubes *all, const bool *picked, const char *method, const char *arg,
	   bool (*harmless)(int r));
/* act_simple is a whole tool: [--all] NAME…, one method, status 1 when any failed. With --all, qubes for which the state is not
   wanted (NULL = any) are left out. */
int act_simple(struct tool *t, int argc, char **argv, const char *method, const char *wanted_state);

#endif
