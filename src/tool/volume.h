/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-volume list, apart from the rest of qvm-volume. */
#ifndef TOOL_VOLUME_H
#define TOOL_VOLUME_H

#include "tool/tool.h"

enum { KEY_FULL = 400, KEY_SIZE, KEY_NO_RESIZE };

int volume_list(struct tool *t, int argc, char **argv);

#endif
