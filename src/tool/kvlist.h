/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What qvm-pool and qvm-volume share: key=value answers, "Set.KEY" methods, sub-commands. */
#ifndef TOOL_KVLIST_H
#define TOOL_KVLIST_H

#include "tool/util.h"

/* kv_print shows "key=value" lines (changed in place) as a table of two columns. kv_json writes them as members of the open object of j. */
void kv_print(const struct tool *t, char *text);
void kv_json(struct json *j, char *text);
/* kv_set calls BASE.KEY on dest with the value when key is one of the NULL-terminated keys; -EINVAL when it is not. */
int kv_set(const char *dest, const char *base, const char *const *keys, const char *key, const char *arg, const char *value, struct err *e);
/* sub_usage prints how a sub-command is used, or which there are, and gives the exit status. */
int sub_usage(const struct tool *t, const char *cmd);
/* sub_find looks argv[0] up in the verb's table of sub-commands and checks how many words are behind it. Gives its row, or -1 when the use is wrong, which is
   printed: the exit status is EXIT_USAGE. */
int sub_find(const struct tool *t, int argc, char **argv);

#endif
