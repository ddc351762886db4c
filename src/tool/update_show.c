/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The workers side by side, and a bar for each. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "base/io.h"
#include "base/proc.h"
#include "tool/colour.h"
#include "tool/update.h"

#define BAR 20

extern char **environ;

struct line_buf {
	char buf[UPDATE_LINE_MAX + 1];
	size_t len;
};

struct slot {
	struct target *x;
	struct proc p;
	int fd;
	struct line_buf in;
};

struct show {
	struct tool *t;
	struct target *v;
	size_t n, drawn;
	bool bars;
	char *exe;
	unsigned width; /* of the names */
};

static volatile sig_atomic_t stop;

static void on_signal(int signum)
{
	(void)signum;
	stop = 1;
}

static void draw_one(const struct show *s, const struct target *x)
{
	char bar[BAR + 1];

	for (size_t i = 0; i < BAR; i++)
		bar[i] = i < x->permille * BAR / 1000 ? '#' : '.';
	bar[BAR] = '\0';
	fputs("\033[K", stderr);
	put_qube(stderr, s->t, x->name);
	fprintf(stderr, "%*s [%s] %3u%% %s\n", (int)(s->width - strlen(x->name)), "", bar, x->permille / 10,
		x->done ? (x->code == UPDATE_OK ? "done" : x->code == UPDATE_NONE ? "no updates" : "failed") : x->started ? x->phase : "waiting");
}

static void draw(struct show *s)
{
	if (!s->bars)
		return;
	if (s->drawn)
		fprintf(stderr, "\033[%zuA", s->drawn);
	for (size_t i = 0; i < s->n; i++)
		draw_one(s, &s->v[i]);
	s->drawn = s->n;
	fflush(stderr);
}

static void on_line(struct show *s, struct slot *w, struct rd line)
{
	static struct update_line l;
	struct target *x = w->x;

	if (update_line_parse(line, &l) < 0)
		return;
	switch (l.kind) {
	case UPDATE_L_PHASE:
		if (str_copy(x->phase, sizeof x->phase, l.text) == 0 && !s->bars && s->t->verbose >= 0 && !opt_has(s->t, KEY_NO_PROGRESS))
			fprintf(stderr, "%s: %s\n", x->name, x->phase);
		break;
	case UPDATE_L_PROGRESS:
		x->permille = (unsigned)l.n;
		break;
	case UPDATE_L_COUNT:
		x->count = l.n;
		break;
	case UPDATE_L_LOG:
		/* the last one is the reason, when it failed */
		(void)!str_printf(x->why, sizeof x->why, "%.250s", l.text);
		if (opt_has(s->t, KEY_SHOW_OUTPUT))
			fprintf(stderr, "%s: %s\n", x->name, l.text);
		break;
	case UPDATE_L_END:
		x->code = (int)l.n;
		break;
	case UPDATE_L_CHANGE:
		break;
	}
}

/* false at the end. */
static bool read_slot(struct show *s, struct slot *w)
{
	ssize_t n = read(w->fd, w->in.buf + w->in.len, sizeof w->in.buf - w->in.len);
	char *nl;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	w->in.len += (size_t)n;
	while ((nl = memchr(w->in.buf, '\n', w->in.len))) {
		on_line(s, w, rd_mem(w->in.buf, (size_t)(nl - w->in.buf)));
		w->in.len -= (size_t)(nl + 1 - w->in.buf);
		memmove(w->in.buf, nl + 1, w->in.len);
	}
	if (w->in.len == sizeof w->in.buf)
		w->in.len = 0;
	return true;
}

