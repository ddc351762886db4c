/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The guest kernel: a Debian package, unpacked (never installed), turned into the files that a
   qube is started with. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "template/bzimage.h"
#include "template/run.h"

#define BUILDER_VERSION "bulkhead-kernel-3"
#define VMLINUZ_MAX (64u << 20)
#define XZ_BATCH 200

static const char *meta_package(bool full)
{
	return full ? "linux-image-amd64" : "linux-image-cloud-amd64";
}

/* apt_options: a private state below the cache, so that neither root nor the host's package
   lists are needed. */
/* The options outlive every argv made from them. */
struct apt {
	char sources[PATH_MAX + 40], lists[PATH_MAX + 40], cache[PATH_MAX + 40], status[PATH_MAX + 40];
	const char *argv[24];
	size_t n;
};

static int apt_prepare(struct build *b, struct apt *a, struct err *e)
{
	static const char *const dirs[] = { "apt/lists/partial", "apt/cache/archives/partial" };
	char path[PATH_MAX];
	_cleanup_fd_ int fd = -1;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(dirs); i++) {
		r = build_path(b, path, e, "%s", dirs[i]);
		if (r >= 0)
			r = fs_mkdir_p(path, 0755, e);
	}
	if (r >= 0)
		r = build_path(b, path, e, "apt/sources.list");
	if (r >= 0)
		r = sources_write(b->req->flavour->suite, path, e);
	if (r >= 0)
		r = build_path(b, path, e, "apt/status");
	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_errno(e, errno, "making %s", path);
	if (str_printf(a->sources, sizeof a->sources, "-oDir::Etc::sourcelist=%s/apt/sources.list", b->cache) < 0 ||
	    str_printf(a->lists, sizeof a->lists, "-oDir::State::lists=%s/apt/lists", b->cache) < 0 ||
	    str_printf(a->cache, sizeof a->cache, "-oDir::Cache=%s/apt/cache", b->cache) < 0 ||
	    str_printf(a->status, sizeof a->status, "-oDir::State::status=%s/apt/status", b->cache) < 0)
		return err_set(e, ENAMETOOLONG, "the cache's path");
	return 0;
}

static void apt_argv(struct apt *a, const char *program, const char *const *words)
{
	a->n = 0;
	a->argv[a->n++] = program;
	a->argv[a->n++] = "-q";
	a->argv[a->n++] = a->sources;
	a->argv[a->n++] = "-oDir::Etc::sourceparts=-";
	a->argv[a->n++] = a->lists;
	a->argv[a->n++] = a->cache;
	a->argv[a->n++] = a->status;
	a->argv[a->n++] = "-oAPT::Sandbox::User=";
	a->argv[a->n++] = "-oAcquire::Languages=none";
	a->argv[a->n++] = "-oAcquire::Retries=3";
	for (; *words; words++)
		a->argv[a->n++] = *words;
	a->argv[a->n] = NULL;
}

/* image_package finds the versioned package that the meta package depends on: the first word of
   that form. */
static int image_package(const char *show, char ret[128], struct err *e)
{
	const char *p = strstr(show, "\nDepends: ");
	size_t n;

	p = p ? strstr(p, "linux-image-") : NULL;
	n = p ? strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789.+-") : 0;
	if (!p || n >= 128)
		return err_set(e, ENOENT, "the package index names no kernel");
	memcpy(ret, p, n);
	ret[n] = '\0';
	return 0;
}

