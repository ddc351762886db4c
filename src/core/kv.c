/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sorted maps of text. */
#include "core/kv.h"

/* Index of key, or of the place where it belongs. */
static size_t find(const struct kvmap *m, const char *key, bool *found)
{
	size_t lo = 0, hi = m->n;

	*found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(m->v[mid].key, key);

		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const char *kv_get(const struct kvmap *m, const char *key)
{
	bool found;
	size_t i = find(m, key, &found);

	return found ? m->v[i].value : NULL;
}

static char *take_out(struct kvmap *m, size_t i)
{
	char *old = m->v[i].value;

	free(m->v[i].key);
	memmove(m->v + i, m->v + i + 1, (m->n - i - 1) * sizeof *m->v);
	m->n--;
	return old;
}

char *kv_replace(struct kvmap *m, const char *key, const char *value)
{
	bool found;
	size_t i = find(m, key, &found);
	char *old = NULL;

	if (found && !value)
		return take_out(m, i);
	if (!value)
		return NULL;
	if (found) {
		old = m->v[i].value;
		m->v[i].value = xstrdup(value);
		return old;
	}
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 4;
		m->v = xreallocarray(m->v, m->cap, sizeof *m->v);
	}
	memmove(m->v + i + 1, m->v + i, (m->n - i) * sizeof *m->v);
	m->v[i] = (struct kv){ xstrdup(key), xstrdup(value) };
	m->n++;
	return NULL;
}

void kv_set(struct kvmap *m, const char *key, const char *value)
{
	free(kv_replace(m, key, value));
}

void kv_clear(struct kvmap *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].key);
		free(m->v[i].value);
	}
	free(m->v);
	*m = (struct kvmap){ 0 };
}
