/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The private volume. dom0 gives an empty one and never looks into it, so formatting it, checking
 * it and filling it for the first time is done here. A volume that holds something unknown is left
 * alone: it is the user's data.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "agent/early/early.h"
#include "agent/early/ext4.h"
#include "agent/early/private.h"
#include "base/io.h"
#include "base/log.h"
#include "base/fsx.h"
#include "base/str.h"

#define PRIVATE_DEV "/dev/xvdb"
#define ZERO_CHECK_BYTES (10u << 20)
#define ZERO_CHECK_THROWN_AWAY (1u << 20) /* what is written to it is a layer that is thrown away; signatures of all file systems are in here */
#define CHUNK (256u << 10)
#define SECTOR_MAX 4096u
#define GROW_BYTES (128u << 20) /* less than a block group is not worth a resize */

/* all_zero reads the first bytes; a volume with zeros there holds no file system. Past the page cache, which would grow by as much: in a
   clone of a saved state each page of that is memory of its own. */
static int all_zero(size_t bytes, struct err *e)
{
	_cleanup_fd_ int fd = open(PRIVATE_DEV, O_RDONLY | O_DIRECT | O_CLOEXEC);
	_cleanup_free_ uint8_t *buf = aligned_alloc(SECTOR_MAX, CHUNK);

	if (fd < 0)
		return err_errno(e, errno, "opening " PRIVATE_DEV);
	if (!buf)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t done = 0; done < bytes;) {
		ssize_t n = read_full(fd, buf, CHUNK);

		if (n < 0)
			return err_errno(e, (int)-n, "reading the private volume");
		if (!mem_zero(buf, (size_t)n))
			return 0;
		done += (size_t)n;
		if (n < (ssize_t)CHUNK)
			break;
	}
	return 1;
}

int private_make_fs(const struct early *q, const char *target, const char *tree, struct err *e)
{
	/* Tables are written later by the kernel; the volume is sparse and zero, so nothing
	   needs discarding. A disposable needs no journal: nobody will ever recover it. */
	const char *const argv[] = { "/sbin/mkfs.ext4", "-q", "-F", "-m", "0",
				     "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
				     "-O", q->disposable ? "^has_journal" : "has_journal",
				     tree ? "-d" : target, tree, target, NULL }; /* without a tree it ends behind the first target */

	return err_add(e, run_program(argv, e), "formatting the private volume");
}

/* 1: it has got the prepared one, of STATE_PRIVATE_BYTES. */
static int make_fs(const struct early *q, struct err *e)
{
	int r = q->again && q->disposable ? prepared_put(PRIVATE_DEV, e) : 0;

	if (r > 0)
		return r;
	if (r < 0)
		log_warn("%s", err_text(e, r));
	err_clear(e);
	return private_make_fs(q, PRIVATE_DEV, NULL, e);
}

static int check_fs(struct err *e)
{
	static const char *const argv[] = { "/sbin/e2fsck", "-p", PRIVATE_DEV, NULL };
	int r = run_program(argv, e);

	/* Exit code 1 means repaired. Anything else is tried all the same: the mount decides. */
	if (r < 0)
		log_warn("check of the private volume: %s", err_text(e, r));
	err_clear(e);
	return 0;
}

/* examine formats an empty volume and checks a dirty one; *ret_grow when it is smaller than its
   device. */
