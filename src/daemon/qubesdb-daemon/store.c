/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Entries of a QubesDB. */
#include "daemon/qubesdb-daemon/store.h"

#include "base/str.h"

static size_t weight(const struct entry *x)
{
	return QDB_HDR_LEN + x->len;
}

static void entry_free(struct entry *x)
{
	explicit_bzero(x, sizeof *x + x->len + 1);
	free(x);
}

void store_fini(struct store *s)
{
	for (size_t i = 0; i < s->n; i++)
		entry_free(s->v[i]);
	free(s->v);
	*s = (struct store){ 0 };
}

size_t store_find(const struct store *s, const char *key)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(s->v[mid]->key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct entry *store_get(const struct store *s, const char *key)
{
	size_t i = store_find(s, key);

	return i < s->n && streq(s->v[i]->key, key) ? s->v[i] : NULL;
}

static struct entry *entry_new(const char *key, const void *value, size_t len)
{
	struct entry *x = calloc(1, sizeof *x + len + 1);

	if (!x)
		return NULL;
	if (str_copy(x->key, sizeof x->key, key) < 0) {
		free(x);
		return NULL;
	}
	x->len = (uint32_t)len;
	if (len)
		memcpy(x->value, value, len);
	return x;
}

static bool make_room(struct store *s)
{
	size_t cap = s->cap ? s->cap * 2 : 64;
	struct entry **v;

	if (s->n < s->cap)
		return true;
	v = reallocarray(s->v, cap, sizeof(*v));
	if (!v)
		return false;
	s->v = v;
	s->cap = cap;
	return true;
}

struct entry *store_set(struct store *s, const char *key, const void *value, size_t len, bool *ret_changed)
{
	size_t i = store_find(s, key), old = 0;
	bool there = i < s->n && streq(s->v[i]->key, key);
	struct entry *x;

	if (there) {
		x = s->v[i];
		if (ret_changed)
			*ret_changed = x->len != len || (len && memcmp(x->value, value, len) != 0);
		old = weight(x);
	} else if (ret_changed) {
		*ret_changed = true;
	}
	if (s->bytes - old + QDB_HDR_LEN + len > STORE_BYTES_MAX || (!there && !make_room(s)))
		return NULL;
	x = entry_new(key, value, len);
	if (!x)
		return NULL;
	if (there) {
		x->gen = s->v[i]->gen;
		x->own = s->v[i]->own;
		x->unsent = s->v[i]->unsent;
		entry_free(s->v[i]);
	} else {
		memmove(&s->v[i + 1], &s->v[i], (s->n - i) * sizeof(*s->v));
		s->n++;
	}
	s->v[i] = x;
	s->bytes = s->bytes - old + weight(x);
	return x;
}

void store_rm_at(struct store *s, size_t i)
{
	s->bytes -= weight(s->v[i]);
	entry_free(s->v[i]);
	memmove(&s->v[i], &s->v[i + 1], (s->n - i - 1) * sizeof(*s->v));
	s->n--;
}
