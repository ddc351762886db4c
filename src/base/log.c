/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The log writer: one write a line, escaped, never blocking on anything but its descriptor. */
#include "base/log.h"

#include <stdarg.h>
#include <time.h>

#include "base/io.h"
#include "base/str.h"

static struct {
	char program[32], qube[40];
	int fd;
	enum log_level level;
	bool ready;
} lg = { .fd = STDERR_FILENO, .level = LOG_L_INFO };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void log_init(const char *program, const char *qube, int fd)
{
	const char *env = getenv("BULKHEAD_LOG");

	(void)!str_copy(lg.program, sizeof lg.program, program);
	(void)!str_copy(lg.qube, sizeof lg.qube, qube ? qube : "");
	lg.fd = fd >= 0 ? fd : STDERR_FILENO;
	lg.ready = true;
	for (size_t i = 0; env && i < ARRAY_SIZE(level_names); i++)
		if (streq(env, level_names[i]))
			lg.level = (enum log_level)i;
}

void log_set_level(enum log_level level)
{
	lg.level = level;
}

static size_t stamp(char *out, size_t cap)
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(out, cap, "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(out + n, cap - n, ".%03ldZ", ts.tv_nsec / 1000000);
	return n;
}

void log_at(enum log_level level, const char *fmt, ...)
{
	char text[1024], line[2048];
	size_t n, m;
	va_list ap;
	int r;

	if (level < lg.level)
		return;
	va_start(ap, fmt);
	r = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (r < 0)
		return;
	m = (size_t)r < sizeof text ? (size_t)r : sizeof text - 1;
	n = stamp(line, sizeof line);
	n += (size_t)snprintf(line + n, sizeof line - n, " %s%s%s%s %s: ", lg.program,
			      lg.qube[0] ? "[" : "", lg.qube, lg.qube[0] ? "]" : "",
			      level_names[level]);
	/* Backslashes that callers' escapes produced stay readable: only control and non-ASCII bytes are escaped here. */
	for (size_t i = 0; i < m && n + 6 < sizeof line; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c <= 0x7e)
			line[n++] = (char)c;
		else
			n += (size_t)snprintf(line + n, sizeof line - n, "\\x%02x", c);
	}
	line[n++] = '\n';
	(void)!write_full(lg.fd, line, n);
}

const char *log_esc(const void *p, size_t n)
{
	static char bufs[4][256];
	static unsigned next;

	next = (next + 1) % 4;
	return str_escape(bufs[next], sizeof bufs[next], p, n);
}

const char *log_escs(const char *s)
{
	return log_esc(s, strlen(s));
}

bool log_rate_ok(struct log_rate *r, unsigned burst, unsigned interval_s)
{
	uint64_t now = now_us();

	if (now - r->window_start_us > (uint64_t)interval_s * 1000000) {
		r->window_start_us = now;
		r->n = r->suppressed = 0;
	}
	if (r->n < burst) {
		r->n++;
		return true;
	}
	r->suppressed++;
	return false;
}
