/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Local descriptors without blocking. A descriptor that was inherited may share its file description with other programs (a terminal, a
 * pipe of a shell), whose mode must not change: sockets are used with MSG_DONTWAIT, pipes and terminals are opened anew through /proc.
 */
#ifndef QREXEC_LIO_H
#define QREXEC_LIO_H

#include <sys/types.h>

#include "base/err.h"

struct lio {
	int fd;		 /* -1 = closed */
	bool socket;
	bool wide;	 /* bulk_widen was tried */
	int saved_flags; /* to be restored at close; -1 = none */
};

#define LIO_CLOSED ((struct lio){ .fd = -1, .saved_flags = -1 })

/* lio_open takes fd (-1 gives a closed one). ours: nobody else uses the description, so it is made non-blocking. */
void lio_open(struct lio *l, int fd, bool write, bool ours);
/* lio_read, lio_write: count, 0 at end of file, -EAGAIN, or -errno; ECONNRESET while reading is the end of file. */
ssize_t lio_read(struct lio *l, void *p, size_t n);
ssize_t lio_write(struct lio *l, const void *p, size_t n);
/* lio_close closes and restores the flags. */
void lio_close(struct lio *l);
static inline bool lio_is_open(const struct lio *l)
{
	return l->fd >= 0;
}

#endif
