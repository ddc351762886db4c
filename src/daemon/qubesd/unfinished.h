/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Updates that do not come to their end. qvm-update sets a feature on a qube that it has started, and removes it when everything worked: a run
 * that ends while the feature is there, however it ends, leaves the qube's volumes as they were before.
 */
#ifndef QUBESD_UNFINISHED_H
#define QUBESD_UNFINISHED_H

#include "core/core.h"

struct qd;

/* unfinished_is: what this run of q wrote is to be thrown away. */
bool unfinished_is(const struct qube *q);
/* unfinished_done removes the mark; the caller commits. */
void unfinished_done(struct core *core, struct qube *q);
/* unfinished_start does for halted qubes what could not be done when they ended, because this daemon was not there. After the adoption. */
void unfinished_start(struct qd *d);

#endif
