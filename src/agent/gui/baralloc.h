/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Places in the memory for pixels. Owns the table of what is taken; never touches the memory itself. First fit, in units of GUI_BAR_ALIGN, so
 * that a long session does not scatter: windows come and go in few sizes.
 */
#ifndef AGENT_GUI_BARALLOC_H
#define AGENT_GUI_BARALLOC_H

#include "base/defs.h"

struct bar_part {
	uint64_t off, len;
};

struct bar_alloc {
	uint64_t size;
	struct bar_part *v; /* taken, in order of off, not overlapping */
	size_t n, cap;
};

/* bar_init makes all size bytes free (rounded down to whole units). bar_fini releases the table. A zeroed struct has no place. */
void bar_init(struct bar_alloc *b, uint64_t size);
void bar_fini(struct bar_alloc *b);
/* bar_get takes len bytes (rounded up to units) and gives their offset; -ENOSPC, -EINVAL for 0. */
int bar_get(struct bar_alloc *b, uint64_t len, uint64_t *ret) _must_check_;
/* bar_put gives back what begins at off; -ENOENT when nothing does. */
int bar_put(struct bar_alloc *b, uint64_t off);
uint64_t bar_used(const struct bar_alloc *b);

#endif
