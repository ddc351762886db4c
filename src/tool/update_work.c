/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Update of one qube, in a process of its own: start, the call of the qube's half, shut down, each told in lines on standard output. The lines of the
 * qube are foreign text: decoded in proto/update.c, limited in number, and printable before they go anywhere.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/proc.h"
#include "tool/update.h"

#define LOG_MAX (16 << 20)
#define LINES_MAX 200000u
#define QUBE_HALF "bulkhead.Update"

extern char **environ;

struct work {
	const struct tool *t;
	const char *name;
	FILE *log;
	unsigned level; /* of the log: 0 = everything */
	bool halted;	/* it did not run before: its changes are kept only when the update succeeds */
	bool marked, broken;
	int code; /* of the qube's half; -1 = not told */
	uint64_t count;
	unsigned lines;
	char last[256]; /* last line of output that speaks of an error */
};

static volatile sig_atomic_t stop;

static void on_signal(int signum)
{
	(void)signum;
	stop = 1;
}

static void tell(const char *word, const char *text)
{
	printf("%s %s\n", word, text);
	fflush(stdout);
}

static void note(struct work *w, unsigned level, const char *text)
{
	time_t now = time(NULL);
	struct tm tm;
	char stamp[32] = "";

	if (!w->log || level < w->level)
		return;
	if (gmtime_r(&now, &tm))
		(void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
	fprintf(w->log, "%s %s\n", stamp, text);
	fflush(w->log);
}

/* A file a qube below the log directory; the one before stays when it is full. */
static void open_log(struct work *w)
{
	static const struct {
		const char *name;
		unsigned level;
	} levels[] = { { "DEBUG", 0 }, { "INFO", 1 }, { "WARNING", 2 }, { "ERROR", 3 }, { "CRITICAL", 3 } };
	const char *level = opt_str(w->t, KEY_LOG);
	char path[PATH_MAX], old[PATH_MAX];
	struct err e = { 0 };
	struct stat st;
	int fd;

	w->level = 1;
	for (size_t i = 0; level && i < ARRAY_SIZE(levels); i++)
		if (streq(level, levels[i].name))
			w->level = levels[i].level;
	if (fs_mkdir_p(path_get(PATH_UPDATE_LOGS), 0750, &e) < 0)
		return;
	path_fmt(path, PATH_UPDATE_LOGS, "/%s.log", w->name);
	if (stat(path, &st) == 0 && st.st_size > LOG_MAX)
		(void)rename(path, path_fmt(old, PATH_UPDATE_LOGS, "/%s.old.log", w->name));
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0660);
	w->log = fd < 0 ? NULL : fdopen(fd, "a");
}

