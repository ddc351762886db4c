/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What private.c and prepared.c have in common: a new file system for a private volume, and what is in it at first. */
#ifndef AGENT_EARLY_PRIVATE_H
#define AGENT_EARLY_PRIVATE_H

#include "agent/early/early.h"

/* private_make_fs makes an ext4 file system on a device or file, for a disposable without a journal. tree (NULL = none): a directory of which it gets a copy. */
int private_make_fs(const struct early *q, const char *target, const char *tree, struct err *e);
/* private_fill makes below RW what every private volume has; what is there already stays. */
int private_fill(struct err *e);

#endif
