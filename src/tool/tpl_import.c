/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-template import: a template of the archive of a root file system. The archive is somebody's: it is unpacked, changed and made an image of by
 * programs that see nothing but the archive, one directory and the image; nothing of it runs on the host. The guest package is laid into it
 * and installs itself when the template is started for the first time.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "proto/isotime.h"
#include "proto/names.h"
#include "proto/osfacts.h"
#include "template/flavour.h"
#include "tool/tpl_verb.h"

#define ROOT_BYTES (UINT64_C(10) << 30)
#define SAID_MAX (1u << 20)
#define ELF_X86_64 62
#define ELF_AARCH64 183

struct import {
	struct tool *t;
	const char *name;
	const struct flavour *as;
	char dir[PATH_MAX / 4]; /* staging; removed at the end */
	char tar[PATH_MAX];
	int tree; /* of the unpacked file system */
	bool dpkg;
	struct tpl_info info;
	struct tpl_face face;
};

/* The unit that finishes what could not be done from outside. */
static const char place_unit[] = "# Made by qvm-template import: installs the guest package at the first start of the template.\n"
				 "[Unit]\nDescription=Bulkhead: guest package\nConditionPathExists=/var/cache/bulkhead/bulkhead-guest.deb\n"
				 "After=local-fs.target systemd-tmpfiles-setup.service\n\n[Service]\nType=oneshot\nStandardOutput=journal+console\n"
				 "ExecStart=/usr/bin/env DEBIAN_FRONTEND=noninteractive dpkg -i --force-confnew /var/cache/bulkhead/bulkhead-guest.deb\n"
				 "ExecStartPost=/bin/rm -f /var/cache/bulkhead/bulkhead-guest.deb /etc/systemd/system/bulkhead-place.service "
				 "/etc/systemd/system/multi-user.target.wants/bulkhead-place.service\n\n[Install]\nWantedBy=multi-user.target\n";

/* Runs a program under fakeroot in a root that holds the system's programs, the staging directory, and one more path. */
static int confined(struct import *im, const char *const *argv, const char *more, bool more_rw, struct err *e)
{
	/* Owners that the namespace does not know are an error of another kind than fakeroot expects: it is not to try. */
	static const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "FAKEROOTDONTTRYCHOWN=1", NULL };
	const struct proc_bind root[] = {
		{ .path = "/usr" },
		{ .path = "/bin" },
		{ .path = "/sbin" },
		{ .path = "/lib" },
		{ .path = "/lib64", .optional = true },
		{ .path = "/etc/ld.so.cache", .optional = true },
		{ .path = "/etc/alternatives", .optional = true },
		{ .path = "/etc/mke2fs.conf", .optional = true },
		{ .path = "/dev/null", .rw = true, .dev = true },
		{ .path = im->dir, .rw = true },
		{ .path = more, .rw = more_rw },
	};
	_cleanup_tpl_proc_ struct tpl_proc p = { .p = PROC_INIT, .name = argv[0], .err_fd = tpl_memory("", 0, e) };
	struct proc_spec s = {
		.path = argv[0], .argv = argv, .envp = env, .death_signal = SIGKILL,
		.fds = { { p.err_fd, STDERR_FILENO } }, .n_fds = 1,
		.rlimits = { { RLIMIT_FSIZE, ROOT_BYTES, ROOT_BYTES } }, .n_rlimits = 1,
		.confine = { .userns = true, .netns = true, .ipcns = true, .pidns = true, .utsns = true, .root = root,
			     .n_root = ARRAY_SIZE(root) - (more == NULL), .no_new_privs = true },
	};
	int r;

	if (p.err_fd < 0)
		return p.err_fd;
	r = proc_spawn(&p.p, &s, e);
	if (r < 0)
		return r;
	while ((r = tpl_end(&p, 500, e)) == -ETIMEDOUT)
		tpl_face_show(&im->face, im->face.last, im->face.text);
	return r;
}

