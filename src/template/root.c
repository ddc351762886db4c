/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The root file system: an archive of Debian packages, our package on top, an image of it. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "base/wr.h"
#include "template/run.h"

/* Counts up when a step below changes what it makes, so that old results are not taken for new
   ones. */
#define BUILDER_VERSION "bulkhead-template-3"
#define BASE_VERSION "bulkhead-base-1"
#define ROOT_BYTES (UINT64_C(10) << 30)

/* Documentation in other languages and manuals are the larger half of a small system. */
#define TRIM_MINIMAL                                                                                                       \
	"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",                           \
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright"

/* Device nodes come from the kernel; without them an ordinary user can unpack the archive. */
#define NO_DEV "--skip=output/dev"

static const char *mode_arg(void)
{
	return geteuid() == 0 ? "--mode=root" : "--mode=unshare";
}

/* quoted puts a path into single quotes for mmdebstrap's hook lines. */
static int quoted(const char *path, char *ret, size_t cap, struct err *e)
{
	if (strchr(path, '\'') || strchr(path, '\n'))
		return err_set(e, EINVAL, "a path with a quote in it cannot be used: %s", path);
	return str_printf(ret, cap, "'%s'", path) < 0 ? err_set(e, ENAMETOOLONG, "%s", path) : 0;
}

static void package_list(const struct flavour *f, char *ret, size_t cap)
{
	struct wr w = wr_mem(ret, cap);

	wr_str(&w, "--include=");
	wr_str(&w, flavour_common());
	wr_str(&w, f->packages);
	wr_u8(&w, 0);
	if (!wr_ok(&w))
		abort();	/* the table is ours */
	for (char *p = ret; *p; p++)
		if (*p == ' ')
			*p = ',';
	for (size_t n = strlen(ret); n > 0 && ret[n - 1] == ','; n--)
		ret[n - 1] = '\0';
}

static int base_key(const struct build *b, const char *packages, char ret[65], struct err *e)
{
	_cleanup_digest_ struct digest d = { 0 };
	struct utsname u;
	int r = digest_begin(&d, e);

	if (r < 0)
		return r;
	if (uname(&u) < 0)
		return err_errno(e, errno, "uname");
	digest_text(&d, BASE_VERSION);
	digest_text(&d, b->req->flavour->name);
	digest_text(&d, b->req->flavour->suite);
	digest_text(&d, packages);
	digest_text(&d, u.machine);
	return digest_end(&d, ret, e);
}

int base_build(struct build *b, char ret_tar[PATH_MAX], char ret_key[65], struct err *e)
{
	const struct flavour *f = b->req->flavour;
	char packages[4096], tmp[PATH_MAX], sources[PATH_MAX];
	bool small = !f->x11;
	int r;

	package_list(f, packages, sizeof packages);
	r = base_key(b, packages, ret_key, e);
	if (r >= 0)
		r = build_path(b, ret_tar, e, "base/%s-%.16s.tar", f->name, ret_key);
	if (r >= 0)
		r = build_path(b, tmp, e, "tmp/base.tar");
	if (r >= 0)
		r = build_path(b, sources, e, "tmp/sources.list");
	if (r < 0)
		return r;
	build_step(b, "Debian packages", 600);
	if (!b->req->refresh && access(ret_tar, F_OK) == 0)
		return 0;
	r = sources_write(f->suite, sources, e);
	if (r < 0)
		return r;

	const char *const full[] = { "mmdebstrap", "--verbose", "--variant=apt", mode_arg(), "--format=tar", NO_DEV, packages,
				     "--aptopt=APT::Install-Recommends \"false\"", f->suite, tmp, sources, NULL };
	const char *const trimmed[] = { "mmdebstrap", "--verbose", "--variant=apt", mode_arg(), "--format=tar", NO_DEV, packages,
					"--aptopt=APT::Install-Recommends \"false\"", TRIM_MINIMAL, f->suite, tmp, sources, NULL };

	r = build_run(b, small ? trimmed : full, e);
	return r < 0 ? r : build_publish(tmp, ret_tar, e);
}

