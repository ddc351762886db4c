/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-top on the terminal: a screen of its own, keys without Enter, and the terminal as before at the end, also after a signal. */
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>

#include "tool/top.h"

#define BUNDLE_MS 30

struct screen {
	struct termios before;
	bool raw;
	int signals;
};

static void screen_close(struct screen *s)
{
	(void)fputs("\033[?25h\033[?1049l", stdout);
	(void)fflush(stdout);
	if (s->raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
	if (s->signals >= 0)
		close(s->signals);
}

static int screen_open(struct screen *s, struct tool *t)
{
	struct termios raw;
	sigset_t set;

	*s = (struct screen){ .signals = -1 };
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == 0)
		s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return tool_fail(t, "signals: %s", strerror(errno));
	if (tcgetattr(STDIN_FILENO, &s->before) == 0) {
		raw = s->before;
		raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
		raw.c_cc[VMIN] = 0;
		raw.c_cc[VTIME] = 0;
		raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* stopped, it would leave the terminal as it is now */
		s->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	(void)fputs("\033[?1049h\033[?25l", stdout);
	return 0;
}

static int draw(struct top *top)
{
	struct winsize ws = { 0 };
	size_t rows = 0;
	int r = top_refresh(top);

	if (r)
		return r;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 4)
		rows = ws.ws_row - 4u;
	(void)fputs("\033[H\033[2J", stdout);
	top_print(top, rows);
	printf("\nsort: c cpu, m memory, d disk, w net, t time, s start, n name, r reverse; q ends\n");
	return fflush(stdout) == 0 ? 0 : EXIT_FAIL;
}

/* Gives false when the key ends the program. */
static bool key(struct top *top, char c)
{
	static const char keys[TOP_SORTS] = { [TOP_CPU] = 'c', [TOP_MEM] = 'm', [TOP_DISK] = 'd', [TOP_NET] = 'w', [TOP_TIME] = 't', [TOP_START] = 's', [TOP_NAME] = 'n' };

	for (unsigned i = 0; i < TOP_SORTS; i++)
		if (keys[i] == c)
			top->sort = (enum top_sort)i;
	if (c == 'r')
		top->reverse = !top->reverse;
	return c != 'q';
}

/* Takes what a stream has; false at its end. */
static bool drain(struct top *top, struct adm_events *s, int *ret, struct err *e)
{
	struct adm_event ev;

	while ((*ret = adm_events_next(s, 0, &ev, e)) == 1)
		top_take(top, &ev);
	return *ret == -ETIMEDOUT;
}

static bool signalled(const struct screen *s)
{
	struct signalfd_siginfo si;

	while (read(s->signals, &si, sizeof si) == (ssize_t)sizeof si)
		if (si.ssi_signo != SIGWINCH)
			return true;
	return false;
}

static int loop(struct top *top, const struct screen *s, struct adm_events *stats, struct adm_events *events)
{
	struct err e = { 0 };
	bool dirty = true; /* the streams may have come with more than their first event */
	int r = draw(top), k = 0;

	if (r == 0 && (!drain(top, stats, &k, &e) || !drain(top, events, &k, &e)))
		return k == 0 ? tool_fail(top->t, "qubesd has ended") : tool_api(top->t, k, &e);
	while (r == 0) {
		struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = s->signals, .events = POLLIN },
					{ .fd = stats->fd, .events = POLLIN },	  { .fd = events->fd, .events = POLLIN } };
		int n = poll(fds, ARRAY_SIZE(fds), dirty ? BUNDLE_MS : -1);
		char c;

		if (n == 0) {
			r = draw(top);
			dirty = false;
			continue;
		}
		if (fds[1].revents && signalled(s))
			return 0;
		if (fds[0].revents && (read(STDIN_FILENO, &c, 1) != 1 || !key(top, c)))
			return 0;
		if ((fds[2].revents && !drain(top, stats, &k, &e)) || (fds[3].revents && !drain(top, events, &k, &e)))
			return k == 0 ? tool_fail(top->t, "qubesd has ended") : tool_api(top->t, k, &e);
		dirty = true;
	}
	return r;
}

int top_live(struct top *top, struct adm_events *stats, struct adm_events *events)
{
	struct screen s;
	int r = screen_open(&s, top->t);

	if (r == 0)
		r = loop(top, &s, stats, events);
	screen_close(&s);
	return r;
}
