/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-copy, qvm-move, qvm-copy-to-vm and qvm-move-to-vm: send files of dom0 to a qube. */
#ifndef TOOL_COPY_H
#define TOOL_COPY_H

#include "tool/util.h"

enum { KEY_ALL_NAMES = 490, KEY_IGNORE_LINKS, KEY_NO_PROGRESS, KEY_SENDER, KEY_JOURNAL, KEY_RESUME, KEY_FORGET, KEY_UNDO, KEY_UNDOABLE, KEY_TARGET };

#define COPY_OPTS                                                                                                    \
	{ KEY_ALL_NAMES, "allow-all-names", NULL, "also file names with unusual characters", 0, W_ANY },             \
	{ KEY_IGNORE_LINKS, "ignore-symlinks", NULL, "leave symbolic links out", 0, W_ANY },                         \
	{ KEY_NO_PROGRESS, "without-progress", NULL, "do not show how far it is", 0, W_ANY },                        \
	{ KEY_SENDER, "sender", NULL, "inside: be the sender of the stream", OPT_HIDDEN, W_ANY },                    \
	{ KEY_JOURNAL, "journal", "FILE", "inside: of the sender of a move", OPT_HIDDEN, W_ANY }

#define MOVE_OPTS                                                                                                    \
	{ KEY_RESUME, "resume", NULL, "delete the originals of moves that arrived but broke off", 0, W_ANY },        \
	{ KEY_FORGET, "forget", NULL, "keep the originals of moves that arrived but broke off", 0, W_ANY },          \
	{ KEY_UNDOABLE, "undoable", "HOURS", "put the originals aside for so long (24), do not delete them", OPT_OPTIONAL, W_ANY }, \
	{ KEY_UNDO, "undo", NULL, "bring the originals of the last undoable move back", 0, W_ANY }

/* Of qvm-copy and qvm-move. */
#define PICK_OPTS { KEY_TARGET, "target", "QUBE", "send to this qube, whatever the first word is", 0, W_QUBE }

/* copy_run is the whole tool; argv: QUBE FILE…. move: delete what arrived. */
int copy_run(struct tool *t, int argc, char **argv, bool move);
/* copy_pick is the whole tool of those that may be called without a qube; argv: [QUBE] FILE…. */
int copy_pick(struct tool *t, int argc, char **argv, bool move);

#endif