/* fetch downloads the kernel package to debs/ and writes its file name to ret. */
static int fetch(struct build *b, const char *meta, const char *record, char ret[256], struct err *e)
{
	_cleanup_free_ char *show = NULL;
	char package[128], dir[PATH_MAX], pattern[160], from[PATH_MAX], to[PATH_MAX];
	struct apt a = { .n = 0 };
	struct dirent *ent;
	DIR *d;
	int r = apt_prepare(b, &a, e);

	if (r < 0)
		return r;
	apt_argv(&a, "apt-get", (const char *const[]){ "update", NULL });
	r = build_run(b, a.argv, e);
	if (r < 0)
		return r;
	apt_argv(&a, "apt-cache", (const char *const[]){ "show", "--no-all-versions", meta, NULL });
	r = build_capture(b, a.argv, &show, e);
	if (r >= 0)
		r = image_package(show, package, e);
	if (r < 0)
		return r;
	/* download-only of one package without its dependencies: they belong to a bootable
	   system, not to a kernel file. */
	r = build_path(b, dir, e, "tmp/deb");
	if (r >= 0)
		r = fs_mkdir_p(dir, 0755, e);
	if (r < 0)
		return r;
	apt_argv(&a, "apt-get", (const char *const[]){ "download", package, NULL });

	const char *argv[32] = { "env", "-C", dir };

	/* apt writes the file to its working directory. */
	for (size_t i = 0; i <= a.n; i++)
		argv[3 + i] = a.argv[i];
	r = build_run(b, argv, e);
	if (r < 0)
		return r;
	if (str_printf(pattern, sizeof pattern, "%s_", package) < 0)
		return err_set(e, ENAMETOOLONG, "%s", package);
	ret[0] = '\0';
	d = opendir(dir);
	while (d && (ent = readdir(d)))
		if (str_starts(ent->d_name, pattern) && str_ends(ent->d_name, ".deb") && str_copy(ret, 256, ent->d_name) < 0)
			ret[0] = '\0';
	if (d)
		closedir(d);
	if (!ret[0])
		return err_set(e, ENOENT, "the kernel package was not downloaded");
	r = build_path(b, from, e, "tmp/deb/%s", ret);
	if (r >= 0)
		r = build_path(b, to, e, "debs/%s", ret);
	if (r >= 0)
		r = build_publish(from, to, e);
	return r < 0 ? r : fs_write_atomic(AT_FDCWD, record, ret, strlen(ret), 0644, e);
}

/* package gives the file name of the kernel package, from the cache when it can. */
static int package(struct build *b, const char *meta, char ret[256], struct err *e)
{
	char record[PATH_MAX], deb[PATH_MAX];
	_cleanup_free_ char *text = NULL;
	int r = build_path(b, record, e, "debs/%s-%s", meta, b->req->flavour->suite);

	if (r < 0)
		return r;
	if (!b->req->refresh && fs_read(AT_FDCWD, record, 255, &text, NULL, NULL) == 0 && str_chars(text, "._-+~") &&
	    str_copy(ret, 256, text) == 0 && build_path(b, deb, e, "debs/%s", ret) == 0 && access(deb, F_OK) == 0)
		return 0;
	return fetch(b, meta, record, ret, e);
}

/* find_version gives the only directory below lib/modules of the unpacked package. */
static int find_version(const char *modules, char ret[128], struct err *e)
{
	DIR *d = opendir(modules);
	struct dirent *ent;

	if (!d)
		return err_errno(e, errno, "opening %s", modules);
	ret[0] = '\0';
	while ((ent = readdir(d)))
		if (ent->d_name[0] != '.' && str_copy(ret, 128, ent->d_name) < 0)
			ret[0] = '\0';
	closedir(d);
	return ret[0] ? 0 : err_set(e, ENOENT, "the kernel package has no modules");
}

/* Packed modules, found by nftw, which has no argument for its callback. */
static struct {
	char *path[XZ_BATCH];
	size_t n;
	uint64_t bytes;
	struct build *b;
	struct err *e;
	int result;
} walk;

static void unpack_batch(void)
{
	const char *argv[XZ_BATCH + 4] = { "xz", "-dq" };

	if (walk.n == 0)
		return;
	for (size_t i = 0; i < walk.n; i++)
		argv[2 + i] = walk.path[i];
	walk.result = build_run(walk.b, argv, walk.e);
	for (size_t i = 0; i < walk.n; i++)
		free(walk.path[i]);
	walk.n = 0;
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	/* One inode and half a block are lost for each file. */
	walk.bytes += (uint64_t)st->st_size + 4096;
	if (type == FTW_F && str_ends(path, ".ko.xz")) {
		walk.path[walk.n++] = xstrdup(path);
		if (walk.n == XZ_BATCH)
			unpack_batch();
	}
	return walk.result < 0;
}

/* unpack_modules replaces packed modules by plain ones, which is what our init can load, and
   gives the size of everything. */
