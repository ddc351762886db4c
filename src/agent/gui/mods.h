/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which keys must be pressed and released so that the qube's modifiers are those of the host: without this a Ctrl that was released over another
 * qube would hang here for ever. Pure: the caller reads the state of its X server and sends the keys.
 */
#ifndef AGENT_GUI_MODS_H
#define AGENT_GUI_MODS_H

#include "base/defs.h"

#define MODS_N 8
#define MODS_KEYS_MAX 8
#define MODS_STEPS_MAX 64
#define MODS_LOCK 2u /* Caps Lock */

struct mods_map {
	uint8_t keys[MODS_N][MODS_KEYS_MAX]; /* keycodes of each modifier, 0 = none */
	uint8_t toggles; /* modifiers that a press and release turns over (Caps Lock, Num Lock) */
};

struct mods_step {
	uint8_t keycode;
	bool press;
};

/* mods_plan gives how many steps (at most MODS_STEPS_MAX) lead from now to want; pressed: the keys that are down, a bit each. Modifiers without a key are
   left as they are. Only the eight bits of modifiers count. */
size_t mods_plan(const struct mods_map *m, uint32_t now, uint32_t want, const uint8_t pressed[32], struct mods_step ret[MODS_STEPS_MAX]);
/* keys_to_release gives the keys that are down here (pressed) and not on the host (keys). */
size_t keys_to_release(const uint8_t pressed[32], const uint8_t keys[32], uint8_t ret[256]);
static inline bool key_is_down(const uint8_t pressed[32], uint8_t keycode)
{
	return pressed[keycode / 8] >> (keycode % 8) & 1;
}

#endif
