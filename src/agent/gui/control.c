/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Commands of this qube's own programs, one line each, answered by one line ("ok …" or "error: …"):
 *   withhold on|off     windows that there are, and that come while this is on, are not told
 *   announce [CLASS]    tell the withheld ones (of this class)
 *   preload NAME        withholds the windows that come until one is there, which is the answer: the program goes by this name
 *   open NAME           tells the windows of that program
 *   layout W H X Y [W_MM H_MM][, …]   monitors
 *   status              what is going on
 *   wait-last           answered when a window was there and none is any more: the end of a disposable
 */
#include <sys/socket.h>

#include "agent/gui/agent.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#define LINE_CAP 2048
#define CLIENTS_MAX 16
#define NAME_CAP 200 /* of a program that is opened ahead */

struct client {
	struct agent *a;
	struct chan_stream *s;
	bool waits, had; /* had: there was a window since it waits */
	bool preloads;

};

struct control {
	int fd;
	struct ev_io *ev;
	struct client *client[CLIENTS_MAX];
};

static void reply(struct client *c, const char *text)
{
	(void)!chan_stream_send(c->s, text, strlen(text));
}

static void status(struct client *c)
{
	const struct agent *a = c->a;
	unsigned n = 0, withheld = 0;
	const struct win *w;
	char line[512];

	TAILQ_FOREACH(w, &a->wins, all) {
		n++;
		withheld += w->withheld;
	}
	(void)!str_printf(line, sizeof line, "ok link=%s windows=%u managed=%u withheld=%u bar_mib=%llu bar_used_kib=%llu program=%s\n",
			  a->state == LINK_UP ? "up" : a->state == LINK_LISTEN ? "waiting" : "down", n, a->n_managed, withheld,
			  (unsigned long long)a->bar.size >> 20, (unsigned long long)bar_used(&a->bar) >> 10, a->preloaded ? a->preloaded : "");
	reply(c, line);
}

static void withhold(struct agent *a, bool on)
{
	struct win *w;

	a->withhold = on;
	TAILQ_FOREACH(w, &a->wins, all)
		/* what a guid has seen cannot be taken back */
		if (on && !w->announced)
			w->withheld = true;
}

static bool of_class(struct agent *a, const struct win *w, const char *class)
{
	size_t n, first;
	_cleanup_free_ uint8_t *v = x_prop(a, w->id, XCB_ATOM_WM_CLASS, XCB_ATOM_STRING, 512, &n, NULL);

	if (!*class)
		return true;
	if (!v)
		return false;
	first = strnlen((const char *)v, n);
	return streq((const char *)v, class) || (first < n && streq((const char *)v + first + 1, class));
}

static void announce(struct client *c, const char *class)
{
	struct agent *a = c->a;
	unsigned n = 0;
	struct win *w;
	char line[64];

	TAILQ_FOREACH(w, &a->wins, all)
		if (w->withheld && of_class(a, w, class)) {
			w->withheld = false;
			win_announce(a, w);
			n += w->mapped && !w->override;
		}
	win_count(a);
	(void)!str_printf(line, sizeof line, "ok %u\n", n);
	reply(c, line);
}

static void preload(struct client *c, const char *name)
{
	struct agent *a = c->a;

	if (!*name || strlen(name) > NAME_CAP || a->preloaded) {
		reply(c, "error: one program has a name here, and one at a time\n");
		return;
	}
	a->preloaded = xstrdup(name);
	c->preloads = true;
	/* those that there are stay what they are */
	a->withhold = true;
}

/* Whoever wanted it is gone or has what it wanted: what other programs show from now on is told. */
static void preload_end(struct client *c, bool good)
{
	c->preloads = false;
	withhold(c->a, false);
	if (!good)
		free(STEAL_PTR(c->a->preloaded));
}

static void open_preloaded(struct client *c, const char *name)
{
	struct agent *a = c->a;

	if (!a->preloaded || !streq(a->preloaded, name) || a->withhold || !win_withheld(a)) {
		reply(c, "error: that program is not open\n");
		return;
	}
	free(STEAL_PTR(a->preloaded));
	announce(c, "");
}

void control_withheld(struct agent *a)
{
	for (size_t i = 0; a->control && i < CLIENTS_MAX; i++) {
		struct client *c = a->control->client[i];

		if (!c || !c->preloads || !win_withheld(a))
			continue;
		preload_end(c, true);
		reply(c, "ok\n");
	}
}

