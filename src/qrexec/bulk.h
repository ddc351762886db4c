/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bulk data without copying: a pipe of our own through which pages move from one descriptor to another. Only for content that
 * nobody looks at. Every call falls back by -EINVAL when the kernel cannot do it for this kind of descriptor.
 */
#ifndef QREXEC_BULK_H
#define QREXEC_BULK_H

#include <sys/types.h>

#include "base/err.h"

/* Below this many bytes a copy is cheaper than two more system calls. */
#define BULK_MIN 8192

struct bulk {
	int r, w;   /* -1 until the first use */
	size_t len; /* bytes inside */
};
#define BULK_INIT ((struct bulk){ -1, -1, 0 })

/* bulk_fill takes at most n bytes from fd into the empty pipe; bulk_drain gives bytes of the pipe to fd. Count, 0 at end of file, -EAGAIN,
   -EINVAL (not possible here), or -errno. SIGPIPE must be ignored. */
ssize_t bulk_fill(struct bulk *b, int fd, size_t n);
ssize_t bulk_drain(struct bulk *b, int fd);
/* bulk_read copies everything that is inside to p, which must have room for it. */
ssize_t bulk_read(struct bulk *b, void *p, size_t cap);
void bulk_fini(struct bulk *b);
/* bulk_widen lets fd hold more if it is a pipe, so that its two ends work longer between two wake-ups. */
void bulk_widen(int fd);

#endif
