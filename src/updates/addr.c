/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which addresses are of the public network. A row is a prefix that is not. Networks that are set aside for examples are not rows: nobody's
 * machines are behind them, and closed test networks use them as if they were public.
 */
#include "updates/updates.h"

struct prefix {
	uint8_t b[16], bits;
};

static const struct prefix not4[] = {
	{ { 0 }, 8 },	      { { 10 }, 8 },	      { { 100, 64 }, 10 },   { { 127 }, 8 },	  { { 169, 254 }, 16 }, { { 172, 16 }, 12 },
	{ { 192, 0, 0 }, 24 }, { { 192, 88, 99 }, 24 }, { { 192, 168 }, 16 }, { { 198, 18 }, 15 }, { { 224 }, 4 },	    { { 240 }, 4 },
};

/* Only 2000::/3 is given out; within it, what holds an address of version 4. */
static const struct prefix not6[] = {
	{ { 0x20, 0x01, 0x00, 0x00 }, 32 }, /* Teredo */
	{ { 0x20, 0x02 }, 16 },		     /* 6to4 */
};

static bool matches(const struct prefix *p, const uint8_t *b)
{
	size_t whole = p->bits / 8, rest = p->bits % 8;

	if (memcmp(p->b, b, whole) != 0)
		return false;
	return rest == 0 || (p->b[whole] >> (8 - rest)) == (b[whole] >> (8 - rest));
}

bool addr_public(const struct up_addr *a)
{
	if (a->family == 4) {
		for (size_t i = 0; i < ARRAY_SIZE(not4); i++)
			if (matches(&not4[i], a->b))
				return false;
		return true;
	}
	if (a->family != 6 || (a->b[0] >> 5) != 1)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(not6); i++)
		if (matches(&not6[i], a->b))
			return false;
	return true;
}
