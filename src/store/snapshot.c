/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots: see snapshot.h. A snapshot is written under a name that ends in '~', synced, and then gets its own. */
#include "store/snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fsx.h"
#include "base/str.h"
#include "store/internal.h"

#define DIR_NAME "snapshots"
#define SAME_TIME_TRIES 50

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static void closedbp(sqlite3 **db)
{
	sqlite3_close(*db);
}

/* The folder of the database's snapshots. */
static int folder(char out[PATH_MAX], const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');

	if (!slash || str_printf(out, PATH_MAX, "%.*s/" DIR_NAME, (int)(slash - path), path) < 0)
		return err_set(e, ENAMETOOLONG, "'%s' is no path of a database", path);
	return 0;
}

/* Digits, then the given character: moves *p behind both. */
static bool number(const char **p, size_t digits, char end, uint64_t *ret)
{
	uint64_t v = 0;
	size_t n = 0;

	while (ch_digit((*p)[n]) && n < 9)
		v = v * 10 + (uint64_t)((*p)[n++] - '0');
	if (!n || (digits && n != digits) || (*p)[n] != end)
		return false;
	*p += n + 1;
	*ret = v;
	return true;
}

static bool parse(struct store_snapshot *s, const char *name)
{
	uint64_t day, second, ms, version;
	const char *p = name;
	size_t why;

	if (!number(&p, 8, '-', &day) || !number(&p, 6, '.', &second) || !number(&p, 3, '-', &ms) || *p++ != 'v' || !number(&p, 0, '-', &version))
		return false;
	why = strspn(p, "abcdefghijklmnopqrstuvwxyz");
	s->version = (unsigned)version;
	return why && streq(p + why, ".db") && str_copy(s->name, sizeof s->name, name) == 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct store_snapshot *x = a, *y = b;

	return strcmp(y->name, x->name);
}

int store_snapshots_get(struct store_snapshots *ret, const char *path, struct err *e)
{
	char dir[PATH_MAX];
	_cleanup_(closedirp) DIR *d = NULL;
	struct dirent *ent;
	int r = folder(dir, path, e);

	*ret = (struct store_snapshots){ .n = 0 };
	if (r < 0)
		return r;
	d = opendir(dir);
	if (!d)
		return errno == ENOENT ? 0 : err_errno(e, errno, "%s", dir);
	while ((ent = readdir(d))) {
		struct store_snapshot s = { .version = 0 };
		struct stat st;

		if (!parse(&s, ent->d_name) || fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		s.size = st.st_size;
		s.time = st.st_mtim.tv_sec;
		if ((ret->n & (ret->n - 1)) == 0)
			ret->v = xreallocarray(ret->v, ret->n ? ret->n * 2 : 1, sizeof *ret->v);
		ret->v[ret->n++] = s;
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, newest_first);
	return 0;
}

void store_snapshots_fini(struct store_snapshots *s)
{
	free(s->v);
	*s = (struct store_snapshots){ .n = 0 };
}

int store_snapshot_path(char out[PATH_MAX], const char *path, const char *name, struct err *e)
{
	struct store_snapshot s;
	char dir[PATH_MAX];
	int r = folder(dir, path, e);

	if (r < 0)
		return r;
	if (!parse(&s, name) || str_printf(out, PATH_MAX, "%s/%s", dir, name) < 0)
		return err_set(e, EINVAL, "'%s' is no name of a snapshot; `qvm-db snapshots` lists them", name);
	return 0;
}

static void prune(const char *path)
{
	struct store_snapshots s;
	char file[PATH_MAX];

	if (store_snapshots_get(&s, path, NULL) < 0)
		return;
	for (size_t i = STORE_SNAPSHOTS_KEEP; i < s.n; i++)
		if (store_snapshot_path(file, path, s.v[i].name, NULL) == 0)
			(void)unlink(file);
	store_snapshots_fini(&s);
}

static int name_now(char name[STORE_SNAPSHOT_NAME], unsigned version, const char *why, struct err *e)
{
	struct timespec ts;
	struct tm tm;

	if (clock_gettime(CLOCK_REALTIME, &ts) < 0 || !gmtime_r(&ts.tv_sec, &tm) ||
	    str_printf(name, STORE_SNAPSHOT_NAME, "%04d%02d%02d-%02d%02d%02d.%03ld-v%u-%s.db", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		       tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000, version, why) < 0)
		return err_set(e, EINVAL, "the clock is wrong: no snapshot can be named");
	return 0;
}

/* The owner of the state's folder owns what is in it, also when root works for the daemon's user. */
static int own_and_sync(int dir, const char *name, struct err *e)
{
	_cleanup_fd_ int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(dir, &st) < 0)
		return err_errno(e, errno, "%s", name);
	if (geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) < 0)
		return err_errno(e, errno, "%s: owner", name);
	if (fchmod(fd, 0600) < 0 || fsync(fd) < 0)
		return err_errno(e, errno, "%s", name);
	return 0;
}

