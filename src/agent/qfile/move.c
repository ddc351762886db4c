/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Journals of moves: making, ending, and finding those that were left. */
#include "agent/qfile/move.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/qfile/journal.h"
#include "base/fsx.h"
#include "base/str.h"

/* With less room than this (a full disk is a reason to move things away) the journal goes to the run directory. */
#define ROOM_MIN (16u << 20)

static bool state_dir(char out[PATH_MAX])
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state && state[0] == '/')
		return str_printf(out, PATH_MAX, "%s/bulkhead/moves", state) == 0;
	return home && home[0] == '/' && str_printf(out, PATH_MAX, "%s/.local/state/bulkhead/moves", home) == 0;
}

static bool run_dir(char out[PATH_MAX])
{
	const char *run = getenv("XDG_RUNTIME_DIR");

	return run && run[0] == '/' && str_printf(out, PATH_MAX, "%s/bulkhead-moves", run) == 0;
}

static bool tmp_dir(char out[PATH_MAX])
{
	/* Of this user only: the name is in a directory of everybody. */
	return str_printf(out, PATH_MAX, "/tmp/bulkhead-moves-%u", (unsigned)geteuid()) == 0;
}

static bool (*const places[])(char out[PATH_MAX]) = { state_dir, run_dir, tmp_dir };

/* Ours, and nobody else's to write. */
static bool is_safe(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 022) == 0;
}

static bool has_room(const char *path)
{
	struct statvfs fs;

	return statvfs(path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize >= ROOM_MIN;
}

static int make_in(struct move *m, const char *top)
{
	if (fs_mkdir_p(top, 0700, NULL) < 0 || !is_safe(top) || !has_room(top))
		return -ENOSPC;
	if (str_printf(m->dir, sizeof m->dir, "%s/move-XXXXXX", top) < 0 || !mkdtemp(m->dir))
		return -errno;
	m->lock = open(m->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->lock < 0 || flock(m->lock, LOCK_EX | LOCK_NB) < 0) {
		(void)rmdir(m->dir);
		fd_closep(&m->lock);
		return -EAGAIN;
	}
	return str_printf(m->journal, sizeof m->journal, "%s/journal", m->dir);
}

int move_begin(struct move *m, struct err *e)
{
	char top[PATH_MAX];
	int r = -ENOENT;

	*m = MOVE_INIT;
	for (size_t i = 0; i < ARRAY_SIZE(places) && r < 0; i++)
		r = places[i](top) ? make_in(m, top) : r;
	return r < 0 ? err_set(e, ENOSPC, "there is no place for the journal of the move (tried ~/.local/state, $XDG_RUNTIME_DIR, /tmp)") : 0;
}

void move_drop(struct move *m)
{
	if (m->dir[0])
		(void)fs_rm_rf(AT_FDCWD, m->dir, NULL);
	m->dir[0] = '\0';
	fd_closep(&m->lock);
}

int move_finish(struct move *m, move_report_fn report, void *arg, struct err *e)
{
	int kept = journal_remove(m->journal, false, -1, report, arg, e);

	move_drop(m);
	return kept;
}

/* In this order: whatever breaks off in between, the originals are put aside in a folder that is a move that broke off, or one that can be undone. */
int move_finish_undoable(struct move *m, unsigned hours, move_report_fn report, void *arg, struct err *e)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	char undo[PATH_MAX];
	const char *slash = strrchr(m->dir, '/');
	int kept = journal_remove(m->journal, false, m->lock, report, arg, e);

	if (kept < 0) {
		move_drop(m);
		return kept;
	}
	clock_gettime(CLOCK_REALTIME, &times[1]);
	times[1].tv_sec += (time_t)hours * 3600;
	if (utimensat(m->lock, "journal", times, AT_SYMLINK_NOFOLLOW) < 0 ||
	    str_printf(undo, sizeof undo, "%.*s/undo-%s", (int)(slash - m->dir), m->dir, slash + 1 + strlen("move-")) < 0 || rename(m->dir, undo) < 0)
		return err_errno(e, errno, "the originals are put aside in '%s' and nothing will delete them", m->dir);
	m->dir[0] = '\0';
	fd_closep(&m->lock);
	return kept;
}

bool move_each_place(unsigned i, char out[PATH_MAX])
{
	if (i >= ARRAY_SIZE(places))
		return false;
	if (!places[i](out) || !is_safe(out))
		out[0] = '\0';
	return true;
}

/* Calls fn for the journal folder of each move that nobody works on. */
static int each_left(int (*fn)(const char *journal, void *arg), void *arg)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct dirent **names = NULL;
		char top[PATH_MAX];
		int n = places[i](top) && is_safe(top) ? scandir(top, &names, NULL, alphasort) : 0;

		for (int k = 0; k < n; k++) {
			struct move m = MOVE_INIT;

			if (str_starts(names[k]->d_name, "move-") && r >= 0 &&
			    str_printf(m.dir, sizeof m.dir, "%s/%s", top, names[k]->d_name) == 0)
				m.lock = open(m.dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (m.lock >= 0 && flock(m.lock, LOCK_EX | LOCK_NB) == 0 &&
			    str_printf(m.journal, sizeof m.journal, "%s/journal", m.dir) == 0) {
				r = fn(m.journal, arg);
				if (r > 0)
					move_drop(&m);
			}
			fd_closep(&m.lock);
			free(names[k]);
		}
		free(names);
	}
	return MIN(r, 0);
}

/* 1: the journal may go. */
static int count(const char *journal, void *arg)
{
	struct move_rest *rest = arg;
	bool confirmed = journal_is_committed(journal);

	*(confirmed ? &rest->confirmed : &rest->open) += 1;
	return !confirmed;
}

struct move_rest move_pending(void)
{
	struct move_rest rest = { 0 };

	(void)each_left(count, &rest);
	return rest;
}

struct resume {
	bool forget;
	move_report_fn report;
	void *arg;
	struct move_rest *rest;
	struct err *e;
};

/* An undoable move that broke off has put some originals aside. */
static int bring_back(struct resume *x, const char *journal)
{
	struct move_undone u = { 0 };
	char dir[PATH_MAX];
	int r;

	if (str_printf(dir, sizeof dir, "%.*s", (int)(strrchr(journal, '/') - journal), journal) < 0)
		return -ENAMETOOLONG;
	r = move_restore(dir, x->report, x->arg, &u, x->e);
	x->rest->kept += u.kept;
	return r < 0 ? r : u.kept == 0;
}

static int resume_one(const char *journal, void *arg)
{
	struct resume *x = arg;
	int kept;

	if (!journal_is_committed(journal)) {
		x->rest->open++;
		return 1;
	}
	x->rest->confirmed++;
	if (x->forget)
		return bring_back(x, journal);
	kept = journal_remove(journal, true, -1, x->report, x->arg, x->e);
	if (kept < 0)
		return kept;
	x->rest->kept += (unsigned)kept;
	return 1;
}

int move_resume(bool forget, move_report_fn report, void *arg, struct move_rest *ret, struct err *e)
{
	struct resume x = { .forget = forget, .report = report, .arg = arg, .rest = ret, .e = e };

	*ret = (struct move_rest){ 0 };
	return each_left(resume_one, &x);
}
