/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Menu entries of qubes (lib/appmenus/QUBE/apps, written by dom0's tools) in the folder where the user's desktop looks for programs. Each copy says which instance it
 * is of, and only those of this one are ever replaced or removed. What changes there shows here within moments; a new colour of a label has its icons drawn anew.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/inotify.h>

#include "base/fsx.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "gui/desktop/desktop.h"

#define ENTRY_MAX 8192u
#define SETTLE_MS 200
#define PREFIX "bulkhead."
#define SUFFIX ".desktop"
#define STALE_MAX 64

struct menus {
	struct desk *d;
	char dir[PATH_MAX];
	int watch;
	struct ev_io *ev;
	struct ev_timer *settle;
	/* the tool that draws icons anew */
	struct proc tool;
	struct ev_io *tool_ev;
	char *stale[STALE_MAX];
	size_t n_stale;
};

/* Names that were seen; the folder has no other entries of this instance. */
struct names {
	char **v;
	size_t n;
};

static bool is_entry(const char *name)
{
	return str_starts(name, PREFIX) && str_ends(name, SUFFIX) && strlen(name) > strlen(PREFIX SUFFIX);
}

static char *mark(void)
{
	return xasprintf("X-Bulkhead-Instance=%s/\n", paths_root());
}

static void copy_entry(struct menus *m, int from, int to, const char *name)
{
	_cleanup_free_ char *text = NULL, *now = NULL, *own = mark(), *whole = NULL;
	size_t n = 0, len = 0;
	struct err e = { 0 };

	if (fs_read(from, name, ENTRY_MAX, &text, &n, NULL) < 0)
		return; /* gone again: another look comes */
	whole = xasprintf("%s%s", text, own);
	if (fs_read(to, name, 2 * ENTRY_MAX, &now, &len, NULL) == 0 && streq(now, whole))
		return;
	if (fs_write_atomic(to, name, whole, strlen(whole), 0644, &e) < 0)
		log_warn("menu entry %s: %s", name, e.msg);
}

static void copy_qube(struct menus *m, const char *qube, int to, struct names *seen)
{
	char path[PATH_MAX];
	DIR *dir = opendir(path_fmt(path, PATH_APPMENUS, "/%s/apps", qube));
	struct dirent *f;

	while (dir && (f = readdir(dir))) {
		if (!is_entry(f->d_name))
			continue;
		seen->v = xreallocarray(seen->v, seen->n + 1, sizeof *seen->v);
		seen->v[seen->n++] = xstrdup(f->d_name);
		copy_entry(m, dirfd(dir), to, f->d_name);
	}
	if (dir)
		closedir(dir);
}

static bool has(const struct names *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (streq(s->v[i], name))
			return true;
	return false;
}

static void remove_old(int to, const struct names *seen)
{
	_cleanup_free_ char *own = mark();
	int fd = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *f;

	while (dir && (f = readdir(dir))) {
		_cleanup_free_ char *text = NULL;
		size_t n = 0;

		if (is_entry(f->d_name) && !has(seen, f->d_name) && fs_read(to, f->d_name, 2 * ENTRY_MAX, &text, &n, NULL) == 0 && str_ends(text, own))
			(void)unlinkat(to, f->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* All of it, and watches for what is new; a watch that is there already stays. */
static void look(struct menus *m)
{
	struct names seen = { 0 };
	struct dirent **list = NULL;
	char path[PATH_MAX];
	struct err e = { 0 };
	int n = scandir(path_get(PATH_APPMENUS), &list, NULL, NULL), to = -1;

	if (fs_mkdir_p(m->dir, 0755, &e) == 0)
		to = open(m->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		log_warn("no menu entries: '%s' cannot be used", m->dir);
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.' && to >= 0) {
			(void)inotify_add_watch(m->watch, path_fmt(path, PATH_APPMENUS, "/%s", list[i]->d_name), IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR);
			copy_qube(m, list[i]->d_name, to, &seen);
		}
		free(list[i]);
	}
	free(list);
	if (to >= 0)
		remove_old(to, &seen);
	for (size_t i = 0; i < seen.n; i++)
		free(seen.v[i]);
	free(seen.v);
	if (to >= 0)
		close(to);
}

static void on_settle(struct ev_timer *t, void *arg)
{
	look(arg);
}

static void on_change(struct ev_io *io, int fd, int events, void *arg)
{
	struct menus *m = arg;
	char buf[4096];

	/* Which file it was does not matter. */
	while (read(fd, buf, sizeof buf) > 0)
		;
	ev_timer_start(m->settle, SETTLE_MS);
}

/* --- labels ---------------------------------------------------------------------------------------------------------- */

static void draw(struct menus *m);

static void on_drawn(struct ev_io *io, int fd, int events, void *arg)
{
	struct menus *m = arg;
	int status = 0;

	(void)proc_wait(&m->tool, -1, &status);
	if (status)
		log_warn("qvm-appmenus: code=%d", proc_exit_code(status));
	ev_io_free(STEAL_PTR(m->tool_ev));
	proc_fini(&m->tool);
	m->tool = PROC_INIT;
	draw(m);
}

/* One tool at a time, for all that have changed by then. */
static void draw(struct menus *m)
{
	const char *argv[STALE_MAX + 4] = { "qvm-appmenus", "--update", "--" };
	struct proc_spec s = { .argv = argv, .envp = desk_env(), .death_signal = SIGTERM };
	struct err e = { 0 };
	char path[PATH_MAX];

	if (m->tool_ev || m->n_stale == 0)
		return;
	for (size_t i = 0; i < m->n_stale; i++)
		argv[3 + i] = m->stale[i];
	s.path = path_program(path, "bulkhead-tools"); /* by the name that it is called */
	if (proc_spawn(&m->tool, &s, &e) < 0)
		log_warn("qvm-appmenus: %s", e.msg);
	else
		m->tool_ev = ev_io_new(m->d->loop, m->tool.pidfd, EV_READ, on_drawn, m);
	while (m->n_stale)
		free(m->stale[--m->n_stale]);
}

void menus_label(struct desk *d, const char *qube)
{
	struct menus *m = d->menus;
	char path[PATH_MAX];

	if (!m || m->n_stale == STALE_MAX || access(path_fmt(path, PATH_APPMENUS, "/%s/apps", qube), F_OK) < 0)
		return;
	m->stale[m->n_stale++] = xstrdup(qube);
	draw(m);
}

/* --- start and end ------------------------------------------------------------------------------------------------------ */

static int folder(char out[PATH_MAX], const char *given, struct err *e)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	int r;

	if (given && given[0])
		r = str_copy(out, PATH_MAX, given);
	else if (data && data[0] == '/')
		r = str_printf(out, PATH_MAX, "%s/applications", data);
	else
		r = home && home[0] == '/' ? str_printf(out, PATH_MAX, "%s/.local/share/applications", home) : -ENOENT;
	return r < 0 || out[0] != '/' ? err_set(e, EINVAL, "--menus: no folder for the entries ($HOME is not set?)") : 0;
}

int menus_start(struct desk *d, const char *given, struct err *e)
{
	struct menus *m = xcalloc(1, sizeof *m);
	int r = folder(m->dir, given, e);

	m->d = d;
	m->tool = PROC_INIT;
	m->watch = -1;
	d->menus = m;
	if (r < 0)
		return r;
	/* In a new instance it comes with the first list of a qube. */
	(void)fs_mkdir_p(path_get(PATH_APPMENUS), 0755, NULL);
	m->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	m->settle = ev_timer_new(d->loop, on_settle, m);
	m->ev = m->watch < 0 ? NULL : ev_io_new(d->loop, m->watch, EV_READ, on_change, m);
	if (!m->ev || !m->settle)
		return err_set(e, ENOMEM, "menus cannot be watched");
	if (inotify_add_watch(m->watch, path_get(PATH_APPMENUS), IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR) < 0)
		log_warn("menu entries are not watched: %s: %s", path_get(PATH_APPMENUS), strerror(errno));
	look(m);
	return 0;
}

void menus_fini(struct desk *d)
{
	struct menus *m = STEAL_PTR(d->menus);

	if (!m)
		return;
	ev_io_free(m->ev);
	ev_io_free(m->tool_ev);
	ev_timer_free(m->settle);
	proc_fini(&m->tool);
	if (m->watch >= 0)
		close(m->watch);
	while (m->n_stale)
		free(m->stale[--m->n_stale]);
	free(m);
}