static int begin(struct show *s, struct slot *w, struct target *x, struct err *e)
{
	static const struct {
		int key;
		const char *word;
	} passed[] = { { KEY_FORCE_UPGRADE, "--force-upgrade" }, { KEY_NO_CLEANUP, "--no-cleanup" }, { KEY_CHECK, "--check" }, { KEY_SHOW_OUTPUT, "--show-output" } };
	const char *argv[16] = { "qvm-update", "--worker" };
	size_t n = 2;
	int fds[2], r;

	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		if (opt_has(s->t, passed[i].key))
			argv[n++] = passed[i].word;
	if (opt_str(s->t, KEY_LOG)) {
		argv[n++] = "--log";
		argv[n++] = opt_str(s->t, KEY_LOG);
	}
	argv[n++] = "--";
	argv[n] = x->name;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	/* a session of its own: the terminal's interrupt comes here, and is passed on once */
	r = proc_spawn(&w->p, &(struct proc_spec){ .path = s->exe, .argv = argv, .envp = (const char *const *)(void *)environ, .new_session = true,
						   .fds = { { fds[1], STDOUT_FILENO }, { STDERR_FILENO, STDERR_FILENO } }, .n_fds = 2 }, e);
	close(fds[1]);
	if (r < 0) {
		close(fds[0]);
		return r;
	}
	w->fd = fds[0];
	w->x = x;
	w->in.len = 0;
	x->started = true;
	(void)!str_copy(x->phase, sizeof x->phase, "begin");
	return 0;
}

static void end(struct show *s, struct slot *w)
{
	struct target *x = w->x;
	int status = 0;

	(void)proc_wait(&w->p, -1, &status);
	proc_fini(&w->p);
	fd_closep(&w->fd);
	w->x = NULL;
	x->done = true;
	if (x->code == UPDATE_OK || x->code == UPDATE_NONE) {
		x->permille = 1000;
		x->why[0] = '\0';
	}
	if (!s->bars && s->t->verbose >= 0 && !opt_has(s->t, KEY_NO_PROGRESS))
		fprintf(stderr, "%s: %s\n", x->name, x->code == UPDATE_OK || x->code == UPDATE_NONE ? "done" : "failed");
}

static void loop(struct show *s, struct slot *w, size_t at_once, struct pollfd *f)
{
	struct err e = { 0 };
	size_t next = 0;
	bool told = false;

	for (;;) {
		bool any = false;

		for (size_t i = 0; i < at_once; i++) {
			while (!w[i].x && next < s->n && !stop) {
				int r = begin(s, &w[i], &s->v[next], &e);

				if (r < 0)
					(void)!str_printf(s->v[next].why, sizeof s->v[next].why, "%.250s", err_text(&e, r));
				next++;
			}
			any = any || w[i].x;
			f[i] = (struct pollfd){ .fd = w[i].x ? w[i].fd : -1, .events = POLLIN };
			if (stop && !told && w[i].x)
				(void)proc_kill(&w[i].p, SIGTERM);
		}
		told = told || stop;
		draw(s);
		if (!any)
			return;
		if (poll(f, (nfds_t)at_once, -1) < 0)
			continue;
		for (size_t i = 0; i < at_once; i++)
			if (f[i].revents && !read_slot(s, &w[i]))
				end(s, &w[i]);
	}
}

bool update_show(struct tool *t, struct target *v, size_t n, size_t at_once)
{
	bool quiet = t->verbose < 0 || opt_has(t, KEY_NO_PROGRESS) || opt_has(t, KEY_SHOW_OUTPUT);
	struct show s = { .t = t, .v = v, .n = n, .bars = !quiet && isatty(STDERR_FILENO) == 1 };
	struct sigaction sa = { .sa_handler = on_signal }, old_int, old_term;
	_cleanup_free_ struct slot *w = xcalloc(at_once, sizeof *w);
	_cleanup_free_ struct pollfd *f = xcalloc(at_once, sizeof *f);
	char exe[4096];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);

	if (len <= 0)
		return false;
	exe[len] = '\0';
	s.exe = exe;
	for (size_t i = 0; i < n; i++)
		s.width = MAX(s.width, (unsigned)strlen(v[i].name));
	for (size_t i = 0; i < at_once; i++) {
		w[i].p = PROC_INIT;
		w[i].fd = -1;
	}
	sigaction(SIGINT, &sa, &old_int);
	sigaction(SIGTERM, &sa, &old_term);
	loop(&s, w, at_once, f);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	for (size_t i = 0; i < n; i++)
		if (!v[i].started && stop)
			v[i].code = UPDATE_INTERRUPTED;
	return !stop;
}