static int examine(const struct early *q, const char **ret_fs, bool *ret_grow, struct err *e)
{
	uint8_t sb[EXT4_SB_SIZE];
	struct ext4_sb info;
	uint64_t dev_bytes = 0;
	_cleanup_fd_ int fd = open(PRIVATE_DEV, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int r;

	if (fd < 0)
		return err_errno(e, errno, "opening " PRIVATE_DEV);
	if (ioctl(fd, BLKGETSIZE64, &dev_bytes) < 0)
		return err_errno(e, errno, "size of " PRIVATE_DEV);
	n = pread(fd, sb, sizeof sb, EXT4_SB_OFFSET);
	if (n < 0)
		return err_errno(e, errno, "reading " PRIVATE_DEV);
	*ret_fs = "ext4";
	r = ext4_sb_parse(rd_mem(sb, (size_t)n), &info, e);
	if (r == 0) {
		*ret_grow = dev_bytes > info.bytes && dev_bytes - info.bytes >= GROW_BYTES;
		fd_closep(&fd);
		return info.clean ? 0 : check_fs(e);
	}
	if (r != -ENODATA)
		return r;
	fd_closep(&fd);
	r = all_zero(q->disposable ? ZERO_CHECK_THROWN_AWAY : ZERO_CHECK_BYTES, e);
	if (r < 0)
		return r;
	if (r == 0) {
		*ret_fs = NULL;
		return 0;
	}
	r = make_fs(q, e);
	*ret_grow = r > 0 && dev_bytes - STATE_PRIVATE_BYTES >= GROW_BYTES;
	return r;
}

static int mount_private(const char *fs, struct err *e)
{
	static const char *const others[] = { "xfs", "btrfs", NULL };
	const char *const known[] = { fs, NULL };
	int code = EINVAL;

	for (const char *const *t = fs ? known : others; *t; t++) {
		/* Tables of inodes that were never used stay holes: ext4 would write zeros over them in the background, into an image that is sparse. */
		if (mount(PRIVATE_DEV, RW, *t, MS_NOSUID | MS_NODEV | MS_NOATIME, streq(*t, "ext4") ? "discard,noinit_itable" : "discard") == 0)
			return 0;
		code = errno;
	}
	return err_errno(e, code, "mounting the private volume");
}

/* first_copy fills a directory of /rw once; the copy gets its name when it is complete. */
static int first_copy(const char *dst, const char *src, struct err *e)
{
	char tmp[64];
	int r;

	if (access(dst, F_OK) == 0)
		return 0;
	if (str_printf(tmp, sizeof tmp, "%s.new", dst) < 0)
		return err_set(e, ENAMETOOLONG, "%s", dst);
	r = fs_rm_rf(AT_FDCWD, tmp, e);
	if (r >= 0)
		r = access(src, F_OK) == 0 ? copy_any(src, tmp, e) : fs_mkdir_p(tmp, 0755, e);
	if (r < 0)
		return r;
	return rename(tmp, dst) < 0 ? err_errno(e, errno, "renaming %s", tmp) : 0;
}

/* make_home gives the default user a home from the skeleton, and takes it over when the
   template's user got another id. */
static int make_home(struct err *e)
{
	unsigned uid, gid;
	struct stat st;
	int r = fs_mkdir_p(RW "/home", 0755, e);

	if (r < 0 || id_lookup("/etc/passwd", "user", &uid, &gid) < 0)
		return r;
	if (stat(RW "/home/user", &st) < 0) {
		r = copy_tree("/etc/skel", RW "/home/user", uid, gid, e);
		if (r >= 0 && chmod(RW "/home/user", 0700) < 0)
			r = err_errno(e, errno, "mode of the home directory");
		return r;
	}
	if (st.st_uid != uid) {
		char owner[32];
		const char *const argv[] = { "/bin/chown", "-hR", owner, RW "/home/user", NULL };

		if (str_printf(owner, sizeof owner, "%u:%u", uid, gid) < 0)
			return err_set(e, ENAMETOOLONG, "owner");
		return run_program(argv, e);
	}
	return 0;
}

static int make_config(struct err *e)
{
	static const struct {
		const char *path, *text;
	} files[] = {
		{ RW "/config/rc.local",
		  "#!/bin/sh\n\n# Run as root at every start of this qube, when it is executable.\n" },
		{ RW "/config/qubes-firewall-user-script",
		  "#!/bin/sh\n\n# Run by the firewall of a qube that provides network, after its base rules and before the rules of its "
		  "clients.\n" },
		{ RW "/config/suspend-module-blacklist", "# Kernel modules to unload before sleep, one a line.\n" },
	};
	int r;

	if (access(RW "/config", F_OK) == 0)
		return 0;
	r = fs_mkdir_p(RW "/config", 0755, e);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(files); i++)
		r = text_write(files[i].path, files[i].text, 0755, e);
	return r;
}

static int bind_over(const char *src, const char *dst, struct err *e)
{
	if (access(dst, F_OK) < 0 || access(src, F_OK) < 0)
		return 0;
	return mount(src, dst, NULL, MS_BIND, NULL) < 0 ? err_errno(e, errno, "binding %s over %s", src, dst) : 0;
}

int private_fill(struct err *e)
{
	const char *local = access("/usr/local.orig", F_OK) == 0 ? "/usr/local.orig" : "/usr/local";
	int r = make_config(e);

	if (r >= 0)
		r = first_copy(RW "/usrlocal", local, e);
	if (r >= 0)
		r = make_home(e);
	return r < 0 ? r : fs_mkdir_p(RW "/bind-dirs", 0755, e);
}

static int fill(const struct early *q, struct err *e)
{
	int r = private_fill(e);

	/* With custom-persist only what dom0 lists is kept, and home is one of those things. */
	if (r < 0 || q->custom_persist)
		return r;
	r = bind_over(RW "/home", "/home", e);
	if (r >= 0)
		r = bind_over(RW "/usrlocal", "/usr/local", e);
	return r;
}

/* find_private makes the /dev/xvdb name for a disk that came after the initramfs had looked. */
static void find_private(void)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *ent;

	while (dir && (ent = readdir(dir))) {
		_cleanup_free_ char *serial = NULL;
		char path[300];

		if (str_starts(ent->d_name, "vd") && str_printf(path, sizeof path, "%s/serial", ent->d_name) == 0 &&
		    fs_read(dirfd(dir), path, 64, &serial, NULL, NULL) == 0 && str_starts(serial, "private") &&
		    symlink(ent->d_name, PRIVATE_DEV) < 0)
			log_warn("making " PRIVATE_DEV ": %s", strerror(errno));
	}
	if (dir)
		closedir(dir);
}

static bool is_mounted(const char *path)
{
	struct stat here, up;

	return stat(path, &here) == 0 && stat("/", &up) == 0 && here.st_dev != up.st_dev;
}

int early_private(struct early *q, struct err *e)
{
	static const char *const grow_argv[] = { "/sbin/resize2fs", PRIVATE_DEV, NULL };
	const char *fs = NULL;
	bool grow = false;
	int r;

	if (is_mounted(RW)) {
		q->rw_mounted = true;
		return 0;
	}
	if (access(PRIVATE_DEV, F_OK) < 0)
		find_private();
	if (access(PRIVATE_DEV, F_OK) < 0)
		return 0;	/* a qube without a private volume: attached later or never */
	r = q->again ? clone_private(PRIVATE_DEV, e) : 0;
	if (r >= 0)
		r = examine(q, &fs, &grow, e);
	if (r >= 0)
		r = fs_mkdir_p(RW, 0755, e);
	if (r >= 0)
		r = mount_private(fs, e);
	if (r < 0)
		return r;
	q->rw_mounted = q->rw_fresh = true;
	if (grow && run_program(grow_argv, e) < 0)
		log_warn("the private volume keeps its old size: %s", err_text(e, -EIO));
	return fill(q, e);
}
