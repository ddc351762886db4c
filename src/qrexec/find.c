/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Search along $PATH. */
#include "qrexec/find.h"

#include "base/str.h"

int find_program(const char *name, char out[PATH_MAX], struct err *e)
{
	const char *list = getenv("PATH");

	if (strchr(name, '/')) {
		if (realpath(name, out))
			return 0;
		return err_errno(e, errno, "'%s'", name);
	}
	if (!list || !*list)
		list = "/usr/local/bin:/usr/bin:/bin";
	while (*list) {
		size_t n = strcspn(list, ":");

		if (*name && n && list[0] == '/' && str_printf(out, PATH_MAX, "%.*s/%s", (int)n, list, name) == 0 && access(out, X_OK) == 0)
			return 0;
		list += n + (list[n] == ':');
	}
	return err_set(e, ENOENT, "there is no program '%s'", name);
}
