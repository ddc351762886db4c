/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines of the decision log. */
#include "policyfile/declog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct declog_entry x;

	if (declog_parse(&x, (const char *)data, size, NULL) < 0)
		return 0;
	for (size_t i = 0; i < DL_N; i++)
		if (!x.field[i])
			abort();
	if (!x.field[DL_SOURCE][0] || !x.field[DL_DECISION][0])
		abort();
	declog_fini(&x);
	return 0;
}
