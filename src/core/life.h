/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The life cycle of a qube as a [state][event] table (life.def). Pure. */
#ifndef CORE_LIFE_H
#define CORE_LIFE_H

#include "base/err.h"

enum life_state {
#define LIFE(symbol, name) LIFE_##symbol,
#include "core/life.def"
#undef LIFE
	LIFE_STATE_N
};

enum life_event {
#define LIFE_EVENT(symbol, name) LIFE_EV_##symbol,
#include "core/life.def"
#undef LIFE_EVENT
	LIFE_EVENT_N
};

const char *life_name(enum life_state s);
/* life_next gives the state after an event, or the reference's exception (negative AE_*) with a text. */
int life_next(enum life_state s, enum life_event ev, struct err *e);

#endif
