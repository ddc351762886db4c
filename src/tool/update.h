/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-update in parts: one worker process a qube does the whole update of that one and tells how it goes; the tool itself shows it, and adds up.
 */
#ifndef TOOL_UPDATE_H
#define TOOL_UPDATE_H

#include "proto/update.h"
#include "tool/util.h"

enum {
	KEY_TARGETS = 480, KEY_SKIP, KEY_TEMPLATES, KEY_STANDALONES, KEY_FORCE, KEY_STALE, KEY_AVAILABLE, KEY_CONCURRENCY, KEY_DRY_RUN,
	KEY_NO_APPLY, KEY_LOG, KEY_SHOW_OUTPUT, KEY_NO_CLEANUP, KEY_SIGNAL_NONE, KEY_NO_PROGRESS, KEY_FORCE_UPGRADE, KEY_CHECK, KEY_WORKER, KEY_DISPLAY_NAME,
};

/* The rule by which dom0 itself fetches packages. */
#define UPDATE_SESSION_RULE "85-session-uplink.policy"
/* Set on a qube for the time of its update: while it is there, what the qube writes is not kept (docs/storage.md). */
#define FEATURE_UNFINISHED "update-unfinished"
/* The revision of root before the last update. */
#define FEATURE_BEFORE "update-before"

/* Both names of the tool. */
#define UPDATE_SUMMARY "bring templates and standalone qubes up to date"
#define UPDATE_ARGS "[QUBE...] | rollback TEMPLATE..."
#define UPDATE_DESC                                                                                                    \
	"Qubes that did not run are started for it and shut down afterwards. An update that\nfails, or is cut off, leaves such a qube as it was."
extern const struct tool_opt update_opts[];
extern const struct tool_sub update_subs[];
extern const struct tool_exit update_exits[];
int update_run(struct tool *t, int argc, char **argv);

struct target {
	char *name;
	bool done, started;
	unsigned permille;
	int code;	/* enum update_code */
	uint64_t count; /* packages */
	char phase[32], why[256];
};

/* update_pick chooses the qubes by the options and names; *ret in the order of the names, freed by targets_free. Gives 0 or an exit status (printed). */
int update_pick(struct tool *t, int argc, char **argv, struct target **ret, size_t *ret_n);
void targets_free(struct target *v, size_t n);
/* update_worker updates one qube and writes lines for update_show to stdout. */
int update_worker(struct tool *t, const char *name);
/* update_show runs the workers, so many at a time, and shows bars; false when it was interrupted. */
bool update_show(struct tool *t, struct target *v, size_t n, size_t at_once);
/* update_advise tells which qubes run on the state before, or restarts them as the options or the user at the terminal say. Gives how many could
   not be restarted. */
int update_advise(struct tool *t, const struct target *v, size_t n, struct json *j);
/* update_rollback brings root of templates back to the state before the last update. */
int update_rollback(struct tool *t, int argc, char **argv);
/* update_feature gives the value, false when there is none. update_set: NULL removes. */
bool update_feature(const char *qube, const char *name, char *out, size_t cap);
int update_set(const char *qube, const char *name, const char *value, struct err *e);
/* update_newest gives the newest revision of root; -ENOENT when there is none. */
int update_newest(const char *qube, char *out, size_t cap, struct err *e);

#endif
