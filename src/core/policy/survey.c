/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every possible call, evaluated by one or two policies: services by the rules that concern them, qubes by their classes. */
#include "base/str.h"
#include "core/policy/analyse.h"

static const char any_argument[] = "+any-other-argument";

struct group {
	struct pol_services services;
	char *key; /* the rules of all policies, without service and argument */
	size_t len;
	uint32_t hash;
};

struct survey {
	const struct pol_survey *s;
	struct group *groups;
	size_t n;
	uint64_t n_services; /* unchanged ones too */
};

static bool fits(const struct pol_rule *r, const struct pol_service *x)
{
	if (r->service && (!x->service || !streq(r->service, x->service)))
		return false;
	return !r->argument || (x->argument && streq(r->argument, x->argument));
}

/* The rules of p for a service, as a policy that borrows them. */
static void sub_policy(struct policy *ret, const struct policy *p, const struct pol_service *x)
{
	*ret = (struct policy){ 0 };
	for (size_t i = 0; i < p->n_rules; i++) {
		if (!fits(&p->rules[i], x))
			continue;
		if (ret->n_rules == ret->cap) {
			ret->cap = ret->cap ? ret->cap * 2 : 16;
			ret->rules = xreallocarray(ret->rules, ret->cap, sizeof(*ret->rules));
		}
		ret->rules[ret->n_rules++] = p->rules[i];
	}
}

static void put_rules(struct wr *w, const struct policy *p, const struct pol_service *x)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		struct pol_rule r = p->rules[i];

		if (!fits(&r, x))
			continue;
		r.service = r.argument = NULL;
		pol_rule_format(w, &r);
		wr_u8(w, '\n');
	}
}

/* Puts a service into the group of those with the same rules; none when two policies have the same rules for it. */
static void add_service(struct survey *y, const struct pol_service *x)
{
	struct wr w = wr_grow(1u << 28);
	size_t len, half, i = 0;
	struct group *g;
	uint32_t hash;
	char *key;

	put_rules(&w, y->s->p[0], x);
	half = w.len;
	wr_u8(&w, '\x1e');
	if (y->s->n_p == 2)
		put_rules(&w, y->s->p[1], x);
	key = wr_take(&w, &len);
	if (!key || (y->s->n_p == 2 && len == 2 * half + 1 && memcmp(key, key + half + 1, half) == 0)) {
		free(key);
		return;
	}
	hash = pol_hash(key);
	while (i < y->n && !(y->groups[i].hash == hash && y->groups[i].len == len && memcmp(y->groups[i].key, key, len) == 0))
		i++;
	if (i == y->n) {
		y->groups = xreallocarray(y->groups, y->n + 1, sizeof(*y->groups));
		y->groups[y->n++] = (struct group){ .key = key, .len = len, .hash = hash };
	} else {
		free(key);
	}
	g = &y->groups[i];
	g->services.v = xreallocarray(g->services.v, g->services.n + 1, sizeof(*g->services.v));
	g->services.v[g->services.n++] = *x;
}

static int service_cmp(const void *a, const void *b)
{
	const struct pol_service *x = a, *y = b;
	int r = strcmp(x->service ? x->service : "~", y->service ? y->service : "~");

	return r ? r : strcmp(x->argument ? x->argument : "~", y->argument ? y->argument : "~");
}

/* All services and arguments that the policies name, and "any other". */
static void services(struct survey *y)
{
	const struct pol_survey *s = y->s;
	struct pol_service *v = NULL;
	size_t n = 0, total = 0;

	for (size_t i = 0; i < s->n_p; i++)
		total += s->p[i]->n_rules;
	v = xcalloc(2 * total + 2, sizeof(*v));
	for (size_t i = 0; i < s->n_p; i++)
		for (size_t k = 0; k < s->p[i]->n_rules; k++) {
			const struct pol_rule *r = &s->p[i]->rules[k];

			if (!r->service || (s->service && !streq(r->service, s->service)))
				continue;
			v[n++] = (struct pol_service){ r->service, NULL };
			if (r->argument)
				v[n++] = (struct pol_service){ r->service, r->argument };
		}
	if (!s->service)
		v[n++] = (struct pol_service){ NULL, NULL };
	else if (n == 0)
		v[n++] = (struct pol_service){ s->service, NULL };
	qsort(v, n, sizeof(*v), service_cmp);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || service_cmp(&v[i], &v[i - 1]) != 0) {
			add_service(y, &v[i]);
			y->n_services++;
		}
	free(v);
}

/* One call, by all policies. */
static void one(struct survey *y, const struct group *g, const struct policy *sub, struct pol_case *c, const char *source)
{
	const struct pol_survey *s = y->s;
	struct pol_decision d[2];
	const struct pol_service *x = &g->services.v[0];
	const struct pol_query q = { .service = x->service ? x->service : "any-other-service", .argument = x->argument ? x->argument : any_argument,
				     .source = source, .target = c->request };

	for (size_t i = 0; i < s->n_p; i++)
		pol_evaluate(&d[i], &sub[i], s->si, &q);
	c->d = d;
	if (s->n_p == 1 || !pol_decisions_equal(&d[0], &d[1]))
		s->found(s->arg, c);
	for (size_t i = 0; i < s->n_p; i++)
		pol_decision_fini(&d[i]);
}

static void from_class(struct survey *y, const struct group *g, const struct policy *sub, size_t source)
{
	const struct pol_survey *s = y->s;
	const struct pol_classes *k = s->classes;
	const char *name = s->si->v[k->first[source]]->name;
	struct pol_case c = { .services = &g->services, .source = source };

	c.to = POL_TO_DEFAULT;
	c.request = "@default";
	one(y, g, sub, &c, name);
	c.to = POL_TO_DISPVM;
	c.request = "@dispvm";
	one(y, g, sub, &c, name);
	c.to = POL_TO_SELF;
	c.request = name;
	one(y, g, sub, &c, name);
	for (c.target = 0; c.target < k->n; c.target++) {
		const struct pol_qube *first = s->si->v[k->first[c.target]];
		_cleanup_free_ char *dvm = first->template_for_dispvms ? xasprintf("@dispvm:%s", first->name) : NULL;

		if (dvm) {
			c.to = POL_TO_DISPVM_OF;
			c.request = dvm;
			one(y, g, sub, &c, name);
		}
		if (c.target == source && k->second[source] == SIZE_MAX)
			continue;
		c.to = POL_TO_CLASS;
		c.request = c.target == source ? s->si->v[k->second[source]]->name : first->name;
		one(y, g, sub, &c, name);
	}
}

uint64_t pol_survey_run(const struct pol_survey *s)
{
	struct survey y = { .s = s };
	uint64_t targets = s->si->n + 2;

	for (size_t i = 0; i < s->si->n; i++)
		targets += s->si->v[i]->template_for_dispvms;
	services(&y);
	for (size_t i = 0; i < y.n; i++) {
		struct policy sub[2] = { 0 };

		for (size_t k = 0; k < s->n_p; k++)
			sub_policy(&sub[k], s->p[k], &y.groups[i].services.v[0]);
		for (size_t k = 0; k < s->classes->n; k++)
			from_class(&y, &y.groups[i], sub, k);
		if (s->done)
			s->done(s->arg, &y.groups[i].services);
		for (size_t k = 0; k < s->n_p; k++)
			free(sub[k].rules);
		free(y.groups[i].services.v);
		free(y.groups[i].key);
	}
	free(y.groups);
	return y.n_services * s->si->n * targets;
}
