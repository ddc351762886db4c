/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writer of initramfs archives ("newc"): names, owners and times are fixed, so the same input
   gives the same bytes. */
#ifndef TEMPLATE_CPIO_H
#define TEMPLATE_CPIO_H

#include <sys/types.h>

#include "base/err.h"

struct cpio {
	int fd;
	uint32_t ino;
	int failed; /* first error, negative */
};

/* Sticky like struct wr: errors are reported by cpio_end. The descriptor stays the caller's. */
void cpio_begin(struct cpio *c, int fd);
void cpio_dir(struct cpio *c, const char *name);
void cpio_file(struct cpio *c, const char *name, mode_t mode, const void *p, size_t n);
void cpio_chardev(struct cpio *c, const char *name, mode_t mode, unsigned major, unsigned minor);
int cpio_end(struct cpio *c, struct err *e);

#endif
