/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small sorted maps of text: features, tags, options of pools. They own their texts. */
#ifndef CORE_KV_H
#define CORE_KV_H

#include "base/defs.h"

struct kv {
	char *key, *value;
};

struct kvmap {
	struct kv *v; /* sorted by strcmp of the keys */
	size_t n, cap;
};

/* kv_get gives the value, or NULL when the key is absent; valid until the map changes. */
const char *kv_get(const struct kvmap *m, const char *key);
/* kv_replace sets key to value (copied; NULL removes it) and gives the former value as memory of the caller, or NULL. */
char *kv_replace(struct kvmap *m, const char *key, const char *value);
/* kv_set is kv_replace without interest in the former value. */
void kv_set(struct kvmap *m, const char *key, const char *value);
void kv_clear(struct kvmap *m);

#endif
