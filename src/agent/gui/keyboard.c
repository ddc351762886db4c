/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The keyboard of the user, as dom0 writes it into QubesDB. In a machine that is booted to be saved QubesDB comes only with the clone: until then it is the
 * usual one, so that most clones have nothing to do.
 */
#include "agent/gui/run.h"
#include "base/log.h"
#include "base/str.h"
#include "qdb/client.h"

#define QDB_SOCKET "/run/qubes/qubesdb.sock"
#define KEY "/keyboard-layout"
#define OPEN_WAIT_MS 3600000
#define SETXKBMAP "/usr/bin/setxkbmap"
#define USUAL "us++"

extern char **environ;

static char now[256]; /* what the X server was told last */

static void apply(const char *layout)
{
	char value[256];
	const char *argv[RUN_KEYBOARD_ARGS];
	struct proc_spec p = { .path = SETXKBMAP, .argv = argv, .envp = (const char *const *)environ, .keep_stderr = true };
	struct err e = { 0 };

	if (streq(layout, now) || str_copy(value, sizeof value, layout) < 0)
		return;
	if (run_keyboard(value, argv) < 0)
		log_warn("QubesDB has no keyboard: value=%s", log_escs(layout));
	else if (proc_run(&p, &e) < 0)
		log_warn("setting the keyboard: %s", e.msg);
	/* well or not: what failed is not tried again and again */
	(void)!str_copy(now, sizeof now, layout);
}

static int follow(struct qdbc *db, struct err *e)
{
	char value[256], path[QDB_KEY_CAP];
	int r = qdbc_watch(db, KEY, true, e);

	while (r >= 0) {
		r = qdbc_read(db, KEY, value, sizeof value, e);
		if (r == 0)
			apply(value);
		else if (r == -ENOENT)
			r = 0;
		if (r >= 0)
			r = qdbc_wait_event(db, path, -1, e);
	}
	return r;
}

int keyboard_main(void)
{
	for (;;) {
		_cleanup_(qdbc_fini) struct qdbc db = { .fd = -1 };
		struct err e = { 0 };
		int r = qdbc_open(&db, QDB_SOCKET, NULL);

		if (r < 0 && now[0])
			r = qdbc_open_wait(&db, QDB_SOCKET, OPEN_WAIT_MS, &e);
		if (r >= 0)
			r = follow(&db, &e);
		if (!now[0])
			apply(USUAL);
		log_debug("QubesDB: %s", err_text(&e, r));
		/* it is started again, or the machine was cloned */
		sleep(1);
	}
}
