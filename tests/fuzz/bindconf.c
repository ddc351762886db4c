/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bind-dirs files and /persist/ values: whatever is accepted is an absolute path that leads nowhere else. */
#include "agent/early/bindconf.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *path)
{
	if (path[0] != '/' || !path[1] || strstr(path, "/../") || str_ends(path, "/.."))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct binds b = { .n = 0 };
	struct persist p;
	struct err e = { 0 };
	char *text = xstrndup((const char *)data, size);

	if (binds_parse(rd_mem(data, size), &b, &e) == 0)
		for (size_t i = 0; i < b.n; i++)
			check(b.path[i]);
	binds_clear(&b);
	if (persist_parse(text, &p, &e) == 0)
		check(p.path);
	free(text);
	return 0;
}
