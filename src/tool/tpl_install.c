/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A template file becomes a template. */
#include "tool/tpl_install.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "client/answers.h"
#include "proto/isotime.h"

#define SUFFIX ".install"
#define DROP_WAIT_US 20000000u

const char *tpl_stamp(char out[TPL_STAMP_MAX], uint64_t sec)
{
	char iso[ISOTIME_CAP] = "";

	out[0] = '\0';
	if (sec < (UINT64_C(1) << 37) && isotime_put(iso, (struct isotime){ (int64_t)sec, 0 }, false) == 0) {
		iso[10] = ' ';
		iso[19] = '\0';
		(void)!str_copy(out, TPL_STAMP_MAX, iso);
	}
	return out;
}

static uint64_t clock_now(void)
{
	struct timespec now;

	return clock_gettime(CLOCK_REALTIME, &now) == 0 ? (uint64_t)now.tv_sec : 0;
}

/* The lock is this process's alone: one of flock would live on in a helper that was about to begin when we were killed. */
static int mark_lock(int fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_SETLK, &l);
}

/* "new" or "replace" */
int tpl_mark_begin(struct tpl_mark *m, const char *name, bool replace, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	int r = fs_mkdir_p(path_get(PATH_TEMPLATES), 0755, e);

	*m = (struct tpl_mark){ .fd = -1 };
	if (r < 0)
		return r;
	m->path = xasprintf("%s/%s" SUFFIX, path_get(PATH_TEMPLATES), name);
	fd = open(m->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return err_errno(e, errno, "%s", m->path);
	if (mark_lock(fd) < 0)
		return err_set(e, EBUSY, "template '%s' is being changed by another qvm-template", name);
	r = ftruncate(fd, 0) < 0 ? -errno : write_full(fd, replace ? "replace\n" : "new\n", replace ? 8 : 4);
	if (r < 0 || fsync(fd) < 0)
		return err_errno(e, r < 0 ? -r : errno, "%s", m->path);
	m->fd = STEAL_FD(fd);
	return 0;
}

void tpl_mark_end(struct tpl_mark *m)
{
	if (m->fd >= 0)
		(void)unlink(m->path);
	fd_closep(&m->fd);
	free(STEAL_PTR(m->path));
}

static bool has_feature(const char *qube, const char *feature)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	return adm_text(&rep, qube, "admin.vm.feature.Get", feature, NULL, NULL) == 0;
}

static int create(const char *name, const char *pool, struct err *e)
{
	_cleanup_free_ char *payload = xasprintf("name=%s label=black%s%s", name, pool ? " pool=" : "", pool ? pool : "");

	return adm_void("dom0", pool ? "admin.vm.CreateInPool.TemplateVM" : "admin.vm.Create.TemplateVM", NULL, payload, e);
}

/* A template that was made but never got its last feature is nobody's. The daemon may still be busy with the last call of whoever was killed: the
   removal is tried for a while, and a name that nobody has is taken for a moment, which fails while a creation is under way. 1: removed, 0: nothing
   to remove, negative: it is still there. */
static int drop_new(const char *name)
{
	uint64_t end = now_us() + DROP_WAIT_US;
	bool probed = false;

	for (;;) {
		struct adm_qubes q;
		bool ours;
		int r = adm_qubes_get(&q, name, NULL);

		if (r == -ADM_EXC_NOT_FOUND && probed)
			return 0;
		if (r == -ADM_EXC_NOT_FOUND) {
			probed = create(name, NULL, NULL) == 0;
			if (!probed && now_us() > end)
				return 0;
			if (!probed)
				(void)poll(NULL, 0, 50);
			continue;
		}
		if (r < 0)
			return r;
		ours = q.n && streq(q.v[0].cls, "TemplateVM") && streq(q.v[0].state, "Halted");
		adm_qubes_fini(&q);
		if (!ours || has_feature(name, "template-installtime"))
			return 0;
		r = adm_void(name, "admin.vm.Remove", NULL, NULL, NULL);
		if (r == 0)
			return !probed;
		if (now_us() > end)
			return r;
		(void)poll(NULL, 0, 50);
	}
}

static void drop_import(const char *name)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	(void)!adm_internal(&rep, name, "internal.vm.volume.ImportEnd", "root", "fail\nthe installation was killed", NULL);
}