/* One at a time for each qube: a second one would set the mark again that the first one has just taken away. The lock ends with this process. */
static int alone(const struct work *w, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	char path[PATH_MAX];
	int r = fs_mkdir_p(path_get(PATH_UPDATE_LOGS), 0750, e);

	if (r < 0)
		return r;
	fd = open(path_fmt(path, PATH_UPDATE_LOGS, "/.%s.lock", w->name), O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
	if (fd < 0)
		return err_errno(e, errno, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, EBUSY, "another qvm-update is at work on it");
	return STEAL_FD(fd);
}

static bool speaks_of_error(const char *s)
{
	return str_starts(s, "E: ") || str_starts(s, "Err:") || str_starts(s, "dpkg: error") || str_starts(s, "Error");
}

static void on_line(struct work *w, struct rd line)
{
	static struct update_line l;
	char text[64];

	if (++w->lines > LINES_MAX || w->code >= 0)
		return;
	if (update_line_parse(line, &l) < 0) {
		w->broken = true;
		return;
	}
	switch (l.kind) {
	case UPDATE_L_LOG:
		note(w, speaks_of_error(l.text) ? 3 : 1, l.text);
		if (speaks_of_error(l.text))
			(void)!str_printf(w->last, sizeof w->last, "%.250s", l.text);
		if (opt_has(w->t, KEY_SHOW_OUTPUT))
			tell("log", l.text);
		break;
	case UPDATE_L_PHASE:
		note(w, 1, l.text);
		tell("phase", l.text);
		break;
	case UPDATE_L_CHANGE:
		note(w, 1, l.text);
		break;
	case UPDATE_L_COUNT:
		w->count = l.n;
		break;
	case UPDATE_L_END:
		w->code = (int)l.n;
		break;
	case UPDATE_L_PROGRESS:
		if (str_printf(text, sizeof text, "%llu", (unsigned long long)(50 + l.n * 9 / 10)) == 0)
			tell("progress", text);
		break;
	}
}

static void read_lines(struct work *w, int fd)
{
	static char buf[UPDATE_LINE_MAX + 1];
	size_t len = 0;

	while (!stop) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;
		char *nl;

		/* a signal ends the wait */
		if (poll(&p, 1, -1) < 0)
			continue;
		n = read(fd, buf + len, sizeof buf - len);
		if (n <= 0)
			return;
		len += (size_t)n;
		while ((nl = memchr(buf, '\n', len))) {
			on_line(w, rd_mem(buf, (size_t)(nl - buf)));
			len -= (size_t)(nl + 1 - buf);
			memmove(buf, nl + 1, len);
		}
		if (len == sizeof buf) {
			w->broken = true;
			len = 0;
		}
	}
}

