/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Table of the taken places. */
#include "agent/gui/baralloc.h"

#include "proto/gui.h"

void bar_init(struct bar_alloc *b, uint64_t size)
{
	*b = (struct bar_alloc){ .size = size / GUI_BAR_ALIGN * GUI_BAR_ALIGN };
}

void bar_fini(struct bar_alloc *b)
{
	free(b->v);
	*b = (struct bar_alloc){ 0 };
}

static void insert(struct bar_alloc *b, size_t at, uint64_t off, uint64_t len)
{
	if (b->n == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 64;
		b->v = xreallocarray(b->v, b->cap, sizeof *b->v);
	}
	memmove(b->v + at + 1, b->v + at, (b->n - at) * sizeof *b->v);
	b->v[at] = (struct bar_part){ .off = off, .len = len };
	b->n++;
}

int bar_get(struct bar_alloc *b, uint64_t len, uint64_t *ret)
{
	uint64_t end = 0, whole;

	if (len == 0 || !add_ok(len, (uint64_t)GUI_BAR_ALIGN - 1, &whole))
		return -EINVAL;
	whole = whole / GUI_BAR_ALIGN * GUI_BAR_ALIGN;
	for (size_t i = 0; i <= b->n; i++) {
		uint64_t next = i < b->n ? b->v[i].off : b->size;

		if (next - end >= whole) {
			insert(b, i, end, whole);
			*ret = end;
			return 0;
		}
		if (i < b->n)
			end = b->v[i].off + b->v[i].len;
	}
	return -ENOSPC;
}

int bar_put(struct bar_alloc *b, uint64_t off)
{
	for (size_t i = 0; i < b->n; i++) {
		if (b->v[i].off != off)
			continue;
		b->n--;
		memmove(b->v + i, b->v + i + 1, (b->n - i) * sizeof *b->v);
		return 0;
	}
	return -ENOENT;
}

uint64_t bar_used(const struct bar_alloc *b)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < b->n; i++)
		sum += b->v[i].len;
	return sum;
}
