/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of qubes in the colour of their label, on a terminal that takes colours; elsewhere as they are. */
#ifndef TOOL_COLOUR_H
#define TOOL_COLOUR_H

#include "tool/tool.h"

/* table_qube adds a cell with the name of a qube (NULL = "-"). */
void table_qube(struct table *tb, const struct tool *t, const char *name);
/* put_qube prints a name to f (stdout or stderr), without a newline. */
void put_qube(FILE *f, const struct tool *t, const char *name);
/* qube_rgb gives the colour of a qube's label; false when it is not known. All labels are asked for once. */
bool qube_rgb(const char *name, uint32_t *ret);

#endif