static int unpack_modules(struct build *b, const char *dir, uint64_t *ret_bytes, struct err *e)
{
	for (int pass = 0; pass < 2; pass++) {
		walk.n = 0;
		walk.bytes = 0;
		walk.b = b;
		walk.e = e;
		walk.result = 0;
		if (nftw(dir, visit, 32, FTW_PHYS) < 0)
			return err_errno(e, errno, "reading %s", dir);
		unpack_batch();
		if (walk.result < 0)
			return walk.result;
	}
	*ret_bytes = walk.bytes;
	return 0;
}

static int modules_image(struct build *b, const char *dir, uint64_t bytes, const char *img, struct err *e)
{
	/* Without root everything still belongs to root inside the image. */
	const char *const argv[] = { "fakeroot", "--", "/sbin/mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-L", "modules",
				     "-d", dir, img, NULL };
	uint64_t size = (bytes + bytes / 4 + (16u << 20)) & ~(uint64_t)0xfffff;
	_cleanup_fd_ int fd = open(img, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return err_errno(e, errno, "making %s", img);
	return build_run(b, geteuid() == 0 ? argv + 2 : argv, e);
}

static int write_file(const char *path, const void *p, size_t n, struct err *e)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r;

	if (fd < 0)
		return err_errno(e, errno, "making %s", path);
	r = write_full(fd, p, n);
	return r < 0 ? err_errno(e, -r, "writing %s", path) : 0;
}

/* unpack_by_program writes the payload to a file and lets its own program unpack it. */
static int unpack_by_program(struct build *b, struct rd body, enum bz_method method, const char *out, struct err *e)
{
	char packed[PATH_MAX];
	size_t n = rd_left(&body);
	int r = build_path(b, packed, e, method == BZ_ZSTD ? "tmp/payload.zst" : "tmp/payload.xz");

	if (r >= 0)
		r = write_file(packed, rd_view(&body, n), n, e);
	if (r < 0)
		return r;
	if (method == BZ_ZSTD)
		return build_run(b, (const char *const[]){ "zstd", "-dqf", packed, "-o", out, NULL }, e);

	char plain[PATH_MAX];

	r = build_run(b, (const char *const[]){ "xz", "-dqf", packed, NULL }, e);
	if (r >= 0)
		r = build_path(b, plain, e, "tmp/payload");
	if (r < 0)
		return r;
	return rename(plain, out) < 0 ? err_errno(e, errno, "moving %s", plain) : 0;
}

static int write_vmlinux(struct build *b, const char *vmlinuz, const char *out, struct err *e)
{
	_cleanup_free_ char *image = NULL;
	_cleanup_free_ uint8_t *elf = NULL;
	enum bz_method method;
	size_t len, elf_len;
	struct rd body;
	int r = fs_read(AT_FDCWD, vmlinuz, VMLINUZ_MAX, &image, &len, e);

	if (r >= 0)
		r = bzimage_payload((const uint8_t *)image, len, &body, &method, e);
	if (r < 0)
		return r;
	if (method == BZ_ZSTD || method == BZ_XZ)
		return unpack_by_program(b, body, method, out, e);
	r = bzimage_vmlinux((const uint8_t *)image, len, &elf, &elf_len, e);
	return r < 0 ? r : write_file(out, elf, elf_len, e);
}