/* The call, by a qvm-run of its own. */
static int call(struct work *w, struct err *e)
{
	bool force = opt_has(w->t, KEY_FORCE_UPGRADE), keep = opt_has(w->t, KEY_NO_CLEANUP);
	const char *service = opt_has(w->t, KEY_CHECK) ? QUBE_HALF "+check" : force && keep ? QUBE_HALF "+update-force-keep" : force ? QUBE_HALF "+update-force" :
			      keep ? QUBE_HALF "+update-keep" : QUBE_HALF "+update";
	const char *argv[] = { "qvm-run", "--no-autostart", "--no-gui", "-p", "-u", "root", "--service", "--", w->name, service, NULL };
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_fd_ int in = -1, out = -1;
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	int fds[2], r, status = 0;

	if (n <= 0 || pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	exe[n] = '\0';
	in = fds[0];
	out = fds[1];
	r = proc_spawn(&p, &(struct proc_spec){ .path = exe, .argv = argv, .envp = (const char *const *)(void *)environ,
						.fds = { { out, STDOUT_FILENO }, { w->log ? fileno(w->log) : STDERR_FILENO, STDERR_FILENO } }, .n_fds = 2 }, e);
	fd_closep(&out);
	if (r < 0)
		return r;
	read_lines(w, in);
	if (stop) {
		(void)proc_kill(&p, SIGTERM);
		return UPDATE_INTERRUPTED;
	}
	r = proc_wait(&p, -1, &status);
	if (r < 0)
		return r;
	if (w->code < 0 || (w->broken && w->code == UPDATE_OK) || w->code != proc_exit_code(status))
		return w->code < 0 ? UPDATE_QREXEC : UPDATE_QUBE;
	return w->code;
}

static const char *words_of(const struct work *w, int code)
{
	switch (code) {
	case UPDATE_INTERRUPTED:
		return "interrupted";
	case UPDATE_QREXEC:
		return "the qube's half did not answer to the end; is the package bulkhead-guest of this version in it?";
	case UPDATE_REFRESH:
		return w->last[0] ? w->last : "the lists of packages could not be fetched; may it use qubes.UpdatesProxy (qvm-policy explain)?";
	default:
		return w->last[0] ? w->last : "see its log";
	}
}

static int start(struct work *w, struct err *e)
{
	struct adm_qubes q;
	char left[16];
	int r = adm_qubes_get(&q, w->name, e);

	if (r < 0)
		return r;
	w->halted = q.n == 1 && streq(q.v[0].state, "Halted");
	adm_qubes_fini(&q);
	if (w->halted) {
		tell("phase", "start");
		note(w, 1, "start");
		r = adm_void(w->name, "admin.vm.Start", NULL, NULL, e);
		if (r < 0)
			return r;
	} else {
		/* started by an update that was cut off: the same holds for it */
		w->halted = update_feature(w->name, FEATURE_UNFINISHED, left, sizeof left);
	}
	/* What comes of a run that somebody else began is kept when he ends it: there is no state before it to name yet. */
	if (!w->halted)
		return opt_has(w->t, KEY_CHECK) ? 0 : update_set(w->name, FEATURE_BEFORE, NULL, e);
	r = update_set(w->name, FEATURE_UNFINISHED, "1", e);
	w->marked = r >= 0;
	return r;
}

static int end_qube(struct work *w, struct err *e)
{
	int r;

	tell("phase", "shutdown");
	note(w, 1, "shutdown");
	r = adm_void(w->name, "admin.vm.Shutdown", "wait", NULL, e);
	if (r < 0 && !adm_is_not_started(r)) {
		note(w, 2, "did not end in time: killed");
		err_clear(e);
		r = adm_void(w->name, "admin.vm.Kill", NULL, NULL, e);
	}
	return r < 0 && !adm_is_not_started(r) ? r : 0;
}

/* After the call: keep or throw away, end it, and remember the state before. */
static int finish(struct work *w, int code, struct err *e)
{
	bool keep = code == UPDATE_OK && !opt_has(w->t, KEY_CHECK);
	char before[64], after[64];
	struct err none = { 0 };
	int r = 0;

	if (!w->halted)
		return code;
	if (update_newest(w->name, before, sizeof before, &none) < 0)
		before[0] = '\0';
	/* Cut off from here on, the update is kept; what is named then as the state before must not be that of an older one. */
	if (keep)
		r = update_set(w->name, FEATURE_BEFORE, NULL, e);
	if (keep && r >= 0)
		r = update_set(w->name, FEATURE_UNFINISHED, NULL, e);
	if (r < 0)
		return UPDATE_OTHER;
	r = end_qube(w, e);
	if (r < 0)
		return UPDATE_SHUTDOWN;
	if (keep && update_newest(w->name, after, sizeof after, &none) >= 0 && !streq(after, before))
		r = update_set(w->name, FEATURE_BEFORE, after, e);
	return r < 0 ? UPDATE_OTHER : code;
}

int update_worker(struct tool *t, const char *name)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct work w = { .t = t, .name = name, .code = -1 };
	_cleanup_free_ char *count = NULL;
	_cleanup_fd_ int lock = -1;
	struct err e = { 0 };
	int r, code;

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	lock = alone(&w, &e);
	if (lock >= 0)
		open_log(&w);
	r = lock < 0 ? lock : start(&w, &e);
	if (r >= 0)
		tell("progress", "50");
	code = lock < 0 ? UPDATE_PRE : r < 0 ? UPDATE_START : stop ? UPDATE_INTERRUPTED : call(&w, &e);
	if (code < 0)
		code = UPDATE_OTHER;
	if (code != UPDATE_OK && code != UPDATE_NONE && !e.code)
		err_set(&e, EIO, "%s", words_of(&w, code));
	if (r >= 0 || w.marked) {
		struct err late = { 0 };
		int end = finish(&w, code, &late);

		if (end != code && (code == UPDATE_OK || code == UPDATE_NONE)) {
			e = late;
			code = end;
		}
	}
	count = xasprintf("%llu", (unsigned long long)w.count);
	tell("count", count);
	if (e.code) {
		char shown[ERR_MSG_MAX];

		str_escape(shown, sizeof shown, e.msg, strlen(e.msg));
		tell("log", shown);
		note(&w, 3, shown);
	}
	printf("end %d\n", code);
	return 0;
}