/* An import may have begun just as its owner was killed: one of our own comes behind it, and is dropped with what it replaced. */
static int drop_replacement(const char *name)
{
	uint64_t end = now_us() + DROP_WAIT_US;

	for (;;) {
		_cleanup_reply_ struct adm_reply rep = { 0 };
		int r = adm_internal(&rep, name, "internal.vm.volume.ImportBegin", "root", NULL, NULL);

		if (r == 0)
			drop_import(name);
		if (r == 0 || r == -ADM_EXC_NOT_FOUND || r == -ADM_EXC_NOT_HALTED)
			return 0;
		if (now_us() > end)
			return r;
		(void)poll(NULL, 0, 50);
	}
}

static int marks(const struct dirent *d)
{
	return d->d_name[0] != '.' && str_ends(d->d_name, SUFFIX);
}

static bool recover_one(const char *path, const char *name)
{
	_cleanup_fd_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	char text[16] = "";
	int r;

	if (fd < 0 || mark_lock(fd) < 0)
		return false;
	if (read_full(fd, text, sizeof text - 1) < 0)
		return false;
	drop_import(name);
	/* The mark goes when what it stands for has gone. */
	r = str_starts(text, "new") ? drop_new(name) : drop_replacement(name);
	if (r >= 0)
		(void)unlink(path);
	return r > 0;
}

void tpl_recover(void (*said)(const char *text, void *arg), void *arg)
{
	const char *dir = path_get(PATH_TEMPLATES);
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct dirent **v = NULL;
	int n = scandir(dir, &v, marks, alphasort);

	/* Without a daemon nothing can be taken back; the marks stay. */
	if (n > 0 && adm_text(&rep, "dom0", "admin.vm.List", NULL, NULL, NULL) < 0) {
		for (int i = 0; i < n; i++)
			free(v[i]);
		n = 0;
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, v[i]->d_name), *text = NULL;

		v[i]->d_name[strlen(v[i]->d_name) - strlen(SUFFIX)] = '\0';
		if (recover_one(path, v[i]->d_name) && said) {
			text = xasprintf("an earlier installation of '%s' was killed half-way; it was taken back", v[i]->d_name);
			said(text, arg);
		}
		free(v[i]);
	}
	free(v);
}

int tpl_import_begin(const char *qube, uint64_t size, void **ret_watch, struct err *e)
{
	void *watch = adm_watch_begin(qube, "admin.vm.volume.Import", "root", NULL, 0);
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char text[24], *path;
	int fd = -1, r = str_printf(text, sizeof text, "%llu", (unsigned long long)size);

	if (r == 0)
		r = adm_internal(&rep, qube, "internal.vm.volume.ImportBegin", "root", text, e);
	if (r == 0) {
		path = strchr(rep.data, ' ');
		if (path)
			path[strcspn(path, "\n")] = '\0';
		if (!path || path[1] != '/')
			r = err_set(e, EPROTO, "the answer of qubesd to ImportBegin is malformed");
		else
			fd = open(path + 1, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (r == 0 && fd < 0)
			r = err_errno(e, errno, "opening '%s'", path + 1);
		/* A file may hold older content; a device cannot be emptied, and zeros are left out. */
		if (r == 0 && (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)size) < 0))
			r = err_errno(e, errno, "emptying '%s'", path + 1);
		if (r < 0)
			drop_import(qube);
	}
	if (r < 0) {
		fd_closep(&fd);
		return adm_watch_end(watch, err_add(e, r, "root volume of '%s'", qube));
	}
	*ret_watch = watch;
	return fd;
}

int tpl_import_end(const char *qube, int fd, void *watch, int r, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	if (r == 0 && fsync(fd) < 0)
		r = err_errno(e, errno, "writing the root volume");
	close(fd);
	if (r < 0)
		drop_import(qube);
	else
		r = adm_internal(&rep, qube, "internal.vm.volume.ImportEnd", "root", "ok", e);
	return adm_watch_end(watch, r);
}

static int set_feature(const char *qube, const char *name, const char *value, struct err *e)
{
	return adm_void(qube, value[0] ? "admin.vm.feature.Set" : "admin.vm.feature.Remove", name, value[0] ? value : NULL, e);
}