static int assemble(struct build *b, const char *tree, const char *version, const char *out, struct err *e)
{
	char modules[PATH_MAX], dir[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
	uint64_t bytes = 0;
	int r;

	if (str_printf(modules, sizeof modules, "%s/lib/modules", tree) < 0 ||
	    str_printf(dir, sizeof dir, "%s/%s", modules, version) < 0 ||
	    str_printf(from, sizeof from, "%s/boot/vmlinuz-%s", tree, version) < 0 ||
	    str_printf(to, sizeof to, "%s/vmlinuz", out) < 0)
		return err_set(e, ENAMETOOLONG, "kernel");
	r = fs_mkdir_p(out, 0755, e);
	if (r < 0)
		return r;
	if (rename(from, to) < 0)
		return err_errno(e, errno, "moving %s", from);
	/* Kept unpacked for emulated qubes; a kernel packed otherwise simply has none. */
	if (str_printf(from, sizeof from, "%s/vmlinux", out) == 0 && write_vmlinux(b, to, from, e) < 0) {
		dprintf(b->log_fd, "no vmlinux: %s\n", err_text(e, -EIO));
		unlink(from);
		err_clear(e);
	}
	r = unpack_modules(b, dir, &bytes, e);
	if (r >= 0)
		r = build_run(b, (const char *const[]){ "depmod", "-b", tree, version, NULL }, e);
	if (r >= 0 && str_printf(to, sizeof to, "%s/modules.img", out) < 0)
		r = err_set(e, ENAMETOOLONG, "kernel");
	if (r >= 0)
		r = modules_image(b, modules, bytes, to, e);
	if (r >= 0 && str_printf(to, sizeof to, "%s/initramfs", out) < 0)
		r = err_set(e, ENAMETOOLONG, "kernel");
	return r < 0 ? r : initramfs_make(dir, b->init, to, e);
}

/* name_of makes the directory's name: the kernel's release and a mark of our init, so that a
   changed init is another kernel. */
static int name_of(const struct build *b, const char *deb, char ret[160], struct err *e)
{
	_cleanup_digest_ struct digest d = { 0 };
	const char *v = deb + strlen("linux-image-");
	char hex[65];
	int r = digest_begin(&d, e);

	if (r < 0)
		return r;
	digest_text(&d, BUILDER_VERSION);
	digest_text(&d, deb);
	r = digest_file(&d, b->init, e);
	if (r >= 0)
		r = digest_end(&d, hex, e);
	if (r < 0)
		return r;
	return str_printf(ret, 160, "%.*s.%.8s", (int)strcspn(v, "_"), v, hex) < 0 ? err_set(e, ENAMETOOLONG, "%s", deb) : 0;
}

/* modules_at_lib moves the modules of a package for a merged /usr to the place where depmod
   looks. */
static int modules_at_lib(const struct build *b, const char *modules, struct err *e)
{
	char merged[PATH_MAX], lib[PATH_MAX];
	int r = build_path(b, merged, e, "tmp/kernel/usr/lib/modules");

	if (r >= 0)
		r = build_path(b, lib, e, "tmp/kernel/lib");
	if (r < 0 || access(modules, F_OK) == 0)
		return r;
	r = fs_mkdir_p(lib, 0755, e);
	if (r < 0)
		return r;
	return rename(merged, modules) < 0 ? err_errno(e, errno, "moving %s", merged) : 0;
}

int kernel_build(struct build *b, bool full, char ret_dir[PATH_MAX], struct err *e)
{
	char deb[256], name[160], version[128], file[PATH_MAX], tree[PATH_MAX], out[PATH_MAX], modules[PATH_MAX];
	int r;

	build_step(b, full ? "full kernel" : "kernel", full ? 850 : 800);
	r = package(b, meta_package(full), deb, e);
	if (r >= 0)
		r = name_of(b, deb, name, e);
	if (r >= 0)
		r = build_path(b, ret_dir, e, "kernels/%s", name);
	if (r < 0 || access(ret_dir, F_OK) == 0)
		return r;
	r = build_path(b, file, e, "debs/%s", deb);
	if (r >= 0)
		r = build_path(b, tree, e, "tmp/kernel");
	if (r >= 0)
		r = build_path(b, out, e, "tmp/kernel.out");
	if (r >= 0)
		r = build_path(b, modules, e, "tmp/kernel/lib/modules");
	if (r >= 0)
		r = build_run(b, (const char *const[]){ "dpkg-deb", "-x", file, tree, NULL }, e);
	if (r >= 0)
		r = modules_at_lib(b, modules, e);
	if (r >= 0)
		r = find_version(modules, version, e);
	if (r >= 0)
		r = assemble(b, tree, version, out, e);
	if (r < 0)
		return r;
	/* A second kernel of the same build starts from nothing. */
	r = build_remove(tree, e);
	if (r < 0)
		return r;
	return rename(out, ret_dir) < 0 ? err_errno(e, errno, "publishing the kernel") : 0;
}