static int unpack(struct import *im, struct err *e)
{
	_cleanup_free_ char *dir = xasprintf("%s/root", im->dir), *state = xasprintf("%s/state", im->dir);
	const char *const argv[] = { "/usr/bin/fakeroot", "-s", state, "--", "/bin/tar", "-C", dir, "--numeric-owner", "--exclude=./dev/*", "--exclude=dev/*",
				     "-xpf", im->tar, NULL };
	int r;

	if (mkdir(dir, 0755) < 0)
		return err_errno(e, errno, "%s", dir);
	tpl_face_show(&im->face, 50, "unpacking");
	r = confined(im, argv, im->tar, false, e);
	return r < 0 ? err_add(e, r, "unpacking") : 0;
}

/* Files that not even their owner may read: without privilege they could not be copied into the image. fakeroot goes on saying what their modes were. */
static int make_readable(struct import *im, struct err *e)
{
	_cleanup_free_ char *dir = xasprintf("%s/root", im->dir);
	const char *const argv[] = { "/usr/bin/find", dir, "(", "-type", "d", "!", "-perm", "-u=rwx", "-exec", "/bin/chmod", "u+rwx", "{}", ";", ")", "-o",
				     "(", "-type", "f", "!", "-perm", "-u=r", "-exec", "/bin/chmod", "u+r", "{}", ";", ")", NULL };
	int r = confined(im, argv, NULL, false, e);

	return r < 0 ? err_add(e, r, "unpacking") : 0;
}

static bool has(const struct import *im, const char *path)
{
	int fd = fs_open_beneath(im->tree, path, O_PATH | O_CLOEXEC, 0, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* A file of the foreign tree, at most max bytes; NULL when it is not there. Links are not followed. */
static char *foreign(const struct import *im, const char *path, size_t max, size_t *ret_len)
{
	_cleanup_fd_ int fd = fs_open_beneath(im->tree, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, NULL);
	_cleanup_free_ char *buf = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	max = (size_t)MIN((uint64_t)max, (uint64_t)st.st_size);
	buf = xmalloc(max + 1);
	n = read_full(fd, buf, max);
	if (n < 0)
		return NULL;
	buf[n] = '\0';
	*ret_len = (size_t)n;
	return STEAL_PTR(buf);
}

static int check_machine(const struct import *im, struct err *e)
{
	static const char *const programs[] = { "usr/bin/dpkg", "usr/lib/systemd/systemd", "lib/systemd/systemd", "usr/bin/bash", "bin/bash", "bin/busybox" };
	struct utsname u;
	size_t n = 0;

	if (uname(&u) < 0)
		return err_errno(e, errno, "uname");
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		_cleanup_free_ char *head = foreign(im, programs[i], 64, &n);
		unsigned machine;

		if (!head || n < 20 || memcmp(head, "\177ELF", 4) != 0)
			continue;
		machine = (unsigned)(uint8_t)head[18] | (unsigned)(uint8_t)head[19] << 8;
		if (machine == (streq(u.machine, "aarch64") ? ELF_AARCH64 : ELF_X86_64))
			return 0;
		return err_set(e, ENOEXEC, "its programs (%s) are for another kind of computer than this one (%s)", programs[i], u.machine);
	}
	return err_set(e, EINVAL, "no program was found in it: it must be the archive of a whole root file system, with usr, etc and var at its top");
}

static void read_release(struct import *im)
{
	size_t n = 0;
	_cleanup_free_ char *text = foreign(im, "usr/lib/os-release", 16384, &n);
	char value[64];

	if (!text)
		text = foreign(im, "etc/os-release", 16384, &n);
	if (!text)
		return;
	/* What is no word or number stays unsaid. */
	if (osfacts_value(rd_mem(text, n), "ID", value, sizeof value))
		(void)!tpl_field_set(&im->info, "distribution", value, NULL);
	if (osfacts_value(rd_mem(text, n), "VERSION_ID", value, sizeof value))
		(void)!tpl_field_set(&im->info, "os-version", value, NULL);
}

/* Which of the blank separated packages the image lacks. */
static int check_packages(const struct import *im, const char *list, struct err *e)
{
	size_t n = 0, missing = 0;
	_cleanup_free_ char *status = foreign(im, "var/lib/dpkg/status", 64u << 20, &n), *copy = xstrdup(list);
	_cleanup_wr_ struct wr w = wr_grow(300);
	char *save = NULL;

	if (!status)
		return err_set(e, EINVAL, "its list of packages (var/lib/dpkg/status) is missing");
	for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
		if (osfacts_installed(rd_mem(status, n), p))
			continue;
		if (w.len < 200)
			wr_printf(&w, " %s", p);
		missing++;
	}
	wr_u8(&w, 0);
	if (!missing)
		return 0;
	return err_set(e, ENOPKG, "it lacks %zu package%s that a qube needs:%s%s; install them into it (apt-get install in a chroot or container), and make the archive anew",
		       missing, missing == 1 ? "" : "s", wr_ok(&w) ? (char *)w.buf : "", missing > 12 ? " …" : "");
}

