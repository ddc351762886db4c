/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding programs. */
#include "agent/vmtools/find.h"

#include "base/str.h"

const char *find_beside(char out[PATH_MAX], const char *name, const char *installed)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	self[MAX(n, 0)] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	if (slash && str_printf(out, PATH_MAX, "%s/%s", self, name) == 0 && access(out, X_OK) == 0)
		return out;
	if (str_printf(out, PATH_MAX, "%s/%s", installed, name) < 0)
		abort();
	return out;
}
