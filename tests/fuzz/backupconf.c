/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backup profiles: whatever is accepted has items and values within their limits, without controls of the line structure. */
#include "base/str.h"
#include "proto/backupconf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_list(const struct backup_list *l)
{
	if (l->n > BACKUP_ITEMS_MAX || (l->n && !l->given))
		abort();
	for (size_t i = 0; i < l->n; i++)
		if (!l->items[i][0] || strlen(l->items[i]) >= BACKUP_VALUE_MAX || strchr(l->items[i], '\n'))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct backup_conf c;
	struct err e = { 0 };
	int r = backup_conf_parse(&c, rd_mem(data, size), &e);

	if (r < 0 && !e.msg[0])
		abort();
	if (r == 0) {
		check_list(&c.include);
		check_list(&c.exclude);
	}
	backup_conf_fini(&c);
	return 0;
}