static int check(struct import *im, struct err *e)
{
	_cleanup_free_ char *dir = xasprintf("%s/root", im->dir);
	int r;

	im->tree = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (im->tree < 0)
		return err_errno(e, errno, "%s", dir);
	r = check_machine(im, e);
	if (r < 0)
		return r;
	read_release(im);
	im->dpkg = has(im, "usr/bin/dpkg") && has(im, "var/lib/dpkg/status");
	if (im->dpkg)
		r = check_packages(im, "systemd-sysv e2fsprogs kmod passwd coreutils util-linux libpam0g libpam-modules", e);
	if (r == 0 && im->dpkg && im->as) {
		_cleanup_free_ char *all = xasprintf("%s%s", flavour_common(), im->as->packages);

		r = check_packages(im, all, e);
	}
	if (r == 0 && !im->dpkg && !opt_has(im->t, KEY_FORCE))
		r = err_set(e, ENOTSUP, "it is not of Debian's family, so the guest package cannot be installed in it. It would boot, but take no calls: put "
					"/usr/lib/bulkhead, /usr/lib/qubes, /etc/qubes-rpc and the units of the guest package and a user 'user' (1000) into it; "
					"--force imports it as it is");
	return r;
}

static int put(const char *base, const char *name, const void *p, size_t n, struct err *e)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", base, name);
	char *slash = strrchr(path, '/');
	int r;

	*slash = '\0';
	r = fs_mkdir_p(path, 0755, e);
	*slash = '/';
	return r < 0 ? r : fs_write_atomic(AT_FDCWD, path, p, n, 0644, e);
}

/* What goes over the foreign tree: mount points, an empty identity, and the guest package with the unit that installs it. */
static int overlay(struct import *im, const char *base, const char *deb, struct err *e)
{
	static const char *const dirs[] = { "dev", "proc", "sys", "run", "rw" };
	static const char fstab[] = "# The disks of a qube are mounted before systemd starts.\n";
	_cleanup_free_ char *wants = xasprintf("%s/etc/systemd/system/multi-user.target.wants", base), *link = xasprintf("%s/bulkhead-place.service", wants), *bytes = NULL;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(dirs); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", base, dirs[i]);

		r = fs_mkdir_p(path, 0755, e);
	}
	if (r == 0)
		r = put(base, "etc/machine-id", "", 0, e);
	if (r == 0)
		r = put(base, "etc/fstab", fstab, strlen(fstab), e);
	if (r < 0 || !im->dpkg)
		return r;
	r = fs_read(AT_FDCWD, deb, 256u << 20, &bytes, &n, e);
	if (r == 0)
		r = put(base, "var/cache/bulkhead/bulkhead-guest.deb", bytes, n, e);
	if (r == 0)
		r = put(base, "etc/systemd/system/bulkhead-place.service", place_unit, strlen(place_unit), e);
	if (r == 0)
		r = fs_mkdir_p(wants, 0755, e);
	if (r == 0 && symlink("../bulkhead-place.service", link) < 0)
		r = err_errno(e, errno, "%s", link);
	return r;
}

