/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The filters of text.h. A title is shown behind the name of its qube, so nothing in it may change how that is read. */
#include "gui/guid/text.h"

size_t text_utf8(const uint8_t *p, size_t n, uint32_t *ret_cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = n == 0 ? 0 : p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
	uint32_t cp;

	if (len == 0 || len > n)
		return 0;
	cp = len == 1 ? p[0] : p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		cp = cp << 6 | (p[i] & 0x3fu);
	}
	if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
		return 0;
	*ret_cp = cp;
	return len;
}

/* Characters that stay: letters, marks of writing and signs that stand on their own. Whole blocks are left out where one character
   changes how others are shown. */
static bool plain(uint32_t cp)
{
	static const struct {
		uint32_t from, to;
	} bad[] = {
		{ 0x00, 0x1f },	    { 0x7f, 0xa0 },	{ 0xad, 0xad },	    { 0x300, 0x36f },	{ 0x483, 0x489 },
		{ 0x590, 0x8ff }, /* right to left: Hebrew, Arabic and others */
		{ 0x115f, 0x1160 }, { 0x135d, 0x135f }, { 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff },
		{ 0x2000, 0x200f }, { 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x20d0, 0x20ff }, { 0x2800, 0x2800 },
		{ 0x302a, 0x302f }, { 0x3000, 0x3000 }, { 0x3099, 0x309a }, { 0x3164, 0x3164 }, { 0xa66f, 0xa67f },
		{ 0xe000, 0xf8ff }, { 0xfb1d, 0xfdff }, { 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f }, { 0xfe70, 0xfeff },
		{ 0xffa0, 0xffa0 }, { 0xfff0, 0xffff }, { 0x10000, 0x10ffff },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (cp >= bad[i].from && cp <= bad[i].to)
			return false;
	return true;
}

static void filter(char *out, const uint8_t *p, size_t n, bool utf8)
{
	size_t o = 0, len;
	uint32_t cp;

	for (size_t i = 0; i < n && p[i] != 0; i += len) {
		len = 1;
		if (p[i] >= 0x20 && p[i] <= 0x7e) {
			out[o++] = (char)p[i];
			continue;
		}
		if (utf8) {
			len = text_utf8(p + i, n - i, &cp);
			if (len > 1 && plain(cp)) {
				memcpy(out + o, p + i, len);
				o += len;
				continue;
			}
			len = MAX(len, (size_t)1);
		}
		out[o++] = '_';
	}
	out[o] = '\0';
}

void text_title(char *out, const uint8_t *p, size_t n, bool utf8)
{
	filter(out, p, MIN(n, (size_t)TEXT_TITLE_CAP - 1), utf8);
}

void text_class(char *out, const uint8_t *p, size_t n)
{
	filter(out, p, MIN(n, (size_t)TEXT_CLASS_CAP - 1), false);
}

bool text_pattern(unsigned label, unsigned x, unsigned y)
{
	unsigned a = (x + y) % TEXT_TILE;

	/* Dashes along an edge, read in any direction: lengths of colour and of contrast differ. */
	switch (label) {
	case 2: return a % 4 < 1;
	case 3: return a % 8 < 2;
	case 4: return a % 12 < 6;
	case 5: return a % 2 < 1;
	case 6: return a % 24 < 4;
	case 7: return a < 2 || (a >= 4 && a < 6);
	case 8: return a < 8 || (a >= 12 && a < 16);
	default: return false;
	}
}

uint32_t text_contrast(uint32_t rgb)
{
	uint32_t y = 299 * (rgb >> 16 & 255) + 587 * (rgb >> 8 & 255) + 114 * (rgb & 255);

	return y > 128000 ? 0x000000 : 0xffffff;
}
