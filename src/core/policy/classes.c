/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Classes of qubes. The key of a qube lists everything that a decision can depend on: which tokens of the policies fit it, and the fields of the
 * table that the evaluator reads. A qube that another one refers to by name is a class of its own.
 */
#include "base/str.h"
#include "core/policy/analyse.h"

/* The different tokens of all policies, for sources and for everything else. */
struct tokens {
	const struct pol_token **v;
	size_t n, cap;
	const struct pol_token **slots;
	size_t n_slots;
};

static void grow(struct tokens *x)
{
	size_t n = x->n_slots ? x->n_slots * 2 : 256;

	free(x->slots);
	x->slots = xcalloc(n, sizeof(*x->slots));
	x->n_slots = n;
	for (size_t i = 0; i < x->n; i++) {
		size_t at = (x->v[i]->hash + (uint32_t)x->v[i]->kind) & (n - 1);

		while (x->slots[at])
			at = (at + 1) & (n - 1);
		x->slots[at] = x->v[i];
	}
}

static void add(struct tokens *x, const struct pol_token *t)
{
	size_t at;

	if (!t->text)
		return;
	if (x->n * 2 >= x->n_slots)
		grow(x);
	at = (t->hash + (uint32_t)t->kind) & (x->n_slots - 1);
	for (; x->slots[at]; at = (at + 1) & (x->n_slots - 1))
		if (x->slots[at]->kind == t->kind && streq(x->slots[at]->text, t->text))
			return;
	x->slots[at] = t;
	if (x->n == x->cap) {
		x->cap = x->cap ? x->cap * 2 : 64;
		x->v = xreallocarray(x->v, x->cap, sizeof(*x->v));
	}
	x->v[x->n++] = t;
}

static void fini(struct tokens *x)
{
	free(x->v);
	free(x->slots);
}

static void put(struct wr *w, const char *s)
{
	wr_str(w, s ? s : "");
	wr_u8(w, '\n');
}

/* Does another qube's entry name this one? */
static bool referred(const struct pol_sysinfo *si, const struct pol_qube *q)
{
	for (size_t i = 0; i < si->n; i++) {
		const struct pol_qube *o = si->v[i];

		if ((o->default_dispvm && streq(o->default_dispvm, q->name)) || (o->relayvm && streq(o->relayvm, q->name)))
			return true;
	}
	return false;
}

static void key_of(struct wr *w, const struct pol_sysinfo *si, const struct pol_qube *q, const struct tokens *sources,
		   const struct tokens *others)
{
	_cleanup_free_ char *dvm = xasprintf("@dispvm:%s", q->name);
	struct pol_request r, of;

	wr_reset(w);
	if (q->dom0 || (q->klass && streq(q->klass, "RemoteVM")) || referred(si, q)) {
		put(w, q->name);
		return;
	}
	/* Fails only for a name that no request can spell. */
	if (!pol_request_raw(&r, si, q->name, q->name) || !pol_request_raw(&of, si, q->name, dvm)) {
		put(w, q->name);
		return;
	}
	for (size_t i = 0; i < sources->n; i++)
		wr_u8(w, pol_match_source(sources->v[i], &r));
	for (size_t i = 0; i < others->n; i++) {
		bool as_disposable = q->template_for_dispvms && pol_match_target(others->v[i], &of);

		wr_u8(w, (uint8_t)(pol_match_target(others->v[i], &r) + 2 * as_disposable));
	}
	put(w, q->klass);
	put(w, q->default_dispvm);
	put(w, q->power_state && streq(q->power_state, "Running") ? "r" : "");
	put(w, q->internal ? "i" : "");
	put(w, q->template_for_dispvms ? "t" : "");
}

void pol_classes_make(struct pol_classes *ret, const struct pol_sysinfo *si, const struct policy *const *p, size_t n_p)
{
	struct tokens sources = { 0 }, others = { 0 };
	struct pol_classes c = { .of = xcalloc(si->n + 1, sizeof(size_t)), .first = xcalloc(si->n + 1, sizeof(size_t)),
				 .second = xcalloc(si->n + 1, sizeof(size_t)) };
	char **keys = xcalloc(si->n + 1, sizeof(*keys));
	size_t *lens = xcalloc(si->n + 1, sizeof(*lens));

	for (size_t i = 0; i < n_p; i++)
		for (size_t k = 0; k < p[i]->n_rules; k++) {
			add(&sources, &p[i]->rules[k].source);
			add(&others, &p[i]->rules[k].target);
			add(&others, &p[i]->rules[k].redirect);
			add(&others, &p[i]->rules[k].default_to);
		}
	for (size_t i = 0; i < si->n; i++) {
		struct wr w = wr_grow(1u << 24);
		size_t len, k = 0;
		char *key;

		key_of(&w, si, si->v[i], &sources, &others);
		key = wr_take(&w, &len);
		while (k < c.n && !(lens[k] == len && memcmp(keys[k], key, len) == 0))
			k++;
		c.of[i] = k;
		if (k < c.n) {
			if (c.second[k] == SIZE_MAX)
				c.second[k] = i;
			free(key);
			continue;
		}
		keys[k] = key;
		lens[k] = len;
		c.first[k] = i;
		c.second[k] = SIZE_MAX;
		c.n++;
	}
	pol_names_free(keys, c.n);
	free(lens);
	fini(&sources);
	fini(&others);
	*ret = c;
}

void pol_classes_fini(struct pol_classes *c)
{
	free(c->of);
	free(c->first);
	free(c->second);
	*c = (struct pol_classes){ 0 };
}
