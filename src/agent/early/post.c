/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The late part: the user's start scripts and what only an ordinary system can run. */
#include <dirent.h>

#include "agent/early/early.h"
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
