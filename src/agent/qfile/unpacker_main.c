/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qfile-unpacker [options] [UID [DIR]]: receives a file copy stream on standard input below DIR, answers on standard output. Setuid root
 * in a qube, only to shut itself into DIR (as its root directory, on a mount without devices, programs and setuid); it works on as UID.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "agent/qfile/unpack.h"
#include "agent/qfile/user.h"
#include "base/str.h"
#include "proto/names.h"
#include "proto/qfile.h"

static const char usage[] =
	"usage: qfile-unpacker [--[no-]allow-all-names] [--[no-]allow-unsafe-symlinks] [--[no-]only-regular-files]\n"
	"                      [--max-bytes=N] [--max-files=N] [-v|--verbose] [-w|--wait-for-space BYTES] [UID [DIR]]\n"
	"Receives files on standard input, by default into ~/QubesIncoming/$QREXEC_REMOTE_DOMAIN.\n";

struct options {
	struct qfile_unpack u;
	bool verbose, have_uid;
	uid_t uid;
	const char *dir;
};

static int flag(const char *arg, const char *name, bool *ret)
{
	bool no = str_starts(arg, "--no-");

	if (!streq(arg + (no ? 5 : 2), name))
		return 0;
	*ret = !no;
	return 1;
}

static void set_bit(unsigned *flags, unsigned bit, bool on)
{
	*flags = on ? *flags | bit : *flags & ~bit;
}

static int long_option(struct options *o, const char *arg)
{
	bool on;

	if (flag(arg, "allow-all-names", &on))
		set_bit(&o->u.name_flags, QFILE_ALL_NAMES, on);
	else if (flag(arg, "allow-unsafe-symlinks", &on))
		set_bit(&o->u.name_flags, QFILE_UNSAFE_LINKS, on);
	else if (flag(arg, "only-regular-files", &on))
		o->u.only_regular = on;
	else if (streq(arg, "--verbose"))
		o->verbose = true;
	else
		return -EINVAL;
	return 0;
}

/* --max-bytes=N, --max-files=N; false: it is another option. */
static bool limit(struct options *o, const char *arg, int *ret)
{
	static const char bytes[] = "--max-bytes=", files[] = "--max-files=";

	if (str_starts(arg, bytes))
		*ret = str_u64(arg + sizeof bytes - 1, INT64_MAX, &o->u.max_bytes);
	else if (str_starts(arg, files))
		*ret = str_u64(arg + sizeof files - 1, INT64_MAX, &o->u.max_files);
	else
		return false;
	return true;
}

static int positional(struct options *o, const char *arg)
{
	uint64_t v;

	if (!o->have_uid) {
		if (str_u64(arg, UINT32_MAX - 1, &v) < 0)
			return -EINVAL;
		o->uid = (uid_t)v;
		o->have_uid = true;
		return 0;
	}
	if (o->dir)
		return -EINVAL;
	o->dir = arg;
	return 0;
}