int tpl_describe(const char *qube, const struct tpl_info *info, const char *repository, struct err *e)
{
	char stamp[TPL_STAMP_MAX];
	const char *feature, *value;
	uint64_t built = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && (value = tpl_field(info, i, NULL, &feature)); i++) {
		if (!feature)
			continue;
		if (streq(feature, "template-name"))
			value = qube;
		if (value[0] || has_feature(qube, feature))
			r = set_feature(qube, feature, value, e);
	}
	if (r == 0)
		r = set_feature(qube, "template-reponame", repository, e);
	if (r == 0 && str_u64(info->built, UINT64_C(1) << 40, &built) == 0)
		r = set_feature(qube, "template-buildtime", tpl_stamp(stamp, built), e);
	/* Last: it says that everything before it is there. */
	return r < 0 ? r : set_feature(qube, "template-installtime", tpl_stamp(stamp, clock_now()), e);
}

static int set_properties(const char *qube, const struct tpl_manifest *m, bool replace, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_features; i++)
		r = set_feature(qube, m->features[i].key, m->features[i].value, e);
	/* An existing template keeps its owner's choices. */
	for (size_t i = 0; r == 0 && !replace && i < m->n_properties; i++)
		r = adm_void(qube, "admin.vm.property.Set", m->properties[i].key, m->properties[i].value, e);
	return r;
}

static int must_be(const char *name, bool there, struct err *e)
{
	struct adm_qubes q;
	int r = adm_qubes_get(&q, name, e);

	if (r == -ADM_EXC_NOT_FOUND && !there) {
		err_clear(e);
		return 0;
	}
	if (r < 0)
		return r;
	if (!there)
		r = err_set(e, EEXIST, "a qube named '%s' exists; 'qvm-template reinstall' or 'upgrade' replaces a template, --name chooses another name", name);
	else if (!streq(q.v[0].cls, "TemplateVM"))
		r = err_set(e, EEXIST, "'%s' is not a template", name);
	else if (!streq(q.v[0].state, "Halted"))
		r = err_set(e, EBUSY, "template '%s' is running; shut it down first (qvm-shutdown --wait %s)", name, name);
	adm_qubes_fini(&q);
	return r;
}

static int check_file(const struct tpl_job *job, const struct tpl_file *f, struct err *e)
{
	struct utsname u;

	if (job->sum && memcmp(job->sum, f->sum, TPL_SHA_LEN) != 0)
		return err_set(e, EBADMSG, "%s is not the file that the repository's index names", job->path);
	if (uname(&u) == 0 && !streq(f->m.info.arch, u.machine) && !streq(f->m.info.arch, "noarch"))
		return err_set(e, ENOEXEC, "the template is for %s computers, this one is %s", f->m.info.arch, u.machine);
	return 0;
}

static int fill(const struct tpl_job *job, const char *name, struct tpl_file *f, struct err *e)
{
	void *watch;
	int fd = tpl_import_begin(name, f->m.size, &watch, e), r;

	if (fd < 0)
		return fd;
	r = tpl_file_unpack(f, job->only_key, fd, job->progress, job->arg, e);
	if (r == 0 && tpl_interrupted())
		r = err_set(e, EINTR, "interrupted");
	r = tpl_import_end(name, fd, watch, r, e);
	if (r == 0)
		r = set_properties(name, &f->m, job->replace, e);
	return r < 0 ? r : tpl_describe(name, &f->m.info, job->repository, e);
}

int tpl_install(const struct tpl_job *job, struct err *e)
{
	_cleanup_tpl_file_ struct tpl_file f = TPL_FILE_INIT;
	_cleanup_(tpl_mark_end) struct tpl_mark mark = { .fd = -1 };
	bool created = false;
	const char *name;
	int r = tpl_file_open(&f, job->path, job->only_key, e);

	if (r < 0)
		return r;
	name = job->name ? job->name : f.m.info.name;
	r = check_file(job, &f, e);
	if (r == 0)
		r = must_be(name, job->replace, e);
	if (r == 0)
		r = tpl_mark_begin(&mark, name, job->replace, e);
	if (r == 0 && !job->replace) {
		r = create(name, job->pool, e);
		created = r == 0;
	}
	if (r == 0)
		r = fill(job, name, &f, e);
	if (r < 0 && created)
		(void)!adm_void(name, "admin.vm.Remove", NULL, NULL, NULL);
	return r < 0 ? err_add(e, r, "template '%s'", name) : 0;
}
