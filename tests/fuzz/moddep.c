/* SPDX-License-Identifier: GPL-3.0-or-later */
/* modules.dep. First byte: length of the module's name, which follows. */
#include "base/str.h"
#include "template/moddep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct moddep_list l = { 0 };
	struct err e = { 0 };
	size_t n;
	char *name;

	if (size < 2)
		return 0;
	n = MIN((size_t)data[0] % 32, size - 1);
	name = xstrndup((const char *)data + 1, n);
	if (moddep_resolve((const char *)data + 1 + n, size - 1 - n, name, &l, &e) == 0)
		for (size_t i = 0; i < l.n; i++)
			if (l.path[i][0] == '/' || strstr(l.path[i], ".."))
				abort();
	moddep_free(&l);
	free(name);
	return 0;
}
