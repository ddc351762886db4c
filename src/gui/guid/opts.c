/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parsing of options. */
#include "gui/guid/opts.h"

#include "base/str.h"

static const struct {
	const char *name;
	uint32_t mask;
} mods[] = { { "Shift", 1 }, { "Ctrl", 4 }, { "Alt", 8 }, { "Mod1", 8 }, { "Mod2", 16 }, { "Mod3", 32 }, { "Mod4", 64 } };

static uint32_t mod_of(const char *s, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(mods); i++)
		if (strlen(mods[i].name) == n && memcmp(mods[i].name, s, n) == 0)
			return mods[i].mask;
	return 0;
}

int chord_parse(struct chord *ret, const char *text, struct err *e)
{
	struct chord c = { 0 };
	const char *dash;

	if (streq(text, "none") || streq(text, "disable")) {
		*ret = c;
		return 0;
	}
	for (; (dash = strchr(text, '-')) && dash[1]; text = dash + 1) {
		uint32_t m = mod_of(text, (size_t)(dash - text));

		if (m == 0)
			return err_set(e, EINVAL, "'%s': modifiers are Shift, Ctrl, Alt and Mod1 to Mod4", text);
		c.mods |= m;
	}
	if (c.mods == 0 || text[0] == '\0' || !str_chars(text, "_") || str_copy(c.key, sizeof c.key, text) < 0)
		return err_set(e, EINVAL, "'%s': want modifiers and a key, like Ctrl-Shift-c, or none", text);
	*ret = c;
	return 0;
}

int colour_parse(uint32_t *ret, const char *text, struct err *e)
{
	const char *hex = str_starts(text, "0x") ? text + 2 : text[0] == '#' ? text + 1 : "";
	uint32_t v = 0;

	if (streq(text, "white") || streq(text, "black")) {
		*ret = text[0] == 'w' ? 0xffffff : 0;
		return 0;
	}
	if (strlen(hex) != 6)
		return err_set(e, EINVAL, "'%s': want a colour as 0xRRGGBB", text);
	for (; *hex; hex++) {
		const char *digits = "0123456789abcdef", *d = strchr(digits, *hex | 0x20);

		if (!d || !ch_alnum(*hex))
			return err_set(e, EINVAL, "'%s': want a colour as 0xRRGGBB", text);
		v = v << 4 | (uint32_t)(d - digits);
	}
	*ret = v;
	return 0;
}

void opts_default(struct opts *o)
{
	memset(o, 0, sizeof *o);
#define BOOL(key, def) o->key = def;
#define NUM(key, min, max, def) o->key = def;
#define COLOUR(key, def) o->key = def;
#define WORD(key, def, ...) o->key = def;
#define CHORD(key, def) (void)!chord_parse(&o->key, def, NULL);
#define LIST(key)
#include "gui/guid/opts.def"
#undef BOOL
#undef NUM
#undef COLOUR
#undef WORD
#undef CHORD
#undef LIST
}

static int get_bool(bool *ret, const char *v, struct err *e)
{
	return str_bool(v, ret) < 0 ? err_set(e, EINVAL, "'%s': want true or false", v) : 0;
}

static int get_num(uint32_t *ret, const char *v, uint32_t min, uint32_t max, struct err *e)
{
	uint64_t n;

	if (str_u64(v, max, &n) < 0 || n < min)
		return err_set(e, EINVAL, "'%s': want a number from %u to %u", v, min, max);
	*ret = (uint32_t)n;
	return 0;
}

static int get_word(unsigned *ret, const char *v, const char *const *words, struct err *e)
{
	for (unsigned i = 0; words[i]; i++)
		if (streq(words[i], v)) {
			*ret = i;
			return 0;
		}
	return err_set(e, EINVAL, "'%s' is not one of its values", v);
}

static int add_name(char list[OPTS_NAMES_MAX][OPTS_NAME_CAP], size_t *n, const char *v, struct err *e)
{
	if (*n >= OPTS_NAMES_MAX || v[0] == '\0' || str_copy(list[*n], OPTS_NAME_CAP, v) < 0)
		return err_set(e, EINVAL, "'%s': at most %d names of 1 to %d characters", v, OPTS_NAMES_MAX, OPTS_NAME_CAP - 1);
	(*n)++;
	return 0;
}

static int set(struct opts *o, const char *k, const char *v, struct err *e)
{
#define BOOL(key, def) if (streq(k, #key)) return get_bool(&o->key, v, e);
#define NUM(key, min, max, def) if (streq(k, #key)) return get_num(&o->key, v, min, max, e);
#define COLOUR(key, def) if (streq(k, #key)) return colour_parse(&o->key, v, e);
#define WORD(key, def, ...) if (streq(k, #key)) return get_word(&o->key, v, (const char *const[]){ __VA_ARGS__, NULL }, e);
#define CHORD(key, def) if (streq(k, #key)) return chord_parse(&o->key, v, e);
#define LIST(key) if (streq(k, #key)) return add_name(o->key, &o->n_##key, v, e);
#include "gui/guid/opts.def"
	return err_set(e, EINVAL, "there is no such option");
}

int opts_set(struct opts *o, const char *text, struct err *e)
{
	const char *eq = strchr(text, '=');
	char key[64];
	int r;

	if (!eq || (size_t)(eq - text) >= sizeof key)
		return err_set(e, EINVAL, "'%s': want KEY=VALUE", text);
	memcpy(key, text, (size_t)(eq - text));
	key[eq - text] = '\0';
	r = set(o, key, eq + 1, e);
	return r < 0 ? err_add(e, r, "option %s", key) : 0;
}
