/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Progress of a copy. */
#include "agent/qfile/progress.h"

#include <sys/ioctl.h>

#include "base/io.h"
#include "base/str.h"

#define EVERY_US 200000
#define WIDTH_MIN 20u
#define WIDTH_MAX 200u

int progress_kind(const char *text, enum progress_kind *ret)
{
	static const char *const names[] = { "none", "console", "gui" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(text, names[i])) {
			*ret = (enum progress_kind)i;
			return 0;
		}
	return -EINVAL;
}

static unsigned terminal_width(void)
{
	struct winsize ws;

	if (!isatty(STDERR_FILENO))
		return 0;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_col == 0)
		return 80;
	return ws.ws_col < WIDTH_MIN ? WIDTH_MIN : MIN((unsigned)ws.ws_col, WIDTH_MAX);
}

void progress_init(struct progress *p, enum progress_kind kind, int fd, uint64_t total)
{
	*p = (struct progress){ .kind = kind, .fd = fd, .total = total, .start_us = now_us() };
	if (kind == PROGRESS_CONSOLE)
		p->width = terminal_width();
}

static uint64_t env_number(const char *name, uint64_t max, uint64_t fallback)
{
	const char *s = getenv(name);
	uint64_t v;

	return s && str_u64(s, max, &v) == 0 ? v : fallback;
}

void progress_from_env(struct progress *p)
{
	const char *type = getenv("PROGRESS_TYPE");
	enum progress_kind kind = PROGRESS_NONE;
	int fd = -1;

	if (type && progress_kind(type, &kind) < 0)
		kind = PROGRESS_NONE;
	if (kind == PROGRESS_GUI && getenv("SAVED_FD_1"))
		fd = (int)env_number("SAVED_FD_1", 65535, UINT64_MAX);
	progress_init(p, kind, fd, env_number("FILECOPY_TOTAL_BYTES", UINT64_MAX, 0));
}

/* "1.5 GiB" */
static void put_size(char *out, size_t cap, uint64_t n)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)n;
	size_t u = 0;

	while (v >= 1000 && u + 1 < ARRAY_SIZE(units)) {
		v /= 1024;
		u++;
	}
	(void)!str_printf(out, cap, u && v < 100 ? "%.1f %s" : "%.0f %s", v, units[u]);
}

/* "0:07", "1:02:03" */
static void put_time(char *out, size_t cap, uint64_t s)
{
	unsigned long long h = s / 3600, m = s / 60 % 60;

	if (h > 99)
		(void)!str_copy(out, cap, "days");
	else if (h)
		(void)!str_printf(out, cap, "%llu:%02llu:%02llu", h, m, (unsigned long long)s % 60);
	else
		(void)!str_printf(out, cap, "%llu:%02llu", m, (unsigned long long)s % 60);
}

void progress_line(char *out, size_t cap, const struct progress *p, uint64_t now, uint64_t sent, const char *name)
{
	char done[24], all[24], rate[24], left[24] = "", shown[WIDTH_MAX];
	uint64_t us = now > p->start_us ? now - p->start_us : 1, done_n = p->total ? MIN(sent, p->total) : sent;
	double per_s = (double)sent * 1e6 / (double)us;
	size_t room = MIN(cap, (size_t)p->width), n;

	put_size(done, sizeof done, done_n);
	put_size(all, sizeof all, p->total);
	put_size(rate, sizeof rate, (uint64_t)per_s);
	if (p->total && per_s >= 1)
		put_time(left, sizeof left, (uint64_t)((double)(p->total - done_n) / per_s));
	if (p->total)
		(void)snprintf(out, room, "%3u%%  %s of %s  %s/s  %s left", (unsigned)(100.0 * (double)done_n / (double)p->total), done, all,
			       rate, left);
	else
		(void)snprintf(out, room, "%s  %s/s", done, rate);
	n = strlen(out);
	if (name && n + 8 < room) {
		(void)str_escape(shown, MIN(sizeof shown, room - n - 2), name, strlen(name));
		(void)snprintf(out + n, room - n, "  %s", shown);
	}
}

static void draw(struct progress *p, uint64_t now, uint64_t sent, const char *name)
{
	char line[WIDTH_MAX + 1];
	size_t n;

	if (p->width == 0) {
		(void)fprintf(stderr, "sent %llu/%llu KB\r", (unsigned long long)(sent / 1024), (unsigned long long)(p->total / 1024));
		p->shown = 1;
		return;
	}
	progress_line(line, sizeof line, p, now, sent, name);
	n = strlen(line);
	/* Blanks over the rest of a longer line: escape sequences would not pass the filters on the way to a terminal. */
	(void)fprintf(stderr, "\r%s%*s", line, (int)(p->shown > n ? p->shown - n : 0), "");
	p->shown = MAX(n, p->shown);
}

static void update(struct progress *p, uint64_t now, uint64_t sent, const char *name)
{
	char line[32];

	p->last_us = now;
	if (p->kind == PROGRESS_CONSOLE)
		draw(p, now, sent, name);
	if (p->kind != PROGRESS_GUI || p->fd < 0)
		return;
	if (str_printf(line, sizeof line, "%llu\n", (unsigned long long)sent) < 0 || write_full(p->fd, line, strlen(line)) < 0)
		p->fd = -1;
}

void progress_show(uint64_t sent, const char *name, void *arg)
{
	struct progress *p = arg;
	uint64_t now;

	if (p->kind == PROGRESS_NONE)
		return;
	now = now_us();
	if (now - p->last_us >= EVERY_US)
		update(p, now, sent, name);
}

void progress_end(struct progress *p, uint64_t sent, bool ok)
{
	if (p->kind == PROGRESS_NONE)
		return;
	if (ok)
		update(p, now_us(), p->total ? MAX(sent, p->total) : sent, NULL);
	if (p->kind == PROGRESS_CONSOLE && p->shown)
		(void)fputc('\n', stderr);
}
