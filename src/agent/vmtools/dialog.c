/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The window of a copy. */
#include "agent/vmtools/dialog.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>

#include "agent/vmtools/find.h"
#include "base/io.h"
#include "base/str.h"

bool dialog_possible(void)
{
	char path[PATH_MAX];

	return (getenv("DISPLAY") || getenv("WAYLAND_DISPLAY")) && access(find_beside(path, "zenity", "/usr/bin"), X_OK) == 0;
}

int dialog_open(struct dialog *d, const char *title, uint64_t total, int *ret_counts, struct err *e)
{
	extern char **environ;
	_cleanup_free_ const char **env = NULL;
	_cleanup_free_ char *head = xasprintf("--title=%s", title);
	const char *argv[] = { "zenity", "--progress", head, "--text=Waiting for permission…", "--auto-close", "--percentage=0", NULL };
	char path[PATH_MAX];
	struct proc_spec s = { .path = find_beside(path, "zenity", "/usr/bin"), .argv = argv, .n_fds = 1, .keep_stderr = true };
	_cleanup_fd_ int in = -1, out = -1;
	int fds[2], r;
	size_t n = 0;

	*d = DIALOG_INIT;
	while (environ[n])
		n++;
	env = xcalloc(n + 1, sizeof *env);
	for (size_t i = 0; i < n; i++)
		env[i] = environ[i];
	s.envp = env;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "the progress window");
	in = fds[0];
	d->to = fds[1];
	if (pipe2(fds, O_CLOEXEC) < 0) {
		r = err_errno(e, errno, "the progress window");
		dialog_close(d);
		return r;
	}
	d->from = fds[0];
	out = fds[1];
	s.fds[0].fd = in;
	s.fds[0].as = STDIN_FILENO;
	r = proc_spawn(&d->proc, &s, e);
	if (r < 0) {
		dialog_close(d);
		return r;
	}
	d->total = total;
	*ret_counts = STEAL_FD(out);
	return 0;
}

/* Percents below 100 only: 100 lets the window close, and that is for the end. */
static void show(struct dialog *d, const char *line)
{
	char text[160];
	unsigned percent = 0;
	uint64_t sent;

	if (str_u64(line, UINT64_MAX, &sent) < 0)
		return;
	if (d->total)
		percent = (unsigned)(100.0 * (double)MIN(sent, d->total) / (double)d->total);
	percent = MIN(percent, 99u);
	if (str_printf(text, sizeof text, "%u\n# %llu of %llu MiB sent\n", percent, (unsigned long long)(sent >> 20),
		       (unsigned long long)(d->total >> 20)) == 0)
		(void)write_full(d->to, text, strlen(text));
}

static void take(struct dialog *d, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != '\n') {
			if (d->len + 1 < sizeof d->line)
				d->line[d->len++] = p[i];
			continue;
		}
		d->line[d->len] = '\0';
		d->len = 0;
		show(d, d->line);
	}
}

int dialog_follow(struct dialog *d, struct proc *client)
{
	struct pollfd pf[] = { { .fd = client->pidfd, .events = POLLIN }, { .fd = d->proc.pidfd, .events = POLLIN },
			       { .fd = d->from, .events = POLLIN } };
	char buf[256];

	for (;;) {
		ssize_t n;

		if (poll(pf, ARRAY_SIZE(pf), -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (pf[0].revents)
			return 0;
		if (pf[1].revents) {
			(void)proc_kill(client, SIGTERM);
			return -ECANCELED;
		}
		n = pf[2].revents ? read(d->from, buf, sizeof buf) : 0;
		if (n > 0)
			take(d, buf, (size_t)n);
		else if (pf[2].revents)
			pf[2].fd = -1;
	}
}

void dialog_close(struct dialog *d)
{
	int status;

	if (d->to >= 0)
		(void)write_full(d->to, "100\n", 4);
	fd_closep(&d->to);
	fd_closep(&d->from);
	/* It closes itself at 100; one that does not is ended. */
	if (d->proc.pidfd >= 0)
		(void)proc_wait(&d->proc, 2000, &status);
	proc_fini(&d->proc);
}
