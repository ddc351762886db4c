/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-prefs and qubes-prefs: the same tool for the properties of a qube and of the system. */
#ifndef TOOL_PREFS_H
#define TOOL_PREFS_H

#include "tool/util.h"

enum { KEY_HIDE_DEFAULT = 320, KEY_HELP_PROPS };

#define PREFS_OPTS                                                                                             \
	{ 'D', "default", NULL, "set the property back to its default", 0, W_ANY },                            \
	{ 'D', "delete", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },                                          \
	{ 'D', "unset", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },                                           \
	{ 'g', "get", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },                                   \
	{ 's', "set", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },                                   \
	{ 'l', "list", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },                                  \
	{ KEY_HIDE_DEFAULT, "hide-default", NULL, "list only what differs from its default", 0, W_ANY },       \
	{ KEY_HELP_PROPS, "help-properties", NULL, "explain every property, then end", 0, W_ANY }, OPT_JSON

/* prefs_run acts on qube (NULL = the system); argv: [PROPERTY [VALUE]]. */
int prefs_run(struct tool *t, const char *qube, int argc, char **argv);
/* prop_set sets or, with value NULL, resets a property. "none" means no qube for the properties that name one. */
int prop_set(const char *qube, const char *prop, const char *value, struct err *e);

#endif
