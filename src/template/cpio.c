/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writer of initramfs archives. */
#include "template/cpio.h"

#include <sys/stat.h>

#include "base/io.h"

static void put(struct cpio *c, const void *p, size_t n)
{
	if (c->failed == 0)
		c->failed = write_full(c->fd, p, n);
}

static void pad(struct cpio *c, size_t n)
{
	static const char zero[4];

	put(c, zero, (4 - n % 4) % 4);
}

static void entry(struct cpio *c, const char *name, mode_t mode, unsigned major, unsigned minor, const void *p, size_t n)
{
	char head[111];
	size_t name_len = strlen(name) + 1;

	if (n > UINT32_MAX) {
		c->failed = -EFBIG;
		return;
	}
	/* magic, ino, mode, uid, gid, nlink, mtime, size, device numbers of the file system, of
	   the node, name length, check sum */
	snprintf(head, sizeof head, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", ++c->ino, (unsigned)mode, 0, 0, 1, 0,
		 (unsigned)n, 0, 0, major, minor, (unsigned)name_len, 0);
	put(c, head, 110);
	put(c, name, name_len);
	pad(c, 110 + name_len);
	put(c, p, n);
	pad(c, n);
}

void cpio_begin(struct cpio *c, int fd)
{
	*c = (struct cpio){ .fd = fd };
}

void cpio_dir(struct cpio *c, const char *name)
{
	entry(c, name, S_IFDIR | 0755, 0, 0, "", 0);
}

void cpio_file(struct cpio *c, const char *name, mode_t mode, const void *p, size_t n)
{
	entry(c, name, S_IFREG | mode, 0, 0, p, n);
}

void cpio_chardev(struct cpio *c, const char *name, mode_t mode, unsigned major, unsigned minor)
{
	entry(c, name, S_IFCHR | mode, major, minor, "", 0);
}

int cpio_end(struct cpio *c, struct err *e)
{
	entry(c, "TRAILER!!!", 0, 0, 0, "", 0);
	return c->failed < 0 ? err_errno(e, -c->failed, "writing the initramfs") : 0;
}
