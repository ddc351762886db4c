/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Facts of an operating system from its own files. */
#include "proto/osfacts.h"

#include "base/str.h"

bool osfacts_value(struct rd r, const char *key, char *out, size_t cap)
{
	size_t k = strlen(key);
	struct rd line;

	while (rd_line(&r, &line)) {
		char row[300], *v = row + k + 1;
		size_t n;

		if (rd_left(&line) >= sizeof row)
			continue;
		rd_text(&line, row, sizeof row);
		if (!rd_ok(&line) || !str_starts(row, key) || row[k] != '=')
			continue;
		n = strlen(v);
		if (n >= 2 && (v[0] == '"' || v[0] == '\'') && v[n - 1] == v[0]) {
			v[n - 1] = '\0';
			v++;
		}
		return str_copy(out, cap, v) == 0;
	}
	return false;
}

bool osfacts_installed(struct rd r, const char *package)
{
	bool this_one = false;
	struct rd line;

	while (rd_line(&r, &line)) {
		char row[200];

		if (rd_left(&line) == 0)
			this_one = false;
		if (rd_left(&line) >= sizeof row)
			continue;
		rd_text(&line, row, sizeof row);
		if (str_starts(row, "Package: ")) {
			size_t n = strlen(package);

			/* Libraries of Debian 13 have a longer name. */
			this_one = strncmp(row + 9, package, n) == 0 && (row[9 + n] == '\0' || streq(row + 9 + n, "t64"));
		} else if (this_one && str_starts(row, "Status: ") && str_ends(row, " installed")) {
			return true;
		}
	}
	return false;
}
