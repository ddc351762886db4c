/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packs our init program and the kernel modules that it loads. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/str.h"
#include "base/wr.h"
#include "template/cpio.h"
#include "template/moddep.h"
#include "template/run.h"

#define MODULE_MAX (32u << 20)

/* What the init loads: "boot" always, the others when the root file system asks for them. A name
   that a kernel has built in is passed over; the file list of each group is what /modules.list
   holds. ext4 asks for crc32c by a name that modules.dep does not follow: the general kernel has it
   as a module. */
static const struct {
	const char *group, *module;
} wanted[] = {
	{ "boot", "virtio_pci" },     { "boot", "virtio_blk" }, { "boot", "virtio_console" }, { "boot", "crc32c_generic" },
	{ "boot", "ext4" },
	{ "snapshot", "dm_snapshot" }, { "overlay", "overlay" }, { "erofs", "erofs" },
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* list_text writes the groups' lines and collects every file once. */
static int list_text(const char *dep, size_t len, struct wr *list, struct moddep_list *all, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		struct moddep_list one = { 0 };
		int r = moddep_resolve(dep, len, wanted[i].module, &one, e);

		if (r == -ENOENT) {
			err_clear(e);
			continue;
		}
		for (size_t j = 0; r == 0 && j < one.n; j++)
			wr_printf(list, "%s %s\n", wanted[i].group, base_name(one.path[j]));
		if (r == 0)
			r = moddep_resolve(dep, len, wanted[i].module, all, e);
		moddep_free(&one);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_file(struct cpio *c, int dirfd, const char *path, const char *name, mode_t mode, struct err *e)
{
	_cleanup_free_ char *data = NULL;
	size_t n;
	int r = fs_read(dirfd, path, MODULE_MAX, &data, &n, e);

	if (r == 0)
		cpio_file(c, name, mode, data, n);
	return r;
}

static int write_archive(int out, int modules, const char *init, const struct moddep_list *files, const struct wr *list, struct err *e)
{
	static const char *const dirs[] = { "dev", "proc", "sys", "run", "newroot", "lower", "layer", "modules" };
	struct cpio c;
	int r;

	cpio_begin(&c, out);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		cpio_dir(&c, dirs[i]);
	/* The kernel opens it for the first program, before devtmpfs exists. */
	cpio_chardev(&c, "dev/console", 0600, 5, 1);
	cpio_file(&c, "modules.list", 0644, list->buf, list->len);
	r = add_file(&c, AT_FDCWD, init, "init", 0755, e);
	for (size_t i = 0; r == 0 && i < files->n; i++) {
		char name[300];

		if (str_printf(name, sizeof name, "modules/%s", base_name(files->path[i])) < 0)
			return err_set(e, ENAMETOOLONG, "a module name is too long");
		r = add_file(&c, modules, files->path[i], name, 0644, e);
	}
	return r < 0 ? r : cpio_end(&c, e);
}

int initramfs_make(const char *modules_dir, const char *init, const char *out, struct err *e)
{
	_cleanup_(moddep_free) struct moddep_list files = { 0 };
	_cleanup_wr_ struct wr list = wr_grow(1 << 16);
	_cleanup_free_ char *dep = NULL;
	_cleanup_fd_ int modules = open(modules_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int fd = -1;
	size_t len;
	int r;

	if (modules < 0)
		return err_errno(e, errno, "opening %s", modules_dir);
	r = fs_read(modules, "modules.dep", 16 << 20, &dep, &len, e);
	if (r >= 0)
		r = list_text(dep, len, &list, &files, e);
	if (r >= 0 && !wr_ok(&list))
		r = err_set(e, ENOMEM, "module list");
	if (r < 0)
		return r;
	fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return fd < 0 ? err_errno(e, errno, "opening %s", out) : write_archive(fd, modules, init, &files, &list, e);
}
