/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes.xml and firewall.xml: whatever comes in, what comes out is JSON of one of the two kinds. */
#include <jansson.h>

#include "base/str.h"
#include "store/qubesxml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_wr_ struct wr w = wr_grow(64u << 20);
	struct err e = { 0 };
	json_t *j;

	if (qubesxml_json(&w, rd_mem(data, size), &e) < 0) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	j = json_loadb((const char *)w.buf, w.len, JSON_REJECT_DUPLICATES, NULL);
	if (!j || !json_is_string(json_object_get(j, "kind")))
		abort();
	json_decref(j);
	return 0;
}
