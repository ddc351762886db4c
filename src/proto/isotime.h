/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dates as qubes.GetDate gives them: "2026-01-31T23:59:59+00:00", or with ",123456789" before the zone. UTC only. Pure. */
#ifndef PROTO_ISOTIME_H
#define PROTO_ISOTIME_H

#include "base/rd.h"

#define ISOTIME_LEN 25	     /* bytes of the short form, without newline */
#define ISOTIME_NS_LEN 35    /* of the one with nanoseconds */
#define ISOTIME_CAP 40

struct isotime {
	int64_t sec; /* since 1970, UTC */
	uint32_t nsec;
};

/* isotime_put writes the date (years 1970 to 9999) with a NUL; -ERANGE outside. */
int isotime_put(char out[ISOTIME_CAP], struct isotime t, bool nanoseconds) _must_check_;
/* isotime_get takes the whole view: exactly one of the two forms, a newline behind it allowed, each field in its range. -EINVAL. */
int isotime_get(struct rd r, struct isotime *ret) _must_check_;

#endif
