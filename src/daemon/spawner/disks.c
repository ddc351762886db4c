/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images and kernels: opened here, beneath the directories of this instance's pools, without following a link; QEMU gets descriptors.
 * Writable are only files that a storage driver made for a run (…-dirty.…) and files that this file makes without a name.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/spawner/spawner.h"
#include "storage/qcow2fmt.h"

void disks_init(struct disk_fds *d)
{
	memset(d, 0xff, sizeof *d); /* -1 everywhere */
	d->in_memory = false;
}

void disks_fini(struct disk_fds *d)
{
	for (size_t i = 0; i < VM_DISKS_MAX; i++) {
		for (size_t k = 0; k < VM_LAYERS_MAX; k++)
			fd_closep(&d->layers[i][k]);
		fd_closep(&d->ephemeral[i]);
	}
	fd_closep(&d->kernel);
	fd_closep(&d->initrd);
	fd_closep(&d->ram);
	fd_closep(&d->state);
	fd_closep(&d->gui);
	fd_closep(&d->gui_reading);
}

bool pool_allowed(const char *dir)
{
	const char *all = path_get(PATH_POOL_DEFAULT);

	if (streq(dir, all))
		return true;
	/* Further pools lie below it: the core cannot name a directory that is not the instance's own. */
	return str_starts(dir, all) && dir[strlen(all)] == '/' && !strstr(dir, "/../") && !str_ends(dir, "/..") && !strstr(dir, "//");
}

int pool_ready(const char *dir, struct err *e)
{
	const char *all = path_get(PATH_POOL_DEFAULT);
	_cleanup_fd_ int base = -1, fd = -1;

	if (!paths_system_mode() || streq(dir, all))
		return 0;
	base = open(all, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return err_errno(e, errno, "opening '%s'", all);
	/* One level: what is deeper the image-worker makes itself. */
	dir += strlen(all) + 1;
	if (strchr(dir, '/'))
		return 0;
	if (mkdirat(base, dir, 0700) < 0)
		return errno == EEXIST ? 0 : err_errno(e, errno, "creating the pool '%s'", dir);
	fd = openat(base, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fchown(fd, ID_IMAGES, ID_IMAGES) < 0)
		return err_errno(e, errno, "the pool '%s'", dir);
	return 0;
}

static int open_dir(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_errno(e, errno, "opening '%s'", path) : fd;
}

static int open_image(int dir, const char *path, int flags, struct err *e)
{
	int fd = fs_open_beneath(dir, path, flags | O_NONBLOCK, 0, e); /* never wait for the writer of a FIFO */
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(e, EINVAL, "'%s' is not a regular file", path);
	}
	/* Clones share committed images (storage/qcow2_share.c): what has a second name is not this run's alone. */
	if ((flags & O_ACCMODE) != O_RDONLY && st.st_nlink != 1) {
		close(fd);
		return err_set(e, EACCES, "'%s' has more than one name", path);
	}
	return fd;
}

static int unnamed_file(int dir, struct err *e)
{
	char name[] = ".unnamed-XXXXXX", path[64];
	int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd >= 0 ? fd : err_errno(e, errno, "creating a file without a name");
	if (str_printf(path, sizeof path, "/proc/self/fd/%d/%s", dir, name) < 0)
		return err_set(e, ENAMETOOLONG, "creating a file without a name");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "creating a file without a name");
	if (unlink(path) < 0) {
		close(fd);
		return err_errno(e, errno, "removing the name of a file");
	}
	return fd;
}

/* No page of it belongs to a file system, so none is ever written back to one. */
static int file_in_memory(const struct vm_disk *d, struct err *e)
{
	int fd = memfd_create(d->serial, MFD_CLOEXEC);

	return fd < 0 ? err_errno(e, errno, "a disk in memory") : fd;
}

static int open_ephemeral(const struct vm_disk *d, int dir, bool in_memory, struct err *e)
{
	_cleanup_fd_ int fd = in_memory ? file_in_memory(d, e) : unnamed_file(dir, e);
	int r = 0;

	if (fd < 0)
		return fd;
	if (d->n_layers)
		r = qcow2_create(fd, d->ephemeral_size, "", false, e);
	else if (ftruncate(fd, (off_t)d->ephemeral_size) < 0)
		r = err_errno(e, errno, "making an empty disk of %llu bytes", (unsigned long long)d->ephemeral_size);
	return r < 0 ? r : STEAL_FD(fd);
}

static bool made_for_a_run(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strstr(slash ? slash : path, "-dirty.") != NULL;
}

/* A volume of a pool of devices has one layer, and what the qube throws away is one of its own. */
static int open_device(struct disk_fds *ret, const struct vm_disk *d, size_t i, struct err *e)
{
	if (d->n_layers != 1 || (d->ephemeral_size && !ret->in_memory))
		return err_set(e, EINVAL, "disk %s: a device has no layers but in memory", d->serial);
	ret->layers[i][0] = storage_open_device(d->pool_dir, d->layers[0].path, !d->readonly && !d->ephemeral_size, e);
	if (ret->layers[i][0] >= 0 && d->ephemeral_size)
		ret->ephemeral[i] = open_ephemeral(d, -1, true, e);
	if (ret->layers[i][0] < 0)
		return err_add(e, ret->layers[i][0], "disk %s", d->serial);
	return d->ephemeral_size && ret->ephemeral[i] < 0 ? err_add(e, ret->ephemeral[i], "disk %s", d->serial) : 0;
}

