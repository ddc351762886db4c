/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copying, checking and replacing database files: see files.h. */
#include "store/files.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "proto/firewall.h"
#include "store/internal.h"

#define TEMP_NAME "import~"
#define COPY_CHUNK (1u << 20)

static void closedbp(sqlite3 **db)
{
	sqlite3_close(*db);
}

int store_place_open(struct store_place *p, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	int r;

	*p = (struct store_place){ .path = path, .lock = -1 };
	if (!slash || str_printf(p->temp, sizeof p->temp, "%.*s/" TEMP_NAME, (int)(slash - path), path) < 0 ||
	    str_printf(p->fresh, sizeof p->fresh, "%s/qubes.db", p->temp) < 0)
		return err_set(e, ENAMETOOLONG, "the path of the database is too long");
	r = store_lock(path, 0, e);
	if (r == -EBUSY)
		return err_set(e, EBUSY, "qubesd is running on %s; stop it first", path);
	if (r < 0)
		return r;
	p->lock = r;
	return fs_rm_rf(AT_FDCWD, p->temp, e);
}

void store_place_close(struct store_place *p)
{
	if (p->lock < 0)
		return;
	(void)fs_rm_rf(AT_FDCWD, p->temp, NULL);
	fd_closep(&p->lock);
}

static int make_temp(struct store_place *p, struct err *e)
{
	return mkdir(p->temp, 0700) < 0 && errno != EEXIST ? err_errno(e, errno, "making '%s'", p->temp) : 0;
}

