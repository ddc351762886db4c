/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Language helpers that every file may use: cleanup attributes, ownership transfer, checked arithmetic.
 * Ownership moves only by STEAL_FD / STEAL_PTR, so a reader sees each transfer.
 */
#ifndef BASE_DEFS_H
#define BASE_DEFS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _must_check_ __attribute__((warn_unused_result))
#define _unused_ __attribute__((unused))
#define _noreturn_ __attribute__((noreturn))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define MIN(a, b) ({ typeof(a) a_ = (a); typeof(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define MAX(a, b) ({ typeof(a) a_ = (a); typeof(b) b_ = (b); a_ > b_ ? a_ : b_; })

#define STEAL_FD(fd) ({ int f_ = (fd); (fd) = -1; f_; })
#define STEAL_PTR(p) ({ typeof(p) p_ = (p); (p) = NULL; p_; })

static inline void fd_closep(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
		*fd = -1;
	}
}

static inline void freep(void *p)
{
	void *q;

	memcpy(&q, p, sizeof q);
	free(q);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_fd_ _cleanup_(fd_closep)
#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_file_ _cleanup_(fclosep)

/* DEFINE_CLEANUP(qube_free, struct qube *) makes qube_freep for use with _cleanup_(). */
#define DEFINE_CLEANUP(fn, type)                                                                   \
	static inline _unused_ void fn##p(type *p)                                                 \
	{                                                                                          \
		if (*p)                                                                            \
			fn(*p);                                                                    \
	}

/* Checked arithmetic: true when the result fits. */
#define add_ok(a, b, res) (!__builtin_add_overflow((a), (b), (res)))
#define mul_ok(a, b, res) (!__builtin_mul_overflow((a), (b), (res)))

/* x*alloc abort when memory is out: used in host processes only after the input limits were enforced. */
void *xmalloc(size_t n) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, alloc_size(1, 2), returns_nonnull));
void *xreallocarray(void *p, size_t n, size_t size) __attribute__((alloc_size(2, 3)));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) _printf_(1, 2) __attribute__((returns_nonnull));

#endif
