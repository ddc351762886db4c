/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options of guid as a table (opts.def); the command line is trusted, errors name the option. */
#ifndef GUI_GUID_OPTS_H
#define GUI_GUID_OPTS_H

#include "base/err.h"

#define OPTS_NAMES_MAX 10
#define OPTS_NAME_CAP 64

enum { OR_ALLOW, OR_DISABLED, OR_DISABLED_TOO };
#define TRAY_TINT_MAX 4u /* trayicon_mode up to here: tint */

/* A key with modifiers: masks of the X protocol, and the name of the keysym. mods = 0 and keysym = "": never. */
struct chord {
	uint32_t mods;
	char key[32];
};

struct opts {
#define BOOL(key, def) bool key;
#define NUM(key, min, max, def) uint32_t key;
#define COLOUR(key, def) uint32_t key;
#define WORD(key, def, ...) unsigned key;
#define CHORD(key, def) struct chord key;
#define LIST(key) char key[OPTS_NAMES_MAX][OPTS_NAME_CAP]; size_t n_##key;
#include "gui/guid/opts.def"
#undef BOOL
#undef NUM
#undef COLOUR
#undef WORD
#undef CHORD
#undef LIST
};

void opts_default(struct opts *o);
/* opts_set takes "key=value". -EINVAL with the reason. */
int opts_set(struct opts *o, const char *text, struct err *e) _must_check_;
/* chord_parse reads Ctrl-Shift-c; modifiers Shift, Ctrl, Alt, Mod1 … Mod4 in any order; "none" and "disable" are no chord. */
int chord_parse(struct chord *ret, const char *text, struct err *e) _must_check_;
/* colour_parse reads 0xRRGGBB, #RRGGBB, "white" or "black". */
int colour_parse(uint32_t *ret, const char *text, struct err *e) _must_check_;

#endif
