/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Byte queue. */
#include "chan/fifo.h"

#include <sys/socket.h>

#define KEEP_MAX 131072 /* an empty fifo keeps at most this much memory */
#define FIRST_CAP 4096

void fifo_free(struct fifo *f)
{
	free(f->mem);
	*f = (struct fifo){ 0 };
}

uint8_t *fifo_room(struct fifo *f, size_t n)
{
	size_t need, cap = f->cap ? f->cap : FIRST_CAP;

	if (f->len == 0)
		f->head = 0;
	if (f->cap - f->head - f->len >= n && f->mem)
		return f->mem + f->head + f->len;
	/* Moving is cheap only while little is left; otherwise grow, so that each byte moves a bounded number of times. */
	if (f->head && f->len <= f->head && f->cap - f->len >= n) {
		memmove(f->mem, f->mem + f->head, f->len);
		f->head = 0;
		return f->mem + f->len;
	}
	if (!add_ok(f->len, n, &need))
		abort();
	while (cap < need)
		if (!mul_ok(cap, (size_t)2, &cap))
			abort();
	if (f->head) {
		uint8_t *mem = xmalloc(cap);

		memcpy(mem, f->mem + f->head, f->len);
		free(f->mem);
		f->mem = mem;
		f->head = 0;
	} else if (cap != f->cap) {
		f->mem = xreallocarray(f->mem, cap, 1);
	}
	f->cap = cap;
	return f->mem + f->len;
}

void fifo_added(struct fifo *f, size_t n)
{
	f->len += n;
}

void fifo_put(struct fifo *f, const void *p, size_t n)
{
	if (n == 0)
		return;
	memcpy(fifo_room(f, n), p, n);
	f->len += n;
}

void fifo_drop(struct fifo *f, size_t n)
{
	if (n < f->len) {
		f->head += n;
		f->len -= n;
		return;
	}
	f->head = f->len = 0;
	if (f->cap > KEEP_MAX)
		fifo_free(f);
}

int fifo_write(struct fifo *f, int fd)
{
	while (f->len) {
		ssize_t n = send(fd, fifo_data(f), f->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == ENOTSOCK)
			n = write(fd, fifo_data(f), f->len);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		fifo_drop(f, (size_t)n);
	}
	return 0;
}