static int place(struct import *im, struct err *e)
{
	_cleanup_free_ char *dir = xasprintf("%s/root", im->dir), *state = xasprintf("%s/state", im->dir), *over = xasprintf("%s/over", im->dir),
			    *from = xasprintf("%s/over/.", im->dir), *deb = NULL;
	char found[PATH_MAX];
	const char *given = opt_str(im->t, KEY_DEB);
	int r;

	tpl_face_show(&im->face, 500, "guest package");
	if (!realpath(given ? given : path_data(found, "bulkhead-guest.deb"), im->tar))
		return err_errno(e, errno, "guest package %s", given ? given : found);
	deb = xstrdup(im->tar);
	r = overlay(im, over, deb, e);
	if (r == 0 && im->dpkg) {
		const char *const extract[] = { "/usr/bin/fakeroot", "-i", state, "-s", state, "--", "/usr/bin/dpkg-deb", "-x", deb, dir, NULL };

		r = confined(im, extract, deb, false, e);
	}
	if (r == 0) {
		const char *const copy[] = { "/usr/bin/fakeroot", "-i", state, "-s", state, "--", "/bin/cp", "-dR", "--preserve=mode", from, dir, NULL };

		r = confined(im, copy, NULL, false, e);
	}
	return r < 0 ? err_add(e, r, "laying the guest package into it") : 0;
}

/* mkfs writes into the place of the new root volume. */
static int make_image(struct import *im, const char *image, struct err *e)
{
	_cleanup_free_ char *dir = xasprintf("%s/root", im->dir), *state = xasprintf("%s/state", im->dir);
	const char *const argv[] = { "/usr/bin/fakeroot", "-i", state, "--", "/sbin/mkfs.ext4", "-q", "-F", "-m", "0", "-L", "bulkhead-root", "-J", "size=16",
				     "-E", "root_owner=0:0", "-d", dir, image, NULL };
	int r;

	tpl_face_show(&im->face, 700, "root image");
	r = confined(im, argv, image, true, e);
	return r < 0 ? err_add(e, r, "making the image") : 0;
}

static int describe(struct import *im, struct err *e)
{
	const struct {
		const char *name, *value;
	} rows[] = { { "os", "Linux" }, { im->dpkg ? "qrexec" : NULL, "1" }, { im->dpkg ? "vmexec" : NULL, "1" }, { im->as ? im->as->feature : NULL, "1" } };
	char stamp[ISOTIME_CAP];
	struct timespec now;
	int r = 0;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || isotime_put(stamp, (struct isotime){ now.tv_sec, 0 }, false) < 0)
		return err_set(e, EINVAL, "the clock is not set");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++)
		if (rows[i].name)
			r = adm_void(im->name, "admin.vm.feature.Set", rows[i].name, rows[i].value, e);
	if (r == 0)
		r = tpl_field_set(&im->info, "epoch", "0", e);
	if (r == 0)
		r = tpl_field_set(&im->info, "version", im->info.os_version[0] ? im->info.os_version : "1", e);
	if (r == 0)
		r = str_printf(im->info.release, sizeof im->info.release, "%.4s%.2s%.2s%.2s%.2s", stamp, stamp + 5, stamp + 8, stamp + 11, stamp + 14);
	if (r == 0)
		r = str_printf(im->info.built, sizeof im->info.built, "%lld", (long long)now.tv_sec);
	if (r == 0)
		r = tpl_field_set(&im->info, "summary", im->as ? im->as->summary : "imported root file system", e);
	return r < 0 ? r : tpl_describe(im->name, &im->info, "@import", e);
}

