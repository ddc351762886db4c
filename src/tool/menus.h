/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Menu entries of a qube, made from the list that it or its template sent. */
#ifndef TOOL_MENUS_H
#define TOOL_MENUS_H

#include "tool/tool.h"

#define MENUS_NAME 40

/* menus_source gives the qube whose list counts for qube: itself, or the next one below it that has sent one; false when none has. */
bool menus_source(const char *qube, char out[MENUS_NAME]);
/* menus_update makes the entries again and gives their number; from is the source. */
int menus_update(const char *qube, char from[MENUS_NAME], struct err *e);
/* menus_new makes the entries of a qube that was just made. Nothing to make them from is no failure; one is said with -v only. */
void menus_new(const struct tool *t, const char *qube);

#endif
