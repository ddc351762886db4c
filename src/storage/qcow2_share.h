/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images of file-qcow2 under more than one name, and the use of a committed image itself. Private to qcow2*.c. */
#ifndef STORAGE_QCOW2_SHARE_H
#define STORAGE_QCOW2_SHARE_H

#include "storage/qcow2_states.h"

/* chain_materialize writes the content of a chain of `from` as one raw file of v. keep: with the time of the chain's head, else a new one that is
   newer than `newer` (NULL = only now). */
int chain_materialize(const struct vol *from, const struct chain *c, const struct vol *v, const char *to, bool keep,
		      const struct timespec *newer, struct err *e);
/* chain_share gives v the states of chain c of `from` as its own, numbered from `first`, in one step and without a copy: the files get second
   names. Where the file system refuses that, one raw copy becomes state `first`. */
int chain_share(const struct vol *from, const struct chain *c, const struct vol *v, uint32_t first, struct err *e);
/* chain_take makes the committed state of c the raw file that a run writes to; nothing else is left of the volume. */
int chain_take(const struct vol *v, struct chain *c, struct err *e);
/* file_alone: has the file no other name? Only then its bytes or its size may change. */
bool file_alone(const struct vol *v, const char *file);

#endif
