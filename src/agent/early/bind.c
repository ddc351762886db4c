/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bind-dirs: paths of a template-based qube's root that are kept on the private volume. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "agent/early/bindconf.h"
#include "agent/early/early.h"
#include "base/fsx.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"

#define CONF_MAX (64u << 10)

int bind_source(const char *path, char *ret, size_t cap)
{
	static const struct {
		const char *from, *to;
	} moved[] = { { "/home", RW "/home" }, { "/usr/local", RW "/usrlocal" } };

	for (size_t i = 0; i < ARRAY_SIZE(moved); i++) {
		size_t n = strlen(moved[i].from);

		if (strncmp(path, moved[i].from, n) == 0 && (path[n] == '\0' || path[n] == '/'))
			return str_printf(ret, cap, "%s%s", moved[i].to, path + n);
	}
	return str_printf(ret, cap, RW "/bind-dirs%s", path);
}

/* copy_parents makes the directories above kept with owner and mode of the originals. */
static int copy_parents(const char *path, const char *kept, struct err *e)
{
	char from[PATH_MAX], to[PATH_MAX];
	size_t base = strlen(kept) - strlen(path);

	if (str_copy(from, sizeof from, path) < 0 || str_copy(to, sizeof to, kept) < 0)
		return err_set(e, ENAMETOOLONG, "%s", path);
	for (size_t i = 1; path[i]; i++) {
		struct stat st;

		if (path[i] != '/')
			continue;
		from[i] = to[base + i] = '\0';
		if (mkdir(to, 0755) == 0 && stat(from, &st) == 0 &&
		    (chown(to, st.st_uid, st.st_gid) < 0 || chmod(to, st.st_mode & 07777) < 0))
			return err_errno(e, errno, "owner of %s", to);
		from[i] = to[base + i] = '/';
	}
	return 0;
}

static int make_kept(const char *path, const char *kept, struct err *e)
{
	char parent[PATH_MAX];
	char *slash;
	int r;

	if (str_ends(kept, path)) {
		r = copy_parents(path, kept, e);
	} else {
		if (str_copy(parent, sizeof parent, kept) < 0)
			return err_set(e, ENAMETOOLONG, "%s", kept);
		slash = strrchr(parent, '/');
		*slash = '\0';
		r = fs_mkdir_p(parent, 0755, e);
	}
	return r < 0 ? r : copy_any(path, kept, e);
}

int bind_mount(const char *path, struct err *e)
{
	char real[PATH_MAX], kept[PATH_MAX];
	struct stat st;
	int r;

	/* A link inside the root is followed, so that both names show the kept copy. */
	if (!realpath(path, real) && str_copy(real, sizeof real, path) < 0)
		return err_set(e, ENAMETOOLONG, "%s", path);
	if (bind_source(real, kept, sizeof kept) < 0)
		return err_set(e, ENAMETOOLONG, "%s", path);
	if (stat(kept, &st) < 0) {
		if (access(real, F_OK) < 0)
			return 0;
		r = make_kept(real, kept, e);
		if (r < 0)
			return r;
		if (stat(kept, &st) < 0)
			return err_errno(e, errno, "%s", kept);
	}
	if (access(real, F_OK) < 0) {
		/* Kept from an earlier boot, gone from the template: give it a place again. */
		r = S_ISDIR(st.st_mode) ? fs_mkdir_p(real, 0755, e) : touch(real, e);
		if (r < 0)
			return r;
	}
	return mount(kept, real, NULL, MS_BIND, NULL) < 0 ? err_errno(e, errno, "binding %s", real) : 0;
}

/* by_shell lets bash read a file that is more than two kinds of lines. The result starts empty:
   what came before is passed as arguments. */
static int by_shell(const char *file, struct binds *b, struct err *e)
{
	static const char script[] = "f=$1; shift; binds=(\"$@\"); . \"$f\" >&2; for b in \"${binds[@]}\"; do printf '%s\\n' \"$b\"; done";
	const char *argv[BINDS_MAX + 8] = { "/bin/bash", "-c", script, "bind-dirs", file };
	const struct proc_spec s = { .path = "/bin/bash", .argv = argv, .keep_stderr = true };
	_cleanup_free_ char *out = NULL;
	struct binds next = { .n = 0 };
	struct rd r, line;
	size_t len;
	int err;

	for (size_t i = 0; i < b->n; i++)
		argv[5 + i] = b->path[i];
	err = proc_capture(&s, CONF_MAX, &out, &len, e);
	if (err < 0)
		return err;
	r = rd_mem(out, len);
	while (rd_line(&r, &line)) {
		char path[1100];

		rd_text(&line, path, sizeof path);
		if (path[0] && binds_add(&next, path, e) < 0)
			log_warn("%s: %s", file, err_text(e, -EINVAL));
	}
	binds_clear(b);
	*b = next;
	return 0;
}

