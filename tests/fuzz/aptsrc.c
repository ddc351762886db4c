/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Package sources of the host. First byte: which of the two formats. What is written must be lines of harmless characters. */
#include "base/str.h"
#include "template/aptsrc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct apt_sources s = { .n = 0 };
	struct wr w = wr_grow(1 << 16);
	struct err e = { 0 };

	if (size > 0 && aptsrc_parse(data[0] & 1 ? "x.sources" : "x.list", rd_mem(data + 1, size - 1), &s, &e) == 0 &&
	    aptsrc_write(&s, "bookworm", &w, &e) > 0) {
		char *text = wr_take(&w, NULL);

		if (!text || !str_chars(text, " \n[]=:/.-_~+@"))
			abort();
		free(text);
	}
	wr_free(&w);
	return 0;
}
