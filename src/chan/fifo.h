/* SPDX-License-Identifier: GPL-3.0-or-later */
/* struct fifo: bytes in order, one contiguous block, bounded by its owner. Memory is given back when it runs empty after a burst. */
#ifndef CHAN_FIFO_H
#define CHAN_FIFO_H

#include "base/defs.h"

struct fifo {
	uint8_t *mem;
	size_t head, len, cap;
};

/* fifo_free releases the memory; the fifo is empty and usable afterwards. A zeroed struct is an empty fifo. */
void fifo_free(struct fifo *f);
static inline size_t fifo_len(const struct fifo *f)
{
	return f->len;
}
static inline const uint8_t *fifo_data(const struct fifo *f)
{
	return f->mem + f->head;
}
/* fifo_room gives a place for n bytes behind the content, valid until the next call; fifo_added says how many of them count. */
uint8_t *fifo_room(struct fifo *f, size_t n);
void fifo_added(struct fifo *f, size_t n);
void fifo_put(struct fifo *f, const void *p, size_t n);
/* fifo_drop removes n bytes (at most all) from the front. */
void fifo_drop(struct fifo *f, size_t n);
/* fifo_write writes to fd what it takes without waiting. Gives 0 when the fifo is empty, -EAGAIN when some is left, or -errno. SIGPIPE
   must be ignored by the process or fd be a socket. */
int fifo_write(struct fifo *f, int fd);

#endif
