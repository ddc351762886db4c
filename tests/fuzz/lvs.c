/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What lvs prints: rows of volumes and of a pool. What is accepted has a name without blanks at its ends, and no share above the whole. */
#include "base/str.h"
#include "storage/lvm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool ended(const char *s)
{
	size_t n = strlen(s);

	return n == 0 || s[0] == ' ' || s[n - 1] == ' ';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd all = rd_mem(data, size), line;

	while (rd_line(&all, &line)) {
		struct lvm_name base = { "vm-a-private" };
		struct rd again = line;
		struct lvm_pool p;
		struct lvm_lv v;
		uint64_t when;

		if (lvm_lv_parse(&line, &v) == 0) {
			if (ended(v.name) || !v.there || v.used > v.size || !v.extent)
				abort();
			(void)lvm_classify(&base, v.name, &when);
			(void)lvm_for_a_run(v.name);
		}
		if (lvm_pool_parse(&again, &p) == 0 && (p.used > p.size || p.meta_used > p.meta_size))
			abort();
	}
	return 0;
}
