/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What both programs of this folder begin with. */
#include "gui/manager/manager.h"

#include <locale.h>

#include "base/log.h"
#include "base/paths.h"

bool manager_begin(const char *program, const char *root)
{
	struct err e = { 0 };

	log_init(program, NULL, -1);
	setlocale(LC_ALL, "");
	textdomain("bulkhead");
	if (paths_init(root, &e) < 0) {
		log_error("%s", e.msg);
		return false;
	}
	/* The tools that are started work on the same instance. */
	if (root)
		setenv("QUBES_ROOT", paths_root(), 1);
	if (gtk_init_check(NULL, NULL))
		return true;
	log_error("no display ($DISPLAY): qvm-ls and the other tools work without one");
	return false;
}
