/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Structured log. One line a message on stderr (or the descriptor of log_init):
 *   TIME PROGRAM[QUBE] level: text key=value …
 * The whole text is escaped once more on output, so no control byte ever reaches a log, whoever wrote it. Text of a guest
 * is additionally passed through str_escape or log_esc so that it cannot imitate fields.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_L_DEBUG, LOG_L_INFO, LOG_L_WARN, LOG_L_ERROR };

/* log_init names the program (and qube, may be NULL) and the descriptor to write to (-1 = stderr). The level comes from
   $BULKHEAD_LOG (debug, info, warn, error; default info). */
void log_init(const char *program, const char *qube, int fd);
void log_set_level(enum log_level level);
void log_at(enum log_level level, const char *fmt, ...) _printf_(2, 3);
#define log_debug(...) log_at(LOG_L_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_L_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_L_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_L_ERROR, __VA_ARGS__)
/* log_esc escapes foreign bytes into one of four rotating static buffers of 256 bytes: for log calls only. */
const char *log_esc(const void *p, size_t n);
const char *log_escs(const char *s);

/* A rate limit for messages that a guest can provoke: log_rate_ok is true at most burst times in each interval_s. */
struct log_rate {
	uint64_t window_start_us;
	unsigned n, suppressed;
};
bool log_rate_ok(struct log_rate *r, unsigned burst, unsigned interval_s);

#endif
