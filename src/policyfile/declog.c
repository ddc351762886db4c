/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading of the decision log. */
#include "policyfile/declog.h"

#include <jansson.h>
#include <time.h>

#include "base/str.h"

static const char *const names[DL_N] = { "time", "source", "requested_source", "target", "service", "argument", "decision", "rule", "action",
					 "effective_target", "user", "reason" };

const char *declog_name(enum declog_field f)
{
	return names[f];
}

void declog_fini(struct declog_entry *x)
{
	for (size_t i = 0; i < DL_N; i++)
		free(x->field[i]);
	*x = (struct declog_entry){ 0 };
}

/* n digits at *s. */
static bool digits(const char **s, int n, int *ret)
{
	*ret = 0;
	while (n-- > 0) {
		if (!ch_digit(**s))
			return false;
		*ret = *ret * 10 + (*(*s)++ - '0');
	}
	return true;
}

static bool skip(const char **s, char c)
{
	return *(*s)++ == c;
}

int declog_time(const char *s, uint64_t *ret_us)
{
	struct tm tm = { 0 };
	uint64_t us = 0;
	time_t t;
	int scale;

	if (!digits(&s, 4, &tm.tm_year) || !skip(&s, '-') || !digits(&s, 2, &tm.tm_mon) || !skip(&s, '-') || !digits(&s, 2, &tm.tm_mday) ||
	    !skip(&s, 'T') || !digits(&s, 2, &tm.tm_hour) || !skip(&s, ':') || !digits(&s, 2, &tm.tm_min) || !skip(&s, ':') ||
	    !digits(&s, 2, &tm.tm_sec))
		return -EBADMSG;
	if (*s == '.')
		for (s++, scale = 100000; ch_digit(*s) && scale; scale /= 10)
			us += (uint64_t)((*s++ - '0') * scale);
	if (!streq(s, "Z") || tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 60)
		return -EBADMSG;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	t = timegm(&tm);
	if (t < 0)
		return -EBADMSG;
	*ret_us = (uint64_t)t * 1000000 + us;
	return 0;
}

int declog_parse(struct declog_entry *ret, const char *line, size_t n, struct err *e)
{
	struct declog_entry x = { 0 };
	json_error_t je;
	json_t *o = n <= DECLOG_LINE_MAX ? json_loadb(line, n, JSON_REJECT_DUPLICATES, &je) : NULL;
	const json_t *count;
	int r = 0;

	if (!json_is_object(o)) {
		json_decref(o);
		return err_set(e, EBADMSG, "not a line of the decision log");
	}
	for (size_t i = 0; i < DL_N; i++) {
		const json_t *v = json_object_get(o, names[i]);

		if (v && !json_is_string(v))
			r = err_set(e, EBADMSG, "'%s' is not a text", names[i]);
		x.field[i] = xstrdup(json_is_string(v) ? json_string_value(v) : "");
	}
	count = json_object_get(o, "not_logged");
	x.not_logged = json_is_integer(count) && json_integer_value(count) > 0 ? (uint64_t)json_integer_value(count) : 0;
	json_decref(o);
	if (r == 0 && (declog_time(x.field[DL_TIME], &x.time_us) < 0 || !x.field[DL_SOURCE][0] || !x.field[DL_DECISION][0]))
		r = err_set(e, EBADMSG, "a line of the decision log lacks its time, source or decision");
	if (r < 0)
		declog_fini(&x);
	else
		*ret = x;
	return r;
}