/* What the guest package makes of the template (set-role), NULL = an ordinary one. */
static const char *role_of(const struct flavour *f)
{
	if (!f->feature)
		return NULL;
	return streq(f->feature, "whonix-gw") ? "tor-gateway" : streq(f->feature, "whonix-ws") ? "tor-workstation" : NULL;
}

static int root_digest(const struct build *b, const char *key, char ret[65], struct err *e)
{
	_cleanup_digest_ struct digest d = { 0 };
	int r = digest_begin(&d, e);

	if (r < 0)
		return r;
	digest_text(&d, BUILDER_VERSION);
	digest_text(&d, key);
	digest_text(&d, b->req->flavour->sudo ? "sudo" : "");
	if (role_of(b->req->flavour))
		digest_text(&d, role_of(b->req->flavour));
	r = digest_file(&d, b->deb, e);
	return r < 0 ? r : digest_end(&d, ret, e);
}

/* apply installs our package on the archive. As root the result is a directory, else an archive
   that keeps the owners. */
static int apply(struct build *b, const char *tar, const char *out, struct err *e)
{
	char q[PATH_MAX + 2], tar_in[PATH_MAX + 64], upload[PATH_MAX + 64], sources[PATH_MAX];
	const char *role = role_of(b->req->flavour);
	_cleanup_free_ char *set_role = role ? xasprintf("--customize-hook=chroot \"$1\" /usr/lib/bulkhead/set-role %s", role) : xstrdup("--customize-hook=true");
	bool root = geteuid() == 0;
	int r = quoted(tar, q, sizeof q, e);

	if (r >= 0 && str_printf(tar_in, sizeof tar_in, "--setup-hook=tar-in %s /", q) < 0)
		r = err_set(e, ENAMETOOLONG, "%s", tar);
	if (r >= 0)
		r = quoted(b->deb, q, sizeof q, e);
	if (r >= 0 && str_printf(upload, sizeof upload, "--customize-hook=upload %s /var/tmp/bulkhead-guest.deb", q) < 0)
		r = err_set(e, ENAMETOOLONG, "%s", b->deb);
	if (r >= 0)
		r = build_path(b, sources, e, "tmp/sources.list");
	if (r >= 0)
		r = sources_write(b->req->flavour->suite, sources, e);
	if (r < 0)
		return r;

	const char *const argv[] = {
		"mmdebstrap", "--variant=custom", mode_arg(), root ? "--format=directory" : "--format=tar", "--skip=setup,update,cleanup,output/dev",
		tar_in, upload,
		"--customize-hook=chroot \"$1\" dpkg -i /var/tmp/bulkhead-guest.deb",
		set_role,
		"--customize-hook=rm -f \"$1/var/tmp/bulkhead-guest.deb\" \"$1/etc/resolv.conf\"; : >\"$1/etc/machine-id\"",
		/* mmdebstrap copies these from the host; a qube must not know its host's name. */
		"--customize-hook=echo localhost >\"$1/etc/hostname\"; printf '127.0.0.1\\tlocalhost\\n::1\\tlocalhost\\n' >\"$1/etc/hosts\"",
		b->req->flavour->sudo
			? "--customize-hook=install -m 0440 \"$1/usr/share/bulkhead/guest/sudoers\" \"$1/etc/sudoers.d/qubes\""
			: "--customize-hook=true",
		b->req->flavour->suite, out, sources, NULL,
	};

	return build_run(b, argv, e);
}

