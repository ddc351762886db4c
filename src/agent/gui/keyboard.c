/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keyboard of the user, as dom0 writes it into QubesDB. In a machine that is booted to be saved QubesDB comes only with the clone: then this waits. */
#include "agent/gui/run.h"
#include "base/log.h"
#include "qdb/client.h"

#define QDB_SOCKET "/run/qubes/qubesdb.sock"
#define KEY "/keyboard-layout"
#define OPEN_WAIT_MS 3600000
#define SETXKBMAP "/usr/bin/setxkbmap"

extern char **environ;

static void apply(char *value)
{
	const char *argv[13];
	struct proc_spec p = { .path = SETXKBMAP, .argv = argv, .envp = (const char *const *)environ, .keep_stderr = true };
	struct err e = { 0 };

	if (run_keyboard(value, argv) < 0)
		log_warn("QubesDB has no keyboard: value=%s", log_escs(value));
	else if (proc_run(&p, &e) < 0)
		log_warn("setting the keyboard: %s", e.msg);
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
		int r = qdbc_open_wait(&db, QDB_SOCKET, OPEN_WAIT_MS, &e);

		if (r >= 0)
			r = follow(&db, &e);
		log_debug("QubesDB: %s", err_text(&e, r));
		/* it is started again, or the machine was cloned */
		sleep(1);
	}
}
