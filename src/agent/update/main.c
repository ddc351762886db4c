/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bulkhead.Update: the qube's half of an update. Runs this system's package manager with fixed arguments and tells dom0 in lines how it goes
 * (proto/update.h). Only dom0 may ask (no policy rule allows another), as root. What dom0 sends is not read.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "agent/update/update.h"
#include "base/io.h"
#include "base/str.h"

static const char *const env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive",
	"DEBCONF_NONINTERACTIVE_SEEN=true", "NEEDRESTART_MODE=l", NULL,
};

void say(const char *word, const char *fmt, ...)
{
	char line[UPDATE_LINE_MAX], text[UPDATE_LINE_MAX - 32];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof text, fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	for (char *p = text; *p; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	/* dom0 may have gone: what has begun is brought to its end all the same */
	if (str_printf(line, sizeof line, "%s %s\n", word, text) == 0)
		(void)!write_full(STDOUT_FILENO, line, strlen(line));
}

/* Whole lines of one descriptor; what is longer is cut. */
struct lines {
	int fd;
	char buf[1024];
	size_t len;
};

static void each_line(struct lines *l, const struct job *j, bool status, bool end)
{
	size_t from = 0;

	for (size_t i = 0; i < l->len; i++) {
		bool full = i - from >= sizeof l->buf - 2;

		if (l->buf[i] != '\n' && l->buf[i] != '\r' && !full && !(end && i + 1 == l->len))
			continue;
		if (i > from || l->buf[i] > ' ') {
			size_t n = i - from + (l->buf[i] != '\n' && l->buf[i] != '\r' ? 1 : 0);

			if (status)
				j->status(j, rd_mem(l->buf + from, n));
			else
				j->output(j, rd_mem(l->buf + from, n));
		}
		from = i + 1;
	}
	memmove(l->buf, l->buf + from, l->len - from);
	l->len -= from;
	if (l->len == sizeof l->buf)
		l->len = 0;
}

/* false at the end. */
static bool read_more(struct lines *l, const struct job *j, bool status)
{
	ssize_t n = read(l->fd, l->buf + l->len, sizeof l->buf - l->len);

	if (n > 0)
		l->len += (size_t)n;
	each_line(l, j, status, n <= 0);
	return n > 0;
}

static void follow(int out, int status, const struct job *j)
{
	struct lines o = { .fd = out }, s = { .fd = status };
	struct pollfd f[2] = { { .fd = out, .events = POLLIN }, { .fd = status, .events = POLLIN } };

	while (f[0].fd >= 0 || f[1].fd >= 0) {
		if (poll(f, 2, -1) < 0 && errno != EINTR)
			return;
		if (f[0].revents && !read_more(&o, j, false))
			f[0].fd = -1;
		if (f[1].revents && !read_more(&s, j, true))
			f[1].fd = -1;
	}
}

int job_run(const struct job *j)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	struct proc_spec spec = { .path = j->path, .argv = j->argv, .envp = env };
	int out[2], status[2], code = 0;
	struct err e = { 0 };
	int r;

	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(status, O_CLOEXEC) < 0) {
		close(out[0]);
		close(out[1]);
		return -errno;
	}
	spec.fds[0].fd = out[1];
	spec.fds[0].as = STDOUT_FILENO;
	spec.fds[1].fd = out[1];
	spec.fds[1].as = STDERR_FILENO;
	spec.fds[2].fd = status[1];
	spec.fds[2].as = JOB_STATUS_FD;
	spec.n_fds = 3;
	r = proc_spawn(&p, &spec, &e);
	close(out[1]);
	close(status[1]);
	if (r == 0) {
		follow(out[0], status[0], j);
		r = proc_wait(&p, -1, &code);
	} else {
		say("log", "%s", err_text(&e, r));
	}
	close(out[0]);
	close(status[0]);
	return r < 0 ? r : proc_exit_code(code);
}

void job_log(const struct job *j, struct rd line)
{
	say("log", "%.*s", (int)rd_left(&line), (const char *)line.p);
}

void job_silent(const struct job *j, struct rd line)
{
	(void)j;
	(void)line;
}

/* Tells dom0's notification service how many are left. */
void notify(void)
{
	static const char *const argv[] = { "upgrades-status-notify", NULL };
	const struct job j = { .path = "/usr/lib/qubes/upgrades-status-notify", .argv = argv, .output = job_log, .status = job_silent };

	if (access(j.path, X_OK) == 0)
		(void)job_run(&j);
}

/* Calls are answered while the qube still starts; the way to the network may not be there yet. */
static void wait_boot(void)
{
	static const char *const argv[] = { "boot", "wait", NULL };
	const struct job j = { .path = "/usr/lib/bulkhead/boot", .argv = argv, .output = job_log, .status = job_silent };

	say("phase", "boot");
	if (access(j.path, X_OK) == 0)
		(void)job_run(&j);
}

static int what(const char *arg, struct update *u)
{
	static const struct {
		const char *name;
		struct update u;
	} rows[] = {
		{ "check", { .check = true } },
		{ "update", { 0 } },
		{ "update-keep", { .keep = true } },
		{ "update-force", { .force = true } },
		{ "update-force-keep", { .keep = true, .force = true } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (streq(arg, rows[i].name)) {
			*u = rows[i].u;
			return 0;
		}
	return -EINVAL;
}

int main(int argc, char **argv)
{
	const char *caller = getenv("QREXEC_REMOTE_DOMAIN");
	struct update u = { 0 };
	int code;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	if (argc != 2 || what(argv[1], &u) < 0) {
		fprintf(stderr, "bulkhead.Update+check|update|update-keep|update-force|update-force-keep: the qube's half of qvm-update\n");
		return UPDATE_USAGE;
	}
	if (caller && !streq(caller, "dom0")) {
		fprintf(stderr, "bulkhead.Update: only dom0 may ask for this\n");
		return UPDATE_PRE;
	}
	wait_boot();
	if (access("/usr/bin/apt-get", X_OK) == 0) {
		code = apt_update(&u);
	} else if (access("/usr/bin/dnf", X_OK) == 0) {
		code = dnf_update(&u);
	} else {
		say("log", "there is no package manager that is known here (apt-get, dnf)");
		code = UPDATE_PRE;
	}
	sync();
	say("end", "%d", code);
	return code;
}
