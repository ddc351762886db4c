/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Alignment of modifiers. */
#include "agent/gui/mods.h"

#define KEYCODE_MIN 8

struct plan {
	struct mods_step *v;
	size_t n;
};

static void step(struct plan *p, uint8_t keycode, bool press)
{
	if (p->n < MODS_STEPS_MAX)
		p->v[p->n++] = (struct mods_step){ .keycode = keycode, .press = press };
}

static uint8_t first_key(const uint8_t keys[MODS_KEYS_MAX])
{
	for (size_t i = 0; i < MODS_KEYS_MAX; i++)
		if (keys[i])
			return keys[i];
	return 0;
}

/* A modifier that is on and whose keys are all up was locked: it goes off as it came, by a press of its key. */
static void release(struct plan *p, const uint8_t keys[MODS_KEYS_MAX], const uint8_t pressed[32])
{
	bool any = false;

	for (size_t i = 0; i < MODS_KEYS_MAX; i++)
		if (keys[i] && key_is_down(pressed, keys[i])) {
			step(p, keys[i], false);
			any = true;
		}
	if (any || !first_key(keys))
		return;
	step(p, first_key(keys), true);
	step(p, first_key(keys), false);
}

size_t mods_plan(const struct mods_map *m, uint32_t now, uint32_t want, const uint8_t pressed[32], struct mods_step ret[MODS_STEPS_MAX])
{
	struct plan p = { .v = ret };
	uint32_t differ = (now ^ want) & 0xff;

	for (unsigned i = 0; i < MODS_N; i++) {
		uint8_t key = first_key(m->keys[i]);

		if (!(differ >> i & 1) || !key)
			continue;
		if (m->toggles >> i & 1) {
			/* held down it would be on anyway */
			if (!key_is_down(pressed, key))
				step(&p, key, true);
			step(&p, key, false);
		} else if (want >> i & 1) {
			step(&p, key, true);
		} else {
			release(&p, m->keys[i], pressed);
		}
	}
	return p.n;
}

size_t keys_to_release(const uint8_t pressed[32], const uint8_t keys[32], uint8_t ret[256])
{
	size_t n = 0;

	for (unsigned k = KEYCODE_MIN; k < 256; k++)
		if (key_is_down(pressed, (uint8_t)k) && !key_is_down(keys, (uint8_t)k))
			ret[n++] = (uint8_t)k;
	return n;
}