static int open_plain(sqlite3 **db, const char *file, int flags, struct err *e)
{
	if (sqlite3_open_v2(file, db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return store_fail(*db, e, file);
	return store_exec(*db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY", e);
}

static int into(sqlite3 *db, const char *file, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(db, "VACUUM INTO ?", -1, &st, NULL) != SQLITE_OK)
		return store_fail(db, e, "copy");
	sqlite3_bind_text(st, 1, file, -1, SQLITE_STATIC);
	if (sqlite3_step(st) != SQLITE_DONE)
		r = store_fail(db, e, "copy");
	sqlite3_finalize(st);
	return r;
}

int store_copy(struct store_place *p, struct err *e)
{
	_cleanup_(closedbp) sqlite3 *db = NULL;
	int r = access(p->path, F_OK) < 0 ? err_set(e, ENOENT, "there is no database %s; start qubesd once", p->path) : make_temp(p, e);

	if (r == 0)
		r = open_plain(&db, p->path, SQLITE_OPEN_READWRITE, e);
	if (r == 0)
		r = store_check(db, e);
	return r < 0 ? r : into(db, p->fresh, e);
}

int store_take(struct store_place *p, const char *name, struct err *e)
{
	_cleanup_(closedbp) sqlite3 *db = NULL;
	_cleanup_free_ char *uri = NULL;
	char file[PATH_MAX];
	int r = store_snapshot_path(file, p->path, name, e);

	if (r == 0)
		r = store_file_check(file, e);
	if (r == 0)
		r = make_temp(p, e);
	if (r < 0)
		return r;
	uri = xasprintf("file:%s?mode=ro&immutable=1", file);
	r = open_plain(&db, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, e);
	return r < 0 ? r : into(db, p->fresh, e);
}

struct judge {
	const struct core *c;
	store_say say;
	void *arg;
	int wrong;
};

static _printf_(3, 4) void found(struct judge *j, bool wrong, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	j->wrong += wrong;
	j->say(j->arg, wrong, text);
}

/* Does the program that will read it take the value? A kernel may come later: only a remark. */
static void judge_prop(struct judge *j, const struct qube *q, unsigned id, const char *value)
{
	char out[PV_BUF];
	struct err e = { 0 };
	bool null;
	int r;

	if (props[id].flags & PF_RO)
		return;
	r = prop_parse(j->c, q, &props[id], value, out, &null, &e);
	if (r < 0)
		found(j, id != P_kernel && id != P_g_default_kernel, "%s%s%s: %s", q ? q->name.s : "the system", ", ", props[id].name, err_text(&e, r));
}

static void judge_texts(struct judge *j, const struct qube *q)
{
	struct err e = { 0 };
	_cleanup_wr_ struct wr w = wr_grow(8u << 20);

	for (size_t i = 0; i < q->features.n; i++)
		if (!feature_ok(q->features.v[i].key) || !feature_value_ok(q->features.v[i].value))
			found(j, true, "%s: feature '%.100s' has a name or value that is not allowed", q->name.s, q->features.v[i].key);
	for (size_t i = 0; i < q->tags.n; i++)
		if (!tag_ok(q->tags.v[i].key))
			found(j, true, "%s: '%.100s' is no tag", q->name.s, q->tags.v[i].key);
	if (q->firewall && fw_normalize(&w, rd_mem(q->firewall, strlen(q->firewall)), 0, &e) < 0)
		found(j, true, "%s: firewall: %s", q->name.s, e.msg);
	for (size_t i = 0; i < q->n_vols; i++)
		if (q->vols[i].pool[0] && !pool_find(j->c, q->vols[i].pool))
			found(j, true, "%s: volume %s is in pool '%s', which does not exist", q->name.s, q->vols[i].name, q->vols[i].pool);
	if ((q->klass == K_APP || q->klass == K_DISP) && !qube_template(j->c, q))
		found(j, true, "%s: it has no template", q->name.s);
}

int store_validate(const char *file, store_say say, void *arg, struct err *e)
{
	static const struct core_ops no_ops;
	struct judge j = { .say = say, .arg = arg };
	struct store *s = NULL;
	struct core *c;
	int r = store_open(&s, file, e);

	if (r < 0)
		return r;
	c = core_new(&no_ops, NULL, &store_ops, s);
	r = store_load(s, c, e);
	j.c = c;
	for (unsigned p = 0; r >= 0 && p < P_N; p++)
		if (c->globals[p])
			judge_prop(&j, NULL, p, c->globals[p]);
	for (size_t i = 0; r >= 0 && i < c->n_sorted; i++) {
		for (unsigned p = 0; p < P_N; p++)
			if (c->sorted[i]->props[p])
				judge_prop(&j, c->sorted[i], p, c->sorted[i]->props[p]);
		judge_texts(&j, c->sorted[i]);
	}
	core_free(c);
	store_close(s);
	return r < 0 ? r : j.wrong;
}

/* The file alone must be everything: no log beside it. */
static int settle(const char *file, struct err *e)
{
	_cleanup_(closedbp) sqlite3 *db = NULL;
	int r = open_plain(&db, file, SQLITE_OPEN_READWRITE, e);

	return r < 0 ? r : store_exec(db, "PRAGMA journal_mode = DELETE", e);
}

/* A damaged database is put aside as it is, with its log, by a second name. */
static int put_aside(const char *path, char was[PATH_MAX], struct err *e)
{
	_cleanup_free_ char *log = xasprintf("%s-wal", path), *shm = xasprintf("%s-shm", path), *log_to = NULL;

	if (str_printf(was, PATH_MAX, "%s.damaged-%lld", path, (long long)time(NULL)) < 0)
		return -ENAMETOOLONG;
	log_to = xasprintf("%s-wal", was);
	if (link(path, was) < 0 || (link(log, log_to) < 0 && errno != ENOENT))
		return err_errno(e, errno, "keeping the damaged database as '%s'", was);
	(void)unlink(shm);
	return unlink(log) < 0 && errno != ENOENT ? err_errno(e, errno, "%s", log) : 0;
}

/* The former state becomes a snapshot, and its log ends, so that it is never applied to the new file. */
static int keep_former(const char *path, const char *why, char was[PATH_MAX], struct err *e)
{
	_cleanup_(closedbp) sqlite3 *db = NULL;
	struct err own = { 0 };
	int r;

	was[0] = '\0';
	if (access(path, F_OK) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "%s", path);
	r = open_plain(&db, path, SQLITE_OPEN_READWRITE, &own);
	if (r == 0)
		r = store_check(db, &own);
	if (r == 0)
		r = store_snapshot(db, path, why, was, &own);
	if (r == 0)
		r = store_exec(db, "PRAGMA journal_mode = DELETE", &own);
	if (r != -EUCLEAN)
		return r < 0 ? err_set(e, -r, "%s", err_text(&own, r)) : 0;
	sqlite3_close(db);
	db = NULL;
	return put_aside(path, was, e);
}

int store_commit(struct store_place *p, const char *why, char was[PATH_MAX], struct err *e)
{
	_cleanup_free_ char *dir = xstrndup(p->path, (size_t)(strrchr(p->path, '/') - p->path));
	_cleanup_fd_ int dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct stat st;
	int r = settle(p->fresh, e);

	if (r < 0)
		return r;
	fd = open(p->fresh, O_RDWR | O_CLOEXEC);
	if (dfd < 0 || fd < 0 || fstat(dfd, &st) < 0 || fchmod(fd, 0600) < 0 || (geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) < 0) || fsync(fd) < 0)
		return err_errno(e, errno, "%s", p->fresh);
	r = keep_former(p->path, why, was, e);
	if (r < 0)
		return r;
	if (fs_sync_dir(dfd) < 0 || rename(p->fresh, p->path) < 0)
		return err_errno(e, errno, "%s", p->path);
	return fs_sync_dir(dfd);
}
