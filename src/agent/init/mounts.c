/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mounts of the initramfs, the root file system and the step over to it. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "agent/init/init.h"
#include "agent/init/layout.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"

#define RUN_DIR "/run/bulkhead"
#define GUEST_BOOT "/usr/lib/bulkhead/boot"

static int do_mount(const char *src, const char *dst, const char *type, unsigned long flags, const char *data, struct err *e)
{
	if (mkdir(dst, 0755) < 0 && errno != EEXIST && errno != EROFS)
		return err_errno(e, errno, "making %s", dst);
	if (mount(src, dst, type, flags, data) < 0)
		return err_errno(e, errno, "mounting %s on %s", src, dst);
	return 0;
}

int mounts_early(struct err *e)
{
	static const struct {
		const char *type, *dst, *data;
		unsigned long flags;
	} fs[] = {
		{ "proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "devtmpfs", "/dev", "mode=0755", MS_NOSUID },
		{ "tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fs); i++) {
		int r = do_mount(fs[i].type, fs[i].dst, fs[i].type, fs[i].flags, fs[i].data, e);

		if (r < 0)
			return r;
	}
	return 0;
}

/* probe_fs names the file system on a device by its signature. */
static int probe_fs(const char *path, const char **ret, struct err *e)
{
	_cleanup_free_ uint8_t *p = malloc(FS_PROBE_BYTES);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	if (fd < 0)
		return err_errno(e, errno, "opening %s", path);
	n = read_full(fd, p, FS_PROBE_BYTES);
	if (n < 0)
		return err_errno(e, (int)-n, "reading %s", path);
	*ret = fs_detect(p, (size_t)n);
	return *ret ? 0 : err_set(e, EINVAL, "%s holds no file system that is known here", path);
}

static bool root_is_ro(const struct boot *b)
{
	return b->args.root_mode == ROOT_RO || (b->args.root_mode == ROOT_AUTO && b->disks[DISK_ROOT].read_only);
}

/* dev_sectors gives the size of a block device or partition (a name such as vda3). */
static int dev_sectors(const char *dev, uint64_t *ret, struct err *e)
{
	char path[64];
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	if (str_printf(path, sizeof path, "/sys/class/block/%s/size", dev) < 0)
		return err_set(e, ENAMETOOLONG, "device name");
	r = fs_read(AT_FDCWD, path, 64, &text, &len, e);
	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	return str_u64(text, UINT64_MAX, ret) < 0 ? err_set(e, EINVAL, "%s is not a number", path) : 0;
}

/* mount_layered puts a layer in memory over a root that no driver can write to. */
static int mount_layered(struct boot *b, struct err *e)
{
	int r;

	b->root_overlay = true;
	r = modules_load("overlay", e);
	if (r >= 0)
		r = do_mount(b->root_source, "/lower", b->root_fs, MS_RDONLY, NULL, e);
	if (r >= 0)
		r = do_mount("layer", "/layer", "tmpfs", 0, "mode=0755,size=50%", e);
	if (r < 0)
		return r;
	if (mkdir("/layer/upper", 0755) < 0 || mkdir("/layer/work", 0755) < 0)
		return err_errno(e, errno, "making the layer");
	return do_mount("overlay", NEWROOT, "overlay", 0, "lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work", e);
}

static int make_snapshot(struct boot *b, const char *part, struct err *e)
{
	char origin[32], cow[32];
	uint64_t sectors = 0;
	int r;

	if (!b->disks[DISK_VOLATILE].kernel[0])
		return err_set(e, ENODEV, "a read-only root needs the volatile disk");
	if (str_printf(origin, sizeof origin, "/dev/%s", part) < 0 ||
	    str_printf(cow, sizeof cow, "/dev/%s2", b->disks[DISK_VOLATILE].kernel) < 0)
		return err_set(e, ENAMETOOLONG, "device name");
	r = dev_sectors(part, &sectors, e);
	if (r >= 0)
		r = modules_load("snapshot", e);
	if (r >= 0)
		r = disk_wait_node(b, cow + strlen("/dev/"), 10000, e);
	if (r >= 0)
		r = dm_snapshot("dmroot", origin, cow, sectors, e);
	return r;
}

int mounts_root(struct boot *b, struct err *e)
{
	char part[24], link[32];
	bool ro = root_is_ro(b);
	int r;

	r = root_partition(b, part, sizeof part, e);
	if (r >= 0 && str_printf(b->root_source, sizeof b->root_source, "/dev/%s", part) < 0)
		r = err_set(e, ENAMETOOLONG, "root device");
	if (r >= 0)
		r = probe_fs(b->root_source, &b->root_fs, e);
	/* ext4 is built into the kernels we use; a group of that name need not exist. */
	if (r >= 0)
		r = modules_load(b->root_fs, e);
	if (r < 0)
		return r;
	if (fs_read_only(b->root_fs))
		return mount_layered(b, e);
	if (ro) {
		r = make_snapshot(b, part, e);
		if (r < 0)
			return r;
	} else {
		if (mkdir("/dev/mapper", 0755) < 0 && errno != EEXIST)
			return err_errno(e, errno, "making /dev/mapper");
		if (str_printf(link, sizeof link, "../%s", part) < 0 ||
		    (symlink(link, "/dev/mapper/dmroot") < 0 && errno != EEXIST))
			return err_set(e, EIO, "naming the root device");
	}
	return do_mount("/dev/mapper/dmroot", NEWROOT, b->root_fs, MS_NOATIME, NULL, e);
}

/* modules_source finds the directory of this kernel in the mounted image: VERSION, or
   lib/modules/VERSION. */
static int modules_source(const char *release, char *ret, size_t cap)
{
	static const char *const tops[] = { RUN_DIR "/modules", RUN_DIR "/modules/lib/modules" };

	for (size_t i = 0; i < ARRAY_SIZE(tops); i++)
		if (str_printf(ret, cap, "%s/%s", tops[i], release) == 0 && access(ret, F_OK) == 0)
			return 0;
	return -ENOENT;
}

int mounts_modules(const struct boot *b, struct err *e)
{
	struct utsname u;
	char dst[160], test[192], src[160], dev[32];
	int r;

	if (uname(&u) < 0)
		return err_errno(e, errno, "uname");
	if (str_printf(dst, sizeof dst, NEWROOT "/lib/modules/%s", u.release) < 0 ||
	    str_printf(test, sizeof test, "%s/kernel", dst) < 0 ||
	    str_printf(dev, sizeof dev, "/dev/%s", b->disks[DISK_MODULES].kernel) < 0)
		return err_set(e, ENAMETOOLONG, "kernel version");
	if (!b->disks[DISK_MODULES].kernel[0] || access(test, F_OK) == 0)
		return 0;
	r = fs_mkdir_p(RUN_DIR, 0755, e);
	if (r >= 0)
		r = do_mount(dev, RUN_DIR "/modules", "ext4", MS_RDONLY | MS_NOSUID | MS_NODEV, "noload", e);
	if (r < 0)
		return r;
	/* An image for another kernel is no reason to stop: the drivers that matter are loaded. */
	if (modules_source(u.release, src, sizeof src) < 0) {
		dprintf(STDERR_FILENO, "bulkhead-init: the modules disk has nothing for %s\n", u.release);
		return 0;
	}
	r = fs_mkdir_p(dst, 0755, e);
	if (r < 0)
		return r;
	if (mount(src, dst, NULL, MS_BIND, NULL) < 0)
		return err_errno(e, errno, "binding %s", dst);
	return 0;
}

int mounts_facts(const struct boot *b, struct err *e)
{
	char text[512];
	int r = fs_mkdir_p(RUN_DIR, 0755, e);
	_cleanup_fd_ int fd = -1;

	if (r < 0)
		return r;
	if (str_printf(text, sizeof text, "root=%s\nroot_fs=%s\nroot_mode=%s\nprivate=%s\nvolatile=%s\nmodules=%s\nswap=%d\n",
		       b->root_source, b->root_fs, b->root_overlay || root_is_ro(b) ? "ro" : "rw",
		       b->disks[DISK_PRIVATE].kernel, b->disks[DISK_VOLATILE].kernel, b->disks[DISK_MODULES].kernel,
		       b->swap) < 0)
		return err_set(e, ENAMETOOLONG, "boot facts");
	fd = open(RUN_DIR "/boot", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
	if (fd < 0)
		return err_errno(e, errno, "making " RUN_DIR "/boot");
	r = write_full(fd, text, strlen(text));
	return r < 0 ? err_errno(e, -r, "writing " RUN_DIR "/boot") : 0;
}

/* free_dir empties one directory of the initramfs, so that its memory comes back. */
static void free_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *ent;

	if (!dir)
		return;
	while ((ent = readdir(dir)))
		if (ent->d_type != DT_DIR)
			unlinkat(dirfd(dir), ent->d_name, 0);
	closedir(dir);
}

int mounts_switch(const struct boot *b, struct err *e)
{
	static const char *const moved[] = { "/dev", "/proc", "/sys", "/run" };
	char dst[32];

	free_dir(MODULES_DIR);
	free_dir("/");
	for (size_t i = 0; i < ARRAY_SIZE(moved); i++) {
		if (str_printf(dst, sizeof dst, NEWROOT "%s", moved[i]) < 0)
			return err_set(e, ENAMETOOLONG, "mount point");
		/* Archives of root file systems often lack one of them. */
		mkdir(dst, 0755);
		if (mount(moved[i], dst, NULL, MS_MOVE, NULL) < 0)
			return err_errno(e, errno, "moving %s", moved[i]);
	}
	if (chdir(NEWROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_errno(e, errno, "changing to the new root");

	/* The guest package brings its own first program; a foreign root has only an ordinary
	   init. */
	const char *init = b->args.init[0]		  ? b->args.init
			   : access(GUEST_BOOT, X_OK) == 0 ? GUEST_BOOT
							   : "/sbin/init";
	const char *const argv[] = { init, NULL };
	const char *const envp[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=linux", NULL };

	execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)envp);
	return err_errno(e, errno, "starting %s", init);
}