static int parse(struct options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		int r = 0;

		if (streq(a, "-v")) {
			o->verbose = true;
		} else if (streq(a, "-w") || str_starts(a, "--wait-for-space")) {
			const char *v = strchr(a, '=');

			/* The old form has -w behind the directory and its number may be absent. */
			o->u.wait_space = true;
			v = v ? v + 1 : i + 1 < argc && ch_digit(argv[i + 1][0]) ? argv[++i] : o->dir ? "0" : "";
			r = str_u64(v, INT64_MAX, &o->u.margin);
		} else if (limit(o, a, &r)) {
			/* r is set */
		} else if (streq(a, "--")) {
			while (++i < argc && r == 0)
				r = positional(o, argv[i]);
		} else if (str_starts(a, "--")) {
			r = long_option(o, a);
		} else {
			r = positional(o, a);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int default_dir(const struct user *u, char out[PATH_MAX], struct err *e)
{
	const char *from = getenv("QREXEC_REMOTE_DOMAIN");
	struct qname name;

	if (!from || qname_parse(&name, from, e) < 0)
		return err_set(e, EINVAL, "QREXEC_REMOTE_DOMAIN does not name a qube, and no directory was given");
	if (u->home[0] != '/' || str_printf(out, PATH_MAX, "%s/QubesIncoming", u->home) < 0)
		return err_set(e, ENOENT, "the user has no home directory");
	if (mkdir(out, 0755) < 0 && errno != EEXIST)
		return err_errno(e, errno, "creating '%s'", out);
	if (str_printf(out, PATH_MAX, "%s/QubesIncoming/%s", u->home, name.s) < 0)
		return err_set(e, ENAMETOOLONG, "the name of the home directory is too long");
	return 0;
}

static int open_target(const struct options *o, const struct user *u, struct err *e)
{
	char path[PATH_MAX];
	const char *dir = o->dir;
	int fd, r = dir ? 0 : default_dir(u, path, e);

	if (r < 0)
		return r;
	if (!dir)
		dir = path;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "creating '%s'", dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_errno(e, errno, "opening '%s'", dir) : fd;
}

/* A private mount of the directory, attached nowhere, on which nothing can be run. Root without that power (in a container) goes without. */
static int harmless_mount(int dir, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	long fd = syscall(SYS_open_tree, dir, "", (unsigned)(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));

	if (fd < 0)
		return errno == EPERM ? dir : err_errno(e, errno, "a mount of the directory");
	if (syscall(SYS_mount_setattr, (int)fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
		return err_errno(e, errno, "a mount of the directory");
	return (int)fd;
}

static int shut_in(int *dir, struct err *e)
{
	int r = harmless_mount(*dir, e);

	if (r < 0)
		return r;
	if (fchdir(r) < 0 || (chroot(".") < 0 && errno != EPERM))
		return err_errno(e, errno, "entering the directory");
	*dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *dir < 0 ? err_errno(e, errno, "entering the directory") : 0;
}

static int act_as(const struct user *u, bool for_good, struct err *e)
{
	if (setgroups(1, &u->gid) < 0 || setresgid(u->gid, u->gid, u->gid) < 0)
		return err_errno(e, errno, "changing to group %u", (unsigned)u->gid);
	if (for_good ? setresuid(u->uid, u->uid, u->uid) < 0 : seteuid(u->uid) < 0)
		return err_errno(e, errno, "changing to user %u", (unsigned)u->uid);
	return 0;
}

/* From here on nothing but the directory and the two ends of the stream can be reached. Gives the directory. */
static int confine(struct options *o, struct err *e)
{
	bool root = geteuid() == 0;
	struct user u = { .uid = o->uid, .gid = o->uid == getuid() ? getgid() : o->uid };
	int dir, r = user_find("/etc/passwd", o->uid, &u, e);

	/* A number without a row can still receive into a directory that is named. */
	if (r < 0 && !o->dir)
		return r;
	err_clear(e);
	r = root ? act_as(&u, false, e) : 0;
	if (r < 0)
		return r;
	dir = open_target(o, &u, e);
	if (dir < 0)
		return dir;
	o->u.procfd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root) {
		if (seteuid(0) < 0)
			return err_errno(e, errno, "becoming root");
		r = shut_in(&dir, e);
		if (r == 0)
			r = act_as(&u, true, e);
		if (r < 0)
			return r;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(e, errno, "no_new_privs");
	return dir;
}

static void show_name(const char *name, void *arg)
{
	char shown[512];

	fprintf(stderr, "%s\n", str_escape(shown, sizeof shown, name, strlen(name)));
}

/* Started with a standard descriptor closed, a file that is opened here would take its place. */
static void fill_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	struct options o = { .u = { .in = STDIN_FILENO, .out = STDOUT_FILENO, .procfd = -1 }, .uid = getuid() };
	struct err e = { 0 };
	int r;

	fill_standard_fds();
	umask(022);
	if (parse(&o, argc, argv) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	if (o.uid != getuid() && getuid() != 0) {
		fprintf(stderr, "qfile-unpacker: only root may receive for another user\n");
		return 1;
	}
	if (o.verbose)
		o.u.progress = show_name;
	r = confine(&o, &e);
	if (r < 0) {
		fprintf(stderr, "qfile-unpacker: %s\n", e.msg);
		return 1;
	}
	o.u.root = r;
	return qfile_unpack(&o.u) & 0xff;
}