static int make_folder(const char *dir, const char *path, struct err *e)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0)
		return errno == EEXIST ? 0 : err_errno(e, errno, "making '%s'", dir);
	if (geteuid() == 0 && (stat(path, &st) < 0 || fchownat(AT_FDCWD, dir, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0))
		return err_errno(e, errno, "'%s': owner", dir);
	return 0;
}

static int copy(sqlite3 *db, const char *file, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int r = 0;

	(void)unlink(file);
	if (sqlite3_prepare_v2(db, "VACUUM INTO ?", -1, &st, NULL) != SQLITE_OK)
		return store_fail(db, e, "snapshot");
	sqlite3_bind_text(st, 1, file, -1, SQLITE_STATIC);
	if (sqlite3_step(st) != SQLITE_DONE)
		r = store_fail(db, e, "snapshot");
	sqlite3_finalize(st);
	return r;
}

int store_snapshot(sqlite3 *db, const char *path, const char *why, char name[STORE_SNAPSHOT_NAME], struct err *e)
{
	char dir[PATH_MAX], temp[PATH_MAX], own[STORE_SNAPSHOT_NAME];
	_cleanup_fd_ int dfd = -1;
	unsigned version = 0;
	int r = folder(dir, path, e);

	if (r == 0)
		r = make_folder(dir, path, e);
	if (r == 0)
		r = store_version_of(db, &version, e);
	if (r < 0)
		return r;
	dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dfd < 0 || str_printf(temp, sizeof temp, "%s/new.db~", dir) < 0)
		return err_errno(e, errno, "%s", dir);
	r = copy(db, temp, e);
	if (r == 0)
		r = own_and_sync(dfd, "new.db~", e);
	for (int i = 0; r == 0; i++) {
		r = name_now(own, version, why, e);
		if (r == 0 && renameat2(dfd, "new.db~", dfd, own, RENAME_NOREPLACE) == 0)
			break;
		if (r == 0 && (errno != EEXIST || i == SAME_TIME_TRIES))
			r = err_errno(e, errno, "%s", own);
		else
			(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	if (r < 0) {
		(void)unlink(temp);
		return r;
	}
	r = fs_sync_dir(dfd);
	prune(path);
	if (name)
		memcpy(name, own, sizeof own);
	return r;
}

int store_file_check(const char *file, struct err *e)
{
	_cleanup_(closedbp) sqlite3 *db = NULL;
	_cleanup_free_ char *uri = xasprintf("file:%s?mode=ro&immutable=1", file);
	unsigned v = 0;
	int r;

	/* Characters that mean something in an URI do not occur: the paths are ours or were checked. */
	if (strpbrk(file, "?#%"))
		return err_set(e, EINVAL, "'%s': a path with '?', '#' or '%%' is not supported", file);
	if (access(file, R_OK) < 0)
		return err_errno(e, errno, "%s", file);
	if (sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return store_fail(db, e, file);
	r = store_check(db, e);
	if (r == 0)
		r = store_version_of(db, &v, e);
	if (r == 0 && (v == 0 || v > store_version()))
		return err_set(e, EPROTO, "%s has schema version %u; this program knows 1 to %u", file, v, store_version());
	return r;
}

bool store_snapshot_good(const char *path, char name[STORE_SNAPSHOT_NAME])
{
	struct store_snapshots s;
	char file[PATH_MAX];
	bool found = false;

	if (store_snapshots_get(&s, path, NULL) < 0)
		return false;
	for (size_t i = 0; i < s.n && !found; i++) {
		found = store_snapshot_path(file, path, s.v[i].name, NULL) == 0 && store_file_check(file, NULL) == 0;
		if (found)
			memcpy(name, s.v[i].name, STORE_SNAPSHOT_NAME);
	}
	store_snapshots_fini(&s);
	return found;
}
