/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The late part: the user's start scripts and what only an ordinary system can run. */
#include <dirent.h>
#include <fcntl.h>

#include "agent/early/early.h"
#include "base/fsx.h"
#include "base/log.h"
#include "base/str.h"

#define RC_DIR RW "/config/rc.local.d"

static void run_script(const char *path)
{
	const char *const argv[] = { path, NULL };
	struct err e = { 0 };
	int r;

	if (access(path, X_OK) < 0)
		return;
	r = run_program(argv, &e);
	if (r < 0)
		log_warn("%s", err_text(&e, r));
}

static int is_rc(const struct dirent *ent)
{
	return str_ends(ent->d_name, ".rc") && ent->d_name[0] != '.';
}

bool script_is_empty(struct rd r)
{
	struct rd line;

	while (rd_line(&r, &line)) {
		while (rd_left(&line) > 0 && (*line.p == ' ' || *line.p == '\t'))
			rd_skip(&line, 1);
		if (rd_left(&line) > 0 && *line.p != '#')
			return false;
	}
	return true;
}

/* As it comes into a new volume rc.local is nothing but comments: not worth a shell. */
static bool rc_local_wanted(void)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (access(RW "/config/rc.local", X_OK) < 0)
		return false;
	return fs_read(AT_FDCWD, RW "/config/rc.local", 65536, &text, &len, NULL) < 0 || !script_is_empty(rd_mem(text, len));
}

bool early_post_wanted(void)
{
	struct dirent **list = NULL;
	int n;

	if (early_service("custom-persist"))
		return false;
	if (rc_local_wanted())
		return true;
	n = scandir(RC_DIR, &list, is_rc, alphasort);
	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n >= 0)
		free(list);
	return n > 0;
}

int early_post(void)
{
	struct dirent **list = NULL;
	int n;

	/* With custom-persist, and in a template, no script of /rw runs: it may come from a
	   compromised session. */
	if (early_service("custom-persist"))
		return 0;
	n = scandir(RC_DIR, &list, is_rc, alphasort);
	for (int i = 0; i < n; i++) {
		char path[512];

		if (str_printf(path, sizeof path, RC_DIR "/%s", list[i]->d_name) == 0)
			run_script(path);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	run_script(RW "/config/rc.local");
	return 0;
}