/* "W H X Y [W_MM H_MM]": what is not a number ends it. */
static int one_monitor(const char *text, struct monitor *ret)
{
	uint32_t v[6] = { 0 };
	size_t n = 0;

	while (n < ARRAY_SIZE(v)) {
		char word[16];
		size_t len;
		uint64_t value;

		text += strspn(text, " ");
		len = strcspn(text, " ");
		if (len == 0)
			break;
		if (len >= sizeof word)
			return -EINVAL;
		memcpy(word, text, len);
		word[len] = 0;
		if (str_u64(word, 65535, &value) < 0)
			return -EINVAL;
		v[n++] = (uint32_t)value;
		text += len;
	}
	*ret = (struct monitor){ .w = v[0], .h = v[1], .x = v[2], .y = v[3], .w_mm = v[4], .h_mm = v[5] };
	return n == 4 || n == 6 ? 0 : -EINVAL;
}

static void layout(struct client *c, char *text)
{
	struct monitor v[MONITORS_MAX];
	struct err e = { 0 };
	char line[ERR_MSG_MAX + 16], *next;
	size_t n = 0;
	int r = 0;

	for (; text && r == 0; text = next) {
		next = strchr(text, ',');
		if (next)
			*next++ = 0;
		r = n < MONITORS_MAX ? one_monitor(text, &v[n++]) : -E2BIG;
	}
	if (r < 0)
		r = err_set(&e, -r, "a monitor is: width height x y [width and height in mm]");
	else
		r = layout_set(c->a, v, n, &e);
	if (r == 0) {
		reply(c, "ok\n");
		return;
	}
	(void)!str_printf(line, sizeof line, "error: %s\n", e.msg);
	reply(c, line);
}

static void command(struct client *c, char *line)
{
	struct agent *a = c->a;

	if (streq(line, "withhold on") || streq(line, "withhold off")) {
		withhold(a, str_ends(line, "on"));
		win_count(a);
		reply(c, "ok\n");
	} else if (streq(line, "announce") || str_starts(line, "announce ")) {
		announce(c, line[8] ? line + 9 : "");
	} else if (str_starts(line, "preload ")) {
		preload(c, line + strlen("preload "));
	} else if (str_starts(line, "open ")) {
		open_preloaded(c, line + strlen("open "));
	} else if (str_starts(line, "layout ")) {
		layout(c, line + 7);
	} else if (streq(line, "status")) {
		status(c);
	} else if (streq(line, "wait-last")) {
		c->waits = true;
		control_windows(a);
	} else {
		reply(c, "error: commands are withhold on|off, announce [CLASS], preload NAME, open NAME, layout, status, wait-last\n");
	}
}

void control_windows(struct agent *a)
{
	for (size_t i = 0; a->control && i < CLIENTS_MAX; i++) {
		struct client *c = a->control->client[i];

		if (!c || !c->waits)
			continue;
		c->had = c->had || a->n_managed > 0;
		if (a->n_managed > 0 || !c->had)
			continue;
		c->waits = c->had = false;
		reply(c, "ok\n");
	}
}

static ssize_t on_line(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	struct client *c = arg;
	const uint8_t *end = memchr(p, '\n', n);
	char line[LINE_CAP + 1];
	size_t len;

	if (!end)
		return 0;
	len = (size_t)(end - p);
	memcpy(line, p, len);
	line[len] = 0;
	command(c, line);
	agent_settle(c->a);
	return (ssize_t)len + 1;
}

static void on_gone(struct chan_stream *s, int code, void *arg)
{
	struct client *c = arg;

	if (c->preloads)
		preload_end(c, false);
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (c->a->control->client[i] == c)
			c->a->control->client[i] = NULL;
	chan_stream_free(s);
	free(c);
}

static const struct chan_stream_ops ops = { .data = on_line, .closed = on_gone };

static void on_connect(struct ev_io *io, int fd, int events, void *arg)
{
	struct agent *a = arg;
	_cleanup_fd_ int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (size_t i = 0; got >= 0 && i < CLIENTS_MAX; i++) {
		struct client *c;

		if (a->control->client[i])
			continue;
		c = xcalloc(1, sizeof *c);
		c->a = a;
		c->s = chan_stream_new(a->loop, got, LINE_CAP, 65536, &ops, c);
		if (!c->s) {
			free(c);
			return;
		}
		got = -1;
		a->control->client[i] = c;
	}
}

int control_start(struct agent *a, struct err *e)
{
	struct control *c = xcalloc(1, sizeof *c);

	a->control = c;
	c->fd = a->o.control_fd;
	if (c->fd < 0)
		c->fd = unix_listen_replace(a->o.control, SOCK_STREAM, 0600, e);
	if (c->fd < 0)
		return c->fd;
	c->ev = ev_io_new(a->loop, c->fd, EV_READ, on_connect, a);
	return c->ev ? 0 : err_set(e, EINVAL, "the control socket cannot be watched");
}
