/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TOML: what is read, written out again and read again, is the same tree. */
#include "base/str.h"
#include "proto/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct wr *w, const struct toml *t, bool top)
{
	if (t->type == TOML_STRING) {
		toml_put_text(w, t->s);
	} else if (t->type == TOML_INT) {
		wr_printf(w, "%lld", (long long)t->i);
	} else if (t->type == TOML_BOOL) {
		wr_str(w, t->b ? "true" : "false");
	} else if (t->type == TOML_ARRAY) {
		wr_str(w, "[");
		for (const struct toml *c = t->child; c; c = c->next) {
			put(w, c, false);
			wr_str(w, ",");
		}
		wr_str(w, "]");
	} else {
		wr_str(w, top ? "" : "{");
		for (const struct toml *c = t->child; c; c = c->next) {
			toml_put_key(w, c->key);
			wr_str(w, "=");
			put(w, c, false);
			wr_str(w, top ? "\n" : c->next ? "," : "");
		}
		wr_str(w, top ? "" : "}");
	}
}

static bool same(const struct toml *a, const struct toml *b)
{
	const struct toml *x = a->child, *y = b->child;

	if (a->type != b->type || a->i != b->i || a->b != b->b || (a->s && !streq(a->s, b->s)) || (a->key && !streq(a->key, b->key)))
		return false;
	for (; x && y; x = x->next, y = y->next)
		if (!same(x, y))
			return false;
	return !x && !y;
}

/* Headers and dotted keys nest differently from values, so an odd file may not fit the depth of values. */
static unsigned depth(const struct toml *t)
{
	unsigned max = 0;

	for (const struct toml *c = t->child; c; c = c->next) {
		unsigned d = depth(c);

		max = d > max ? d : max;
	}
	return max + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(toml_freep) struct toml *a = NULL, *b = NULL;
	_cleanup_wr_ struct wr w = wr_grow(64u << 20);
	struct err e = { 0 };

	if (toml_parse(&a, rd_mem(data, size), &e) < 0)
		return 0;
	put(&w, a, true);
	if (!wr_ok(&w) || w.len > TOML_MAX || depth(a) >= TOML_DEPTH_MAX)
		return 0;
	if (toml_parse(&b, rd_mem(w.buf, w.len), &e) < 0 || !same(a, b))
		abort();
	return 0;
}