static int make_image(struct build *b, const char *dir, const char *img, bool faked, const char *state, struct err *e)
{
	/* A small journal: the image is copied and read far more often than a template is
	   written to. */
	const char *const argv[] = { "fakeroot", "-i", state, "--", "/sbin/mkfs.ext4", "-q", "-F", "-m", "0", "-L", "bulkhead-root",
				     "-J", "size=16", "-E", "root_owner=0:0", "-d", dir, img, NULL };
	_cleanup_fd_ int fd = open(img, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	char dev[PATH_MAX];

	/* The mount point went with the nodes. */
	if (str_printf(dev, sizeof dev, "%s/dev", dir) < 0 || (mkdir(dev, 0755) < 0 && errno != EEXIST))
		return err_errno(e, errno, "making %s/dev", dir);
	if (fd < 0 || ftruncate(fd, (off_t)ROOT_BYTES) < 0)
		return err_errno(e, errno, "making %s", img);
	return build_run(b, faked ? argv : argv + 4, e);
}

static int image_as_root(struct build *b, const char *tar, const char *img, struct err *e)
{
	char dir[PATH_MAX];
	int r = build_path(b, dir, e, "tmp/root");

	if (r < 0)
		return r;
	build_step(b, "guest package", 900);
	r = apply(b, tar, dir, e);
	if (r < 0)
		return r;
	build_step(b, "root image", 1000);
	return make_image(b, dir, img, false, "", e);
}

static int image_as_user(struct build *b, const char *tar, const char *img, struct err *e)
{
	char root_tar[PATH_MAX], dir[PATH_MAX], state[PATH_MAX];
	int r = build_path(b, root_tar, e, "tmp/root.tar");

	if (r >= 0)
		r = build_path(b, dir, e, "tmp/root");
	if (r >= 0)
		r = build_path(b, state, e, "tmp/fakeroot");
	if (r < 0)
		return r;
	build_step(b, "guest package", 900);
	r = apply(b, tar, root_tar, e);
	if (r < 0)
		return r;
	build_step(b, "root image", 1000);
	if (mkdir(dir, 0755) < 0)
		return err_errno(e, errno, "making %s", dir);

	const char *const unpack[] = { "fakeroot", "-s", state, "--", "/bin/tar", "-C", dir, "--numeric-owner", "--exclude=./dev/*",
				       "-xpf", root_tar, NULL };

	r = build_run(b, unpack, e);
	return r < 0 ? r : make_image(b, dir, img, true, state, e);
}

static bool up_to_date(const char *toml, const char *img, const char *digest)
{
	_cleanup_free_ char *text = NULL;

	return access(img, F_OK) == 0 && fs_read(AT_FDCWD, toml, 1 << 16, &text, NULL, NULL) == 0 && strstr(text, digest);
}

static int write_facts(const struct build *b, const struct template_result *res, const char *path, struct err *e)
{
	const char *kernel = strrchr(res->kernel_dir, '/');
	_cleanup_free_ char *text =
		xasprintf("name = \"%s\"\nflavour = \"%s\"\nsuite = \"%s\"\nkernel = \"%s\"\ndigest = \"%s\"\n", res->name,
			  b->req->flavour->name, res->suite, kernel ? kernel + 1 : "", res->digest);

	return fs_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, e);
}

int root_build(struct build *b, const char *base_tar, const char *base_key_hex, struct template_result *res, struct err *e)
{
	char toml[PATH_MAX], tmp[PATH_MAX], dir[PATH_MAX];
	int r = root_digest(b, base_key_hex, res->digest, e);

	if (r >= 0)
		r = build_path(b, dir, e, "templates/%s", res->name);
	if (r >= 0)
		r = build_path(b, res->root_img, e, "templates/%s/root.img", res->name);
	if (r >= 0)
		r = build_path(b, toml, e, "templates/%s/template.toml", res->name);
	if (r >= 0)
		r = build_path(b, tmp, e, "tmp/root.img");
	if (r >= 0)
		r = fs_mkdir_p(dir, 0755, e);
	if (r < 0)
		return r;
	if (!b->req->refresh && up_to_date(toml, res->root_img, res->digest)) {
		b->step_no += 2;
		b->permille_end = 1000;
		/* The kernel may have changed since. */
		return write_facts(b, res, toml, e);
	}
	r = geteuid() == 0 ? image_as_root(b, base_tar, tmp, e) : image_as_user(b, base_tar, tmp, e);
	/* The facts go first and come last: an image without matching facts is built again. */
	if (r >= 0)
		r = build_remove(toml, e);
	if (r >= 0)
		r = build_publish(tmp, res->root_img, e);
	return r < 0 ? r : write_facts(b, res, toml, e);
}
