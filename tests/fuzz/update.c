/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines that an updated qube sends, and apt's and dnf's own. What comes out is printable and inside its bounds. */
#include "base/str.h"
#include "proto/update.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void printable(const char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd all = rd_mem(data, size), line;
	struct update_dnf_row row = { 0 };
	static struct update_line l;
	char text[300];
	unsigned permille = 0;
	bool download;

	while (rd_line(&all, &line)) {
		if (update_line_parse(line, &l) == 0) {
			printable(l.text);
			if ((l.kind == UPDATE_L_PROGRESS && l.n > 1000) || (l.kind == UPDATE_L_END && l.n > 255))
				abort();
		}
		if (update_apt_status(line, &download, &permille) && permille > 1000)
			abort();
		if (update_dnf_step(line, &permille) && permille > 1000)
			abort();
		if (update_dnf_row(&row, line)) {
			_cleanup_free_ char *change = xasprintf("change %s - %s", row.name, row.version);

			if (update_line_parse(rd_mem(change, strlen(change)), &l) < 0)
				abort();
		}
		if (update_apt_inst(line, text, sizeof text)) {
			_cleanup_free_ char *again = xasprintf("change %s", text);

			printable(text);
			if (update_line_parse(rd_mem(again, strlen(again)), &l) < 0)
				abort();
		}
	}
	return 0;
}