static int read_one(const char *dir, const char *name, struct binds *b, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	size_t len;
	int r;

	if (str_printf(path, sizeof path, "%s/%s", dir, name) < 0)
		return err_set(e, ENAMETOOLONG, "%s", name);
	r = fs_read(AT_FDCWD, path, CONF_MAX, &text, &len, e);
	if (r < 0)
		return r;
	r = binds_parse(rd_mem(text, len), b, e);
	return r == -ENOTSUP ? by_shell(path, b, e) : r;
}

static int is_conf(const struct dirent *ent)
{
	return str_ends(ent->d_name, ".conf") && ent->d_name[0] != '.';
}

static void read_dir(const char *dir, struct binds *b)
{
	struct dirent **list = NULL;
	int n = scandir(dir, &list, is_conf, alphasort);

	for (int i = 0; i < n; i++) {
		struct err e = { 0 };
		int r = read_one(dir, list[i]->d_name, b, &e);

		if (r < 0)
			log_warn("bind-dirs %s/%s: %s", dir, list[i]->d_name, err_text(&e, r));
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

/* id_of accepts a name of the database or a number. */
static int id_of(const char *file, const char *name, unsigned *ret)
{
	uint64_t v;

	if (str_u64(name, UINT32_MAX - 1, &v) == 0) {
		*ret = (unsigned)v;
		return 0;
	}
	return id_lookup(file, name, ret, NULL);
}

/* persist_make makes the kept file or directory of a typed entry with its owner when it is not
   there yet. */
static int persist_make(const struct persist *p, struct err *e)
{
	char kept[PATH_MAX];
	unsigned uid, gid;
	int r;

	if (!p->kind || bind_source(p->path, kept, sizeof kept) < 0 || access(kept, F_OK) == 0)
		return 0;
	if (id_of("/etc/passwd", p->owner, &uid) < 0 || id_of("/etc/group", p->group, &gid) < 0)
		return err_set(e, ENOENT, "%s: owner or group does not exist", p->path);
	if (str_ends(kept, p->path)) {
		r = copy_parents(p->path, kept, e);
	} else {
		char parent[PATH_MAX];

		if (str_copy(parent, sizeof parent, kept) < 0)
			return err_set(e, ENAMETOOLONG, "%s", kept);
		*strrchr(parent, '/') = '\0';
		r = fs_mkdir_p(parent, 0755, e);
	}
	if (r >= 0)
		r = p->kind == 'd' ? fs_mkdir_p(kept, 0755, e) : touch(kept, e);
	if (r >= 0 && (chown(kept, uid, gid) < 0 || chmod(kept, p->mode) < 0))
		r = err_errno(e, errno, "owner of %s", kept);
	return r;
}

static int persist_entry(void *arg, const char *key, const char *value)
{
	struct binds *b = arg;
	struct persist p;
	struct err e = { 0 };
	int r = persist_parse(value, &p, &e);

	if (r >= 0)
		r = persist_make(&p, &e);
	if (r >= 0)
		r = binds_add(b, p.path, &e);
	if (r < 0)
		log_warn("%s: %s", key, err_text(&e, r));
	return 0;
}

int early_bind_dirs(struct early *q, struct err *e)
{
	struct binds b = { .n = 0 };
	int first = 0;

	if (!q->rw_fresh || q->persistence == PERSIST_FULL)
		return 0;
	if (q->custom_persist) {
		int r = qdbc_each(&q->db, "/persist/", true, persist_entry, &b, e);

		if (r < 0) {
			binds_clear(&b);
			return r;
		}
	} else {
		read_dir("/usr/lib/qubes-bind-dirs.d", &b);
		read_dir("/etc/qubes-bind-dirs.d", &b);
		read_dir(RW "/config/qubes-bind-dirs.d", &b);
	}
	for (size_t i = 0; i < b.n; i++) {
		struct err one = { 0 };
		int r = bind_mount(b.path[i], &one);

		if (r < 0)
			log_warn("bind-dirs: %s", err_text(&one, r));
		if (r < 0 && first == 0)
			first = err_add(e, err_set(e, -r, "%s", err_text(&one, r)), "bind-dirs");
	}
	binds_clear(&b);
	return first;
}