int disks_given(struct disk_fds *ret, const struct vm_spec *s, int *fd, struct err *e)
{
	int i = vm_spec_given(s), flags;
	const struct vm_disk *d;
	struct stat st;

	if (i < 0 || *fd < 0)
		return i < 0 && *fd < 0 ? 0 : err_set(e, EINVAL, "a disk is given without its descriptor, or the other way round");
	d = &s->disks[i];
	flags = fcntl(*fd, F_GETFL);
	if (flags < 0 || fstat(*fd, &st) < 0)
		return err_errno(e, errno, "disk %s", d->serial);
	/* QEMU wants a descriptor of exactly the access that it uses. */
	if ((flags & O_ACCMODE) != (d->readonly ? O_RDONLY : O_RDWR) || flags & O_PATH)
		return err_set(e, EACCES, "disk %s: its descriptor is not for %s", d->serial, d->readonly ? "reading only" : "reading and writing");
	if (d->layers[0].format == VM_FMT_GIVEN ? !S_ISREG(st.st_mode) : !S_ISBLK(st.st_mode))
		return err_set(e, EINVAL, "disk %s: what was given is not what was said", d->serial);
	ret->layers[i][0] = STEAL_FD(*fd);
	return 0;
}

static int open_disk(struct disk_fds *ret, const struct vm_disk *d, size_t i, struct err *e)
{
	bool kernels = streq(d->pool_dir, path_get(PATH_KERNELS));
	_cleanup_fd_ int dir = -1;

	if (d->n_layers && d->layers[0].format == VM_FMT_DEVICE)
		return open_device(ret, d, i, e);
	if (d->n_layers && (d->layers[0].format == VM_FMT_GIVEN || d->layers[0].format == VM_FMT_GIVEN_DEVICE))
		return ret->layers[i][0] >= 0 ? 0 : err_set(e, EINVAL, "disk %s: no descriptor", d->serial);
	if (!pool_allowed(d->pool_dir) && !(kernels && d->readonly))
		return err_set(e, EACCES, "disk %s: '%s' is not a pool of this instance", d->serial, d->pool_dir);
	dir = open_dir(d->pool_dir, e);
	if (dir < 0)
		return dir;
	for (uint32_t k = 0; k < d->n_layers; k++) {
		bool rw = k + 1 == d->n_layers && !d->readonly && !d->ephemeral_size;

		if (ret->layers[i][k] >= 0)
			continue;
		if (rw && !made_for_a_run(d->layers[k].path))
			return err_set(e, EACCES, "disk %s: '%s' is a committed image", d->serial, d->layers[k].path);
		ret->layers[i][k] = open_image(dir, d->layers[k].path, rw ? O_RDWR : O_RDONLY, e);
		if (ret->layers[i][k] < 0)
			return err_add(e, ret->layers[i][k], "disk %s", d->serial);
	}
	if (d->ephemeral_size && ret->ephemeral[i] < 0) {
		ret->ephemeral[i] = open_ephemeral(d, dir, ret->in_memory, e);
		if (ret->ephemeral[i] < 0)
			return err_add(e, ret->ephemeral[i], "disk %s", d->serial);
	}
	return 0;
}

static int open_kernel(struct disk_fds *ret, const struct vm_spec *s, uint8_t accel, struct err *e)
{
	_cleanup_fd_ int all = -1, dir = -1;

	all = open_dir(path_get(PATH_KERNELS), e);
	if (all < 0)
		return all;
	dir = fs_open_beneath(all, s->kernel, O_RDONLY | O_DIRECTORY, 0, e);
	if (dir < 0)
		return err_add(e, dir, "kernel '%s'", s->kernel);
	/* An emulated qube may start the kernel that is not compressed: cheaper, but its addresses are not randomized. */
	ret->kernel = accel == ACCEL_TCG ? open_image(dir, "vmlinux", O_RDONLY, NULL) : -1;
	if (ret->kernel < 0)
		ret->kernel = open_image(dir, "vmlinuz", O_RDONLY, e);
	if (ret->kernel < 0)
		return err_add(e, ret->kernel, "kernel '%s'", s->kernel);
	ret->initrd = open_image(dir, "initramfs", O_RDONLY, e);
	return ret->initrd < 0 ? err_add(e, ret->initrd, "kernel '%s'", s->kernel) : 0;
}

int disks_open(struct disk_fds *ret, const struct vm_spec *s, uint8_t accel, struct err *e)
{
	/* The kernel of a clone is in its RAM. */
	int r = s->kernel[0] && s->start != VM_START_CLONE ? open_kernel(ret, s, accel, e) : 0;

	for (size_t i = 0; r >= 0 && i < s->n_disks; i++)
		r = open_disk(ret, &s->disks[i], i, e);
	return r;
}
