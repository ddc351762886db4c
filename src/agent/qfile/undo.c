/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Moves that can be undone: bringing the originals back, and deleting them when their time is over. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/qfile/journal.h"
#include "agent/qfile/move.h"
#include "agent/qfile/place.h"
#include "base/fsx.h"
#include "base/str.h"

struct restore {
	int dir; /* of the move */
	move_report_fn report;
	void *arg;
	struct move_undone *ret;
	struct folder {
		char *base, *name;
		mode_t mode;
		bool made;
	} *folders; /* as in the journal: each after its content */
	size_t n_folders;
};

/* Descriptor of the folder that holds the entry, and its last component. */
static int open_parent(const char *base, const char *name, const char **ret_last)
{
	_cleanup_fd_ int top = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return top < 0 ? -errno : place_parent_beneath(top, name, ret_last);
}

static int note_folder(const struct journal_item *i, void *arg)
{
	struct restore *x = arg;

	if (!S_ISDIR(i->mode))
		return 0;
	x->folders = xreallocarray(x->folders, x->n_folders + 1, sizeof *x->folders);
	x->folders[x->n_folders++] = (struct folder){ xstrdup(i->base), xstrdup(i->name), (mode_t)(i->mode & 07777), false };
	return 0;
}

/* Those above first. One that could not be removed is still there. */
static void make_folders(const struct restore *x)
{
	for (size_t i = x->n_folders; i-- > 0;) {
		struct folder *f = &x->folders[i];
		const char *last;
		_cleanup_fd_ int at = open_parent(f->base, f->name, &last);

		f->made = at >= 0 && mkdirat(at, last, 0700) == 0; /* what fails is said for each file that was in it */
	}
}

/* When everything is in them, so that one that may not be written gets its content first. */
static void set_modes(const struct restore *x)
{
	for (size_t i = 0; i < x->n_folders; i++) {
		const struct folder *f = &x->folders[i];
		const char *last;
		_cleanup_fd_ int at = open_parent(f->base, f->name, &last);

		if (at >= 0 && f->made)
			(void)!fchmodat(at, last, f->mode, 0);
	}
}

static int bring_one(const struct journal_item *i, void *arg)
{
	struct restore *x = arg;
	char number[16];
	_cleanup_free_ char *path = xasprintf("%s/%s", i->base, i->name);
	_cleanup_fd_ int at = -1;
	const char *last = NULL;

	if (S_ISDIR(i->mode) || str_printf(number, sizeof number, "%u", i->n) < 0 || faccessat(x->dir, number, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* a folder, one that was never taken away, or is back */
	at = open_parent(i->base, i->name, &last);
	if (at >= 0 && renameat2(x->dir, number, at, last, RENAME_NOREPLACE) == 0) {
		x->ret->restored++;
		return 0;
	}
	x->ret->kept++;
	x->report(at < 0 ? strerror(-at) : errno == EEXIST ? "something else has its name now" : strerror(errno), path, x->arg);
	return 0;
}

int move_restore(const char *dir, move_report_fn report, void *arg, struct move_undone *ret, struct err *e)
{
	struct restore x = { .dir = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), .report = report, .arg = arg, .ret = ret };
	_cleanup_free_ char *journal = xasprintf("%s/journal", dir);
	int r = x.dir < 0 ? err_errno(e, errno, "'%s'", dir) : journal_each(journal, note_folder, &x, e);

	if (r == 0) {
		make_folders(&x);
		r = journal_each(journal, bring_one, &x, e);
		set_modes(&x);
	}
	for (size_t i = 0; i < x.n_folders; i++) {
		free(x.folders[i].base);
		free(x.folders[i].name);
	}
	free(x.folders);
	fd_closep(&x.dir);
	return r;
}

/* Calls fn for each move that can be undone and that no other tool works on; deadline: seconds since 1970. */
static void each_undoable(void (*fn)(const char *dir, int64_t deadline, const struct stat *st, void *arg), void *arg)
{
	char top[PATH_MAX], dir[PATH_MAX];

	for (unsigned i = 0; move_each_place(i, top); i++) {
		struct dirent **names = NULL;
		int n = top[0] ? scandir(top, &names, NULL, alphasort) : 0;

		for (int k = 0; k < n; k++) {
			_cleanup_fd_ int lock = -1;
			struct stat st, own;

			if (str_starts(names[k]->d_name, "undo-") && str_printf(dir, sizeof dir, "%s/%s", top, names[k]->d_name) == 0)
				lock = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0 && fstat(lock, &own) == 0 && fstatat(lock, "journal", &st, AT_SYMLINK_NOFOLLOW) == 0)
				fn(dir, st.st_mtim.tv_sec, &own, arg);
			free(names[k]);
		}
		free(names);
	}
}

struct newest {
	char dir[PATH_MAX];
	struct timespec when;
};

/* The folder's own time is that of the move: its last change was the last original that came into it, or went out of it. */
static void pick_newest(const char *dir, int64_t deadline, const struct stat *st, void *arg)
{
	struct newest *x = arg;

	if (x->dir[0] && (st->st_mtim.tv_sec < x->when.tv_sec || (st->st_mtim.tv_sec == x->when.tv_sec && st->st_mtim.tv_nsec <= x->when.tv_nsec)))
		return;
	if (str_copy(x->dir, sizeof x->dir, dir) == 0)
		x->when = st->st_mtim;
}

int move_undo(move_report_fn report, void *arg, struct move_undone *ret, struct err *e)
{
	struct newest x = { .dir = "" };
	int r;

	*ret = (struct move_undone){ 0 };
	move_expire();
	each_undoable(pick_newest, &x);
	if (!x.dir[0])
		return err_set(e, ENOENT, "there is no move that could be undone: only those with --undoable can, and only for a while");
	r = move_restore(x.dir, report, arg, ret, e);
	if (r == 0 && ret->kept == 0)
		r = fs_rm_rf(AT_FDCWD, x.dir, e);
	return r;
}

static void drop_old(const char *dir, int64_t deadline, const struct stat *st, void *arg)
{
	if (deadline <= *(const int64_t *)arg)
		(void)fs_rm_rf(AT_FDCWD, dir, NULL);
}

void move_expire(void)
{
	int64_t now = (int64_t)time(NULL);

	each_undoable(drop_old, &now);
}
