/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel command line, and file system signatures of the root disk. */
#include "agent/init/cmdline.h"
#include "agent/init/layout.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cmdline c = { .root = "" };
	struct err e = { 0 };

	if (cmdline_parse(rd_mem(data, size), &c, &e) == 0) {
		if (c.init[0] && c.init[0] != '/')
			abort();
		sink += strlen(c.root) + strlen(c.init);
	}
	sink += fs_detect(data, size) != NULL;
	return 0;
}
