/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The life cycle table. */
#include "core/life.h"

#include "proto/admin.h"

static const char *const state_names[LIFE_STATE_N] = {
#define LIFE(symbol, name) name,
#include "core/life.def"
#undef LIFE
};

static const char *const event_names[LIFE_EVENT_N] = {
#define LIFE_EVENT(symbol, name) name,
#include "core/life.def"
#undef LIFE_EVENT
};

/* 0 = no such step, otherwise next state + 1. */
static const unsigned char table[LIFE_STATE_N][LIFE_EVENT_N] = {
#define LIFE_STEP(state, event, next) [LIFE_##state][LIFE_EV_##event] = LIFE_##next + 1,
#include "core/life.def"
#undef LIFE_STEP
};

const char *life_name(enum life_state s)
{
	return s < LIFE_STATE_N ? state_names[s] : "NA";
}

static int refusal(enum life_event ev)
{
	switch (ev) {
	case LIFE_EV_START:
		return AE_VM_NOT_HALTED;
	case LIFE_EV_PAUSE:
	case LIFE_EV_SUSPEND:
		return AE_VM_NOT_RUNNING;
	case LIFE_EV_UNPAUSE:
	case LIFE_EV_RESUME:
		return AE_VM_NOT_PAUSED;
	case LIFE_EV_SHUTDOWN:
	case LIFE_EV_KILL:
	case LIFE_EV_READY:
	case LIFE_EV_CRASH:
	case LIFE_EV_GONE:
	case LIFE_EVENT_N:
	default:
		return AE_VM_NOT_STARTED;
	}
}

int life_next(enum life_state s, enum life_event ev, struct err *e)
{
	if (s < LIFE_STATE_N && ev < LIFE_EVENT_N && table[s][ev])
		return table[s][ev] - 1;
	return err_set(e, refusal(ev), "a qube that is %s cannot %s", life_name(s),
		       ev < LIFE_EVENT_N ? event_names[ev] : "?");
}
