/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What several verbs share: sets of named qubes, many calls at once, labels, the hint about emulation. */
#ifndef TOOL_UTIL_H
#define TOOL_UTIL_H

#include "client/answers.h"
#include "tool/tool.h"

/* Rows for the option table of a verb that takes [--all] [--exclude NAME] NAME... */
#define KEY_EXCLUDE 300
#define KEY_ALL 301
#define KEY_JSON 302
#define OPTS_NAMES                                                                                  \
	{ KEY_ALL, "all", NULL, "all qubes but dom0", 0, W_ANY },                                   \
	{ KEY_EXCLUDE, "exclude", "NAME", "with --all: leave this one out (repeatable)", 0, W_QUBE }
#define OPT_JSON { KEY_JSON, "json", NULL, "print JSON", 0, W_ANY }

/* tool_qubes resolves the names (or --all and --exclude) against the list of qubes: picked[i] says whether all->v[i] is meant,
   in the list's order. Prints and gives a positive exit status when a name does not exist, none is given, or the call fails; 0 otherwise.
   *picked is the caller's to free; all to adm_qubes_fini. */
int tool_qubes(const struct tool *t, int argc, char **argv, struct adm_qubes *all, bool **picked);
/* tool_qube checks that one qube exists: 0, or an exit status (printed). */
int tool_qube(const struct tool *t, const char *name);

/* One call of many that are under way together. */
struct bulk_call {
	const char *dest, *method, *arg, *payload; /* arg, payload may be NULL */
	struct adm_reply rep;			   /* filled when r == 0 */
	int r;
	struct err e;
	void *user;
	int fd; /* inside */
};
/* calls_run makes all calls, at most 64 at a time, and calls done (may be NULL) for each in order of the array as it has ended. */
void calls_run(struct bulk_call *calls, size_t n, void (*done)(struct bulk_call *c, void *arg), void *arg);
void calls_fini(struct bulk_call *calls, size_t n);

/* label_rgb gives the colour of a label, 0xRRGGBB; the eight stock labels without a call, others by admin.label.Get. */
int label_rgb(const char *label, uint32_t *ret);
/* prop_get reads one property's value into out. */
int prop_get(const char *qube, const char *prop, char *out, size_t cap, struct err *e);
/* emulated_here is true when the daemon runs qubes on the emulator: their wall is not a hardware wall. */
bool emulated_here(void);
#define EMULATED_TEXT "emulated, not isolated"
/* read_stdin / read_file give a whole file as NUL-terminated memory of the caller, at most max bytes. */
int read_all(int fd, size_t max, char **ret, size_t *ret_len);
/* tool_editor runs the user's editor ($VISUAL, $EDITOR, or vi) on a file: 0, or an exit status (printed). */
int tool_editor(const struct tool *t, const char *path);
/* cmp_names orders pointers to strings. */
int cmp_names(const void *a, const void *b);

#endif
