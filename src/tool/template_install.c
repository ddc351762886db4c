/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registration of a built template. */
#include "tool/template_install.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "base/wr.h"
#include "client/admin.h"
#include "proto/isotime.h"
#include "tool/tpl_install.h"

#define COPY_CHUNK (4u << 20)

struct copy_job {
	uint64_t done, total;
	void (*progress)(uint64_t done, uint64_t total, void *arg);
	void *arg;
};

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static void tell(struct copy_job *j, uint64_t n)
{
	j->done += n;
	if (j->progress)
		j->progress(j->done, j->total, j->arg);
}

/* Copies the bytes [off, end) of in to the same place of out. */
static int copy_range(int in, int out, off_t off, off_t end, struct copy_job *j)
{
	_cleanup_free_ uint8_t *buf = NULL;

	while (off < end) {
		size_t want = (size_t)MIN((off_t)COPY_CHUNK, end - off);
		off_t from = off, to = off;
		ssize_t n = buf ? -1 : copy_file_range(in, &from, out, &to, want, 0);

		if (n < 0) {
			/* Not every pair of file systems can do it in the kernel. */
			if (!buf)
				buf = xmalloc(COPY_CHUNK);
			n = pread(in, buf, want, off);
			if (n > 0 && pwrite(out, buf, (size_t)n, off) != n)
				n = -1;
		}
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		off += n;
		tell(j, (uint64_t)n);
	}
	return 0;
}

/* Copies only what is allocated; out is empty and becomes as long as in. */
static int copy_sparse(int in, int out, struct copy_job *j, struct err *e)
{
	struct stat st;
	off_t off = 0;

	if (fstat(in, &st) < 0)
		return err_errno(e, errno, "reading the image");
	if (ioctl(out, FICLONE, in) == 0)
		return 0;
	if (ftruncate(out, st.st_size) < 0)
		return err_errno(e, errno, "sizing the copy");
	for (;;) {
		off_t data = lseek(in, off, SEEK_DATA), hole;
		int r;

		if (data < 0 && errno == ENXIO)
			return 0;
		if (data < 0)
			return err_errno(e, errno, "reading the image");
		hole = lseek(in, data, SEEK_HOLE);
		r = hole < 0 ? -errno : copy_range(in, out, data, hole, j);
		if (r < 0)
			return err_errno(e, -r, "copying the image");
		off = hole;
	}
}

