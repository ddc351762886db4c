/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bulkhead-session: a whole X session for a machine of its own, out of parts (parts.def): window manager, panel and locker of Debian, and ours. It starts them,
 * starts again what dies, and ends them all. It parses nothing and shows nothing itself.
 */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>

#include "base/ev.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/proc.h"
#include "base/str.h"

#define PROGRAMS_MAX 4
#define ARGS_MAX 9
#define QUICK_US 5000000 /* a part that lives shorter is started again more slowly */
#define DELAY_MAX_MS 30000
#define END_MS 5000 /* for parts that are asked to end */

enum kind { WM, ALWAYS, OFFER };

struct part {
	const char *name;
	enum kind kind;
	const char *programs[PROGRAMS_MAX + 1][ARGS_MAX + 1];
	struct proc p;
	struct ev_io *io;
	struct ev_timer *again;
	uint64_t started_us;
	uint64_t delay_ms;
};

static struct part parts[] = {
#define P(...) { __VA_ARGS__, NULL }
#define PART(what, how, ...) { .name = what, .kind = how, .programs = { __VA_ARGS__ } },
#include "gui/session/parts.def"
#undef PART
#undef P
};

static struct {
	struct ev_loop *loop;
	const char *root;
	bool ending;
	char data[PATH_MAX];
} st;

/* Where a program is: beside this one, or where the system has its programs. No search along $PATH, which is the user's. */
static bool program(char out[PATH_MAX], const char *name)
{
	static const char *const dirs[] = { "/usr/local/bin", "/usr/bin", "/usr/libexec" };
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
	char *slash;

	if (n > 0) {
		out[n] = '\0';
		slash = strrchr(out, '/');
		if (slash && str_copy(slash + 1, (size_t)(PATH_MAX - (slash + 1 - out)), name) == 0 && access(out, X_OK) == 0)
			return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (str_printf(out, PATH_MAX, "%s/%s", dirs[i], name) == 0 && access(out, X_OK) == 0)
			return true;
	return false;
}

static int launch(struct part *p, const char *const *args, const char *path, struct err *e)
{
	static char filled[ARGS_MAX][PATH_MAX];
	const char *argv[ARGS_MAX + 1];
	size_t n = 0;
	struct proc_spec spec = { .path = path, .argv = argv, .envp = (const char *const *)environ, .cwd = getenv("HOME"), .keep_stderr = true };

	for (; args[n]; n++) {
		argv[n] = args[n];
		if (!str_starts(args[n], "%D"))
			continue;
		if (str_printf(filled[n], sizeof filled[n], "%s%s", st.data, args[n] + 2) < 0)
			return err_set(e, ENAMETOOLONG, "the settings' folder has too long a name");
		argv[n] = filled[n];
	}
	argv[n] = NULL;
	return proc_spawn(&p->p, &spec, e);
}

static void on_end(struct ev_io *io, int fd, int events, void *arg);

/* False: none of its programs is installed. */
static bool start(struct part *p)
{
	char path[PATH_MAX];
	struct err e = { 0 };

	for (size_t i = 0; p->programs[i][0]; i++) {
		int r;

		if (!program(path, p->programs[i][0]))
			continue;
		r = launch(p, p->programs[i], path, &e);
		if (r < 0) {
			log_error("%s: %s", p->name, err_text(&e, r));
			continue;
		}
		p->started_us = now_us();
		p->io = ev_io_new(st.loop, p->p.pidfd, EV_READ, on_end, p);
		log_info("started: part=%s program=%s pid=%d", p->name, path, (int)p->p.pid);
		return true;
	}
	return false;
}

static void on_again(struct ev_timer *t, void *arg)
{
	struct part *p = arg;

	if (!st.ending && !start(p))
		log_error("%s: it is not installed any more", p->name);
}

static bool all_gone(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i].io)
			return false;
	return true;
}

static void end_all(void)
{
	if (st.ending)
		return;
	st.ending = true;
	/* Ours end their children; the window manager goes last, with its windows. */
	for (size_t i = ARRAY_SIZE(parts); i-- > 0;)
		if (parts[i].io)
			(void)proc_kill(&parts[i].p, SIGTERM);
	if (all_gone())
		ev_stop(st.loop, 0);
}

static void on_end(struct ev_io *io, int fd, int events, void *arg)
{
	struct part *p = arg;
	int status = 0;

	if (proc_wait(&p->p, 0, &status) < 0)
		return;
	ev_io_free(p->io);
	p->io = NULL;
	proc_fini(&p->p);
	p->p = PROC_INIT;
	log_info("ended: part=%s code=%d", p->name, proc_exit_code(status));
	if (st.ending) {
		if (all_gone())
			ev_stop(st.loop, 0);
		return;
	}
	if (p->kind == WM) {
		end_all();
		return;
	}
	p->delay_ms = now_us() - p->started_us > QUICK_US ? 0 : p->delay_ms ? MIN(p->delay_ms * 2, (uint64_t)DELAY_MAX_MS) : 500;
	ev_timer_start(p->again, p->delay_ms);
}

static void on_late(struct ev_timer *t, void *arg)
{
	/* proc_fini kills what did not listen. */
	ev_stop(st.loop, 0);
}

static void on_signal(struct ev_signal *s, int signum, void *arg)
{
	struct ev_timer *late = arg;

	end_all();
	ev_timer_start(late, END_MS);
}

static int usage(FILE *f, int code)
{
	fputs("usage: bulkhead-session [--root DIR]\n"
	      "An X session with the windows of all qubes: window manager, panel, tray, questions of the policy.\n"
	      "For a display manager's list of sessions, or from ~/.xinitrc. It ends when the window manager ends.\n"
	      "  --root  the instance\n",
	      f);
	return code;
}

static int parse(int argc, char **argv)
{
	static const struct option longs[] = { { "root", required_argument, NULL, 'r' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'r')
			st.root = optarg;
		else
			return c == 'h' ? usage(stdout, 0) : usage(stderr, 2);
	}
	return optind < argc ? usage(stderr, 2) : -1;
}

static int begin(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct part *p = &parts[i];

		p->p = PROC_INIT;
		p->again = ev_timer_new(st.loop, on_again, p);
		if (!p->again)
			return -ENOMEM;
		if (start(p))
			continue;
		if (p->kind == OFFER) {
			log_info("left out, since it is not installed: %s", p->name);
			continue;
		}
		log_error("%s: none of the programs for it is installed (%s …)", p->name, p->programs[0][0]);
		return -ENOENT;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct ev_timer *late;
	struct err e = { 0 };
	int r = parse(argc, argv);

	if (r >= 0)
		return r;
	log_init("bulkhead-session", NULL, -1);
	signal(SIGPIPE, SIG_IGN);
	if (paths_init(st.root, &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	if (!getenv("DISPLAY")) {
		log_error("no display ($DISPLAY): start it from an X session, by xinit for example");
		return 1;
	}
	if (st.root)
		setenv("QUBES_ROOT", paths_root(), 1);
	path_data(st.data, "session");
	st.loop = ev_new();
	late = ev_timer_new(st.loop, on_late, NULL);
	if (!late || !ev_signal_new(st.loop, SIGTERM, on_signal, late) || !ev_signal_new(st.loop, SIGINT, on_signal, late) ||
	    !ev_signal_new(st.loop, SIGHUP, on_signal, late)) {
		log_error("signals cannot be watched");
		return 1;
	}
	r = begin();
	if (r == 0)
		r = ev_run(st.loop);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		proc_fini(&parts[i].p);
	ev_free(st.loop);
	return r < 0 ? 1 : r;
}
