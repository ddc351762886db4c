/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dates in UTC, by the proleptic Gregorian calendar. */
#include "proto/isotime.h"

#include "base/str.h"

#define DAY 86400
#define YEAR_MIN 1970
#define YEAR_MAX 9999

/* Days since 1970-01-01; a year begins in March here, so that the leap day is its last. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of(int64_t days, int64_t *y, int64_t *m, int64_t *d)
{
	int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*d = doy - (153 * mp + 2) / 5 + 1;
	*m = mp < 10 ? mp + 3 : mp - 9;
	*y = yoe + era * 400 + (*m <= 2);
}

int isotime_put(char out[ISOTIME_CAP], struct isotime t, bool nanoseconds)
{
	int64_t y, m, d, s = t.sec % DAY;
	char fraction[16] = "";

	if (t.sec < 0 || t.sec >= days_of(YEAR_MAX + 1, 1, 1) * DAY || t.nsec > 999999999)
		return -ERANGE;
	date_of(t.sec / DAY, &y, &m, &d);
	if (nanoseconds && str_printf(fraction, sizeof fraction, ",%09u", t.nsec) < 0)
		return -ERANGE;
	return str_printf(out, ISOTIME_CAP, "%04d-%02d-%02dT%02d:%02d:%02d%s+00:00", (int)y, (int)m, (int)d, (int)(s / 3600), (int)(s / 60 % 60),
			  (int)(s % 60), fraction);
}

static int64_t number(struct rd *r, unsigned digits, int64_t min, int64_t max)
{
	int64_t v = 0;

	while (digits--) {
		uint8_t c = rd_u8(r);

		if (c < '0' || c > '9')
			rd_fail(r);
		v = v * 10 + (c - '0');
	}
	if (v < min || v > max)
		rd_fail(r);
	return v;
}

static void want(struct rd *r, char c)
{
	if (rd_u8(r) != (uint8_t)c)
		rd_fail(r);
}

int isotime_get(struct rd r, struct isotime *ret)
{
	int64_t y, m, d, hour, min, sec, ns = 0, days, back_y, back_m, back_d;

	y = number(&r, 4, YEAR_MIN, YEAR_MAX);
	want(&r, '-');
	m = number(&r, 2, 1, 12);
	want(&r, '-');
	d = number(&r, 2, 1, 31);
	want(&r, 'T');
	hour = number(&r, 2, 0, 23);
	want(&r, ':');
	min = number(&r, 2, 0, 59);
	want(&r, ':');
	sec = number(&r, 2, 0, 59);
	if (rd_left(&r) && *r.p == ',') {
		want(&r, ',');
		ns = number(&r, 9, 0, 999999999);
	}
	want(&r, '+');
	want(&r, '0');
	want(&r, '0');
	want(&r, ':');
	want(&r, '0');
	want(&r, '0');
	if (rd_left(&r) == 1)
		want(&r, '\n');
	if (!rd_done(&r))
		return -EINVAL;
	/* 31 April comes back as 1 May */
	days = days_of(y, m, d);
	date_of(days, &back_y, &back_m, &back_d);
	if (back_y != y || back_m != m || back_d != d)
		return -EINVAL;
	*ret = (struct isotime){ days * DAY + hour * 3600 + min * 60 + sec, (uint32_t)ns };
	return 0;
}
