/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QubesDB for the early configuration: all of it, read at once. */
#include "agent/early/early.h"
#include "base/str.h"

#define WAIT_MS 60000

static int take(void *arg, const char *key, const char *value)
{
	struct early *q = arg;
	struct early_entry *x;

	q->entries = xreallocarray(q->entries, q->n_entries + 1, sizeof *q->entries);
	x = &q->entries[q->n_entries];
	if (str_copy(x->key, sizeof x->key, key) < 0)
		return -ENAMETOOLONG;
	x->value = xstrdup(value);
	q->n_entries++;
	return 0;
}

void early_unload(struct early *q)
{
	for (size_t i = 0; i < q->n_entries; i++)
		free(q->entries[i].value);
	free(STEAL_PTR(q->entries));
	q->n_entries = 0;
}

int early_load(struct early *q, struct err *e)
{
	int r;

	early_unload(q);
	r = qdbc_each(&q->db, "/", true, take, q, e);
	return r == -ENOENT ? 0 : r;
}

int early_read(const struct early *q, const char *key, char *ret, size_t cap, struct err *e)
{
	for (size_t i = 0; i < q->n_entries; i++) {
		if (!streq(q->entries[i].key, key))
			continue;
		return str_copy(ret, cap, q->entries[i].value) < 0 ? err_set(e, EMSGSIZE, "the value of %s is too long", key) : 0;
	}
	return -ENOENT;
}

int early_wait(struct early *q, const char *key, char *ret, size_t cap, struct err *e)
{
	int r = early_read(q, key, ret, cap, e);

	return r == -ENOENT ? qdbc_wait_key(&q->db, key, ret, cap, WAIT_MS, e) : r;
}