static int into_template(struct import *im, struct err *e)
{
	_cleanup_(tpl_mark_end) struct tpl_mark mark = { .fd = -1 };
	_cleanup_free_ char *payload = xasprintf("name=%s label=black", im->name);
	char link[64], image[PATH_MAX];
	bool created = false;
	void *watch = NULL;
	int fd = -1, r = tpl_mark_begin(&mark, im->name, false, e);
	ssize_t n;

	if (r == 0) {
		r = adm_void("dom0", "admin.vm.Create.TemplateVM", NULL, payload, e);
		created = r == 0;
	}
	if (r == 0)
		fd = r = tpl_import_begin(im->name, ROOT_BYTES, &watch, e);
	if (fd >= 0) {
		r = str_printf(link, sizeof link, "/proc/self/fd/%d", fd);
		n = readlink(link, image, sizeof image - 1);
		image[n > 0 ? n : 0] = '\0';
		r = r < 0 || image[0] != '/' ? err_set(e, ENOENT, "the place of the root volume") : make_image(im, image, e);
		r = tpl_import_end(im->name, fd, watch, r, e);
	}
	if (r == 0)
		r = describe(im, e);
	if (r < 0 && created)
		(void)!adm_void(im->name, "admin.vm.Remove", NULL, NULL, NULL);
	return r;
}

static int stage(struct import *im, struct err *e)
{
	const struct tpl_repos all = { .cachedir = opt_str(im->t, KEY_CACHE) };
	char cache[PATH_MAX];
	int r = tpl_cache_dir(&all, cache, e);

	if (r == 0 && str_printf(im->dir, sizeof im->dir, "%s/import-XXXXXX", cache) < 0)
		r = err_set(e, ENAMETOOLONG, "%s", cache);
	if (r == 0 && !mkdtemp(im->dir))
		r = err_errno(e, errno, "%s", im->dir);
	return r;
}

static int import(struct import *im, const char *tar, struct err *e)
{
	struct adm_qubes q;
	struct qname name;
	int r = qname_parse(&name, im->name, e);

	if (r == 0 && adm_qubes_get(&q, im->name, NULL) == 0) {
		adm_qubes_fini(&q);
		return err_set(e, EEXIST, "a qube named '%s' exists", im->name);
	}
	if (r == 0 && !realpath(tar, im->tar))
		r = err_errno(e, errno, "%s", tar);
	if (r == 0)
		r = tpl_field_set(&im->info, "name", im->name, e);
	if (r == 0)
		r = unpack(im, e);
	if (r == 0)
		r = make_readable(im, e);
	if (r == 0)
		r = check(im, e);
	if (r == 0)
		r = place(im, e);
	return r < 0 ? r : into_template(im, e);
}

static void tell_json(const struct import *im)
{
	struct json j = { 0 };

	json_open(&j, NULL, '{');
	json_str(&j, "name", im->name);
	json_str(&j, "distribution", im->info.distribution);
	json_str(&j, "os-version", im->info.os_version);
	json_bool(&j, "guest-package", im->dpkg);
	json_close(&j, '}');
}

int tpl_import(struct tool *t, const char *name, const char *tar)
{
	const char *as = opt_str(t, KEY_AS);
	struct import im = { .t = t, .name = name, .tree = -1, .as = as ? flavour_find(as) : NULL };
	struct err e = { 0 };
	int r;

	if (as && !im.as)
		return tool_usage(t, "there is no flavour '%s'; see qvm-template list-flavours", as);
	tpl_face_init(&im.face, t);
	im.face.text = "";
	r = stage(&im, &e);
	if (r == 0)
		r = import(&im, tar, &e);
	fd_closep(&im.tree);
	if (im.dir[0])
		(void)fs_rm_rf(AT_FDCWD, im.dir, NULL);
	if (r == 0)
		tpl_face_show(&im.face, 1000, "imported");
	tpl_face_end(&im.face);
	if (r < 0)
		return r == -EINTR ? 130 : tool_fail(t, "%s: %s", tar, err_text(&e, r));
	if (opt_has(t, KEY_JSON))
		tell_json(&im);
	if (im.dpkg)
		tool_note(t, "start '%s' once and shut it down again: it installs the guest package then", name);
	return 0;
}
