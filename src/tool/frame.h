/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of the frame: what its own files share and verbs do not need. */
#ifndef TOOL_FRAME_H
#define TOOL_FRAME_H

#include "tool/tool.h"

#define KEY_VERSION 1000

extern const struct tool_opt common_opts[];
const struct tool_opt *opt_row(const struct verb *v, size_t i);
/* opt_spelling writes "-x ARG, --long=ARG" (or with other marks around the argument) into out. */
void opt_spelling(char *out, size_t cap, const struct tool_opt *o, bool man);

#endif