static int copy_file(const char *from, int dirfd, const char *to, struct copy_job *j, struct err *e)
{
	_cleanup_fd_ int in = open(from, O_RDONLY | O_CLOEXEC);
	/* A qube's QEMU, which has a user id of its own in system mode, opens the kernel through /proc. It is no secret. */
	_cleanup_fd_ int out = openat(dirfd, to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	int r;

	if (in < 0)
		return err_errno(e, errno, "opening '%s'", from);
	if (out < 0 || fchmod(out, 0644) < 0)
		return err_errno(e, errno, "creating '%s'", to);
	r = copy_sparse(in, out, j, e);
	if (r == 0 && fsync(out) < 0)
		r = err_errno(e, errno, "writing '%s'", to);
	return r;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* A kernel directory appears under its final name only when it is complete. */
static int install_kernel(const char *kernel_dir, struct copy_job *j, struct err *e)
{
	const char *version = base_name(kernel_dir);
	_cleanup_fd_ int kernels = open(path_get(PATH_KERNELS), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int tmp = -1;
	_cleanup_(closedirp) DIR *d = opendir(kernel_dir);
	_cleanup_free_ char *tmp_name = xasprintf(".%s~", version);
	struct dirent *ent;
	int r;

	if (kernels < 0)
		return err_errno(e, errno, "opening '%s'", path_get(PATH_KERNELS));
	if (faccessat(kernels, version, F_OK, 0) == 0)
		return 0;
	if (!d)
		return err_errno(e, errno, "opening '%s'", kernel_dir);
	r = fs_rm_rf(kernels, tmp_name, e);
	if (r < 0)
		return r;
	if (mkdirat(kernels, tmp_name, 0755) < 0)
		return err_errno(e, errno, "creating '%s'", tmp_name);
	tmp = openat(kernels, tmp_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tmp < 0 || fchmod(tmp, 0755) < 0)
		return err_errno(e, errno, "opening '%s'", tmp_name);
	while ((ent = readdir(d))) {
		_cleanup_free_ char *from = NULL;

		if (ent->d_name[0] == '.')
			continue;
		from = xasprintf("%s/%s", kernel_dir, ent->d_name);
		r = copy_file(from, tmp, ent->d_name, j, e);
		if (r < 0)
			return r;
	}
	if (fsync(tmp) < 0 || renameat(kernels, tmp_name, kernels, version) < 0 || fsync(kernels) < 0)
		return err_errno(e, errno, "installing kernel '%s'", version);
	return 0;
}

/* One call of the internal socket: the public one does not have ImportBegin and ImportEnd. */
static int internal_call(struct adm_reply *ret, const char *dest, const char *method, const char *arg, const char *payload,
			 struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(ADM_REQUEST_MAX);
	_cleanup_fd_ int fd = -1;
	int r = adm_frame(&w, "dom0", dest, method, arg, payload, payload ? strlen(payload) : 0);

	if (r < 0)
		return err_errno(e, -r, "%s", method);
	fd = adm_connect(path_get(PATH_QUBESD_INTERNAL_SOCK), e);
	if (fd < 0)
		return fd;
	r = write_full(fd, w.buf, w.len);
	if (r == 0 && shutdown(fd, SHUT_WR) < 0)
		r = -errno;
	return r < 0 ? err_errno(e, -r, "%s", method) : adm_finish(STEAL_FD(fd), ret, e);
}

static int import_root(const struct template_install *ti, struct copy_job *j, struct err *e)
{
	_cleanup_reply_ struct adm_reply begin = { 0 };
	_cleanup_reply_ struct adm_reply end = { 0 };
	_cleanup_fd_ int in = open(ti->root_img, O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int out = -1;
	char size[24];
	struct stat st;
	char *path;
	int r;

	if (in < 0 || fstat(in, &st) < 0)
		return err_errno(e, errno, "opening '%s'", ti->root_img);
	r = str_printf(size, sizeof size, "%lld", (long long)st.st_size);
	if (r == 0)
		r = internal_call(&begin, ti->name, "internal.vm.volume.ImportBegin", "root", size, e);
	if (r < 0)
		return err_add(e, r, "importing the root volume");
	path = strchr(begin.data, ' ');
	if (!path || path[1] != '/')
		return err_set(e, EPROTO, "the daemon gave no path to import to");
	out = open(path + 1, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	r = out < 0 ? err_errno(e, errno, "opening '%s'", path + 1) : copy_sparse(in, out, j, e);
	if (r == 0 && fsync(out) < 0)
		r = err_errno(e, errno, "writing '%s'", path + 1);
	if (r < 0) {
		_cleanup_reply_ struct adm_reply failed = { 0 };
		_cleanup_free_ char *text = xasprintf("fail\n%s", err_text(e, r));

		(void)!internal_call(&failed, ti->name, "internal.vm.volume.ImportEnd", "root", text, NULL);
		return r;
	}
	return internal_call(&end, ti->name, "internal.vm.volume.ImportEnd", "root", "ok", e);
}

/* What qvm-template list and info say: the version is the distribution's, the release the time of the build. */
static int describe(const struct template_install *ti, struct err *e)
{
	struct tpl_info info = { .epoch = "0", .distribution = "debian", .license = "the licences of its packages" };
	char stamp[ISOTIME_CAP];
	struct timespec now;
	int r = clock_gettime(CLOCK_REALTIME, &now) < 0 || isotime_put(stamp, (struct isotime){ now.tv_sec, 0 }, false) < 0 ? -EINVAL : 0;

	if (r == 0)
		r = str_copy(info.version, sizeof info.version, ti->suite && streq(ti->suite, "trixie") ? "13" : "12");
	if (r == 0)
		r = str_copy(info.os_version, sizeof info.os_version, info.version);
	if (r == 0)
		r = str_printf(info.release, sizeof info.release, "%.4s%.2s%.2s%.2s%.2s", stamp, stamp + 5, stamp + 8, stamp + 11, stamp + 14);
	if (r == 0)
		r = str_printf(info.built, sizeof info.built, "%lld", (long long)now.tv_sec);
	if (r == 0 && ti->summary)
		r = str_copy(info.summary, sizeof info.summary, ti->summary);
	return r < 0 ? err_set(e, -r, "describing the template") : tpl_describe(ti->name, &info, "@build", e);
}

static int set_features(const struct template_install *ti, const char *version, struct err *e)
{
	const struct {
		const char *name, *value;
	} rows[] = {
		{ "os", "Linux" },
		{ "os-distribution", "debian" },
		{ "os-version", ti->suite && streq(ti->suite, "trixie") ? "13" : "12" },
		{ "qrexec", "1" },
		{ "vmexec", "1" },
		/* Its qubes are shown from the first start on, also when nobody ever starts the template, which would tell this itself. */
		{ ti->x11 ? "gui" : NULL, "1" },
		{ ti->x11 ? "supported-rpc.qubes.SetMonitorLayout" : NULL, "1" },
		{ "template-kernel", version },
		{ "template-digest", ti->digest },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = rows[i].name ? adm_void(ti->name, "admin.vm.feature.Set", rows[i].name, rows[i].value, e) : 0;

		if (r < 0)
			return r;
	}
	if (ti->feature && adm_void(ti->name, "admin.vm.feature.Set", ti->feature, "1", e) < 0)
		return -EIO;
	return describe(ti, e);
}

/* A global property that has no value yet gets one; a choice of the user is left alone. */
static int default_property(const char *name, const char *value, bool (*replace)(const char *old, const char *value), struct err *e)
{
	_cleanup_reply_ struct adm_reply old = { 0 };
	int r = adm_text(&old, "dom0", "admin.property.Get", name, NULL, e);
	const char *v;

	if (r < 0)
		return r;
	v = strrchr(old.data, ' ');
	if (v && v[1] && !(replace && replace(v + 1, value)))
		return 0;
	return adm_void("dom0", "admin.property.Set", name, value, e);
}

/* A kernel that is not on disk cannot be a choice: a fresh instance has a placeholder. Nor is the same kernel with an older first program
   (the part after the last dot) one: it came from here, and a template expects the newer. */
static bool kernel_gives_way(const char *old, const char *value)
{
	const char *dot = strrchr(value, '.'), *old_dot = strrchr(old, '.');
	char path[PATH_MAX];

	if (access(path_fmt(path, PATH_KERNELS, "/%s/vmlinuz", old), F_OK) < 0)
		return true;
	return dot && old_dot && dot - value == old_dot - old && strncmp(old, value, (size_t)(dot - value)) == 0;
}

static int ensure_qube(const char *name, bool *ret_created, struct err *e)
{
	_cleanup_reply_ struct adm_reply list = { 0 };
	_cleanup_free_ char *payload = xasprintf("name=%s label=black", name);
	int r = adm_text(&list, name, "admin.vm.List", NULL, NULL, e);

	*ret_created = false;
	if (r == 0) {
		if (!strstr(list.data, "class=TemplateVM"))
			return err_set(e, EEXIST, "a qube named '%s' exists and is not a template; remove or rename it first", name);
		if (!strstr(list.data, "state=Halted"))
			return err_set(e, EBUSY, "template '%s' is running; shut it down first", name);
		return 0;
	}
	if (r != -ADM_EXC_NOT_FOUND)
		return r;
	err_clear(e);
	r = adm_void("dom0", "admin.vm.Create.TemplateVM", NULL, payload, e);
	*ret_created = r == 0;
	return r;
}

static bool same_digest(const struct template_install *ti)
{
	_cleanup_reply_ struct adm_reply old = { 0 };

	return adm_text(&old, ti->name, "admin.vm.feature.Get", "template-digest", NULL, NULL) == 0 &&
	       streq(old.data, ti->digest);
}

static uint64_t allocated(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

int template_install(const struct template_install *ti, bool *ret_changed, struct err *e)
{
	struct copy_job j = { .progress = ti->progress, .arg = ti->arg, .total = allocated(ti->root_img) };
	const char *version = base_name(ti->kernel_dir);
	bool created;
	int r = 0;

	*ret_changed = false;
	/* The full one first: without a choice of the user the newest kernel counts. */
	if (ti->full_kernel_dir && ti->full_kernel_dir[0])
		r = install_kernel(ti->full_kernel_dir, &j, e);
	if (r == 0)
		r = install_kernel(ti->kernel_dir, &j, e);
	if (r == 0)
		r = default_property("default_kernel", version, kernel_gives_way, e);
	if (r == 0)
		r = ensure_qube(ti->name, &created, e);
	if (r < 0)
		return err_add(e, r, "installing template '%s'", ti->name);
	if (!created && !ti->force && same_digest(ti))
		return default_property("default_template", ti->name, NULL, e);
	j.done = 0;
	j.total = allocated(ti->root_img);
	r = import_root(ti, &j, e);
	if (r == 0)
		r = set_features(ti, version, e);
	if (r == 0)
		r = default_property("default_template", ti->name, NULL, e);
	if (r < 0) {
		if (created)
			(void)!adm_void(ti->name, "admin.vm.Remove", NULL, NULL, NULL);
		return err_add(e, r, "installing template '%s'", ti->name);
	}
	*ret_changed = true;
	return 0;
}
