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

/* The rules of one policy for a group of services, and the number of each one's text: equal rules of both policies have equal numbers. */
struct part {
	struct policy rules;
	uint32_t *ids;
};

/* What one class of sources sees: the rules that fit it, and the questions that came up already. */
struct view {
	const struct survey *y;
	const struct group *g;
	const char *source; /* name */
	struct policy rules[2]; /* borrowed */
	struct pol_decision *asked[2]; /* by rule; outcome POL_O_N = not evaluated yet */
};

static struct pol_query query(const struct view *v, const char *target)
{
	const struct pol_service *x = &v->g->services.v[0];

	return (struct pol_query){ .service = x->service ? x->service : "any-other-service", .argument = x->argument ? x->argument : any_argument,
				   .source = v->source, .target = target };
}

static const struct pol_rule *first_match(const struct policy *p, const struct pol_request *r)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (pol_match_target(&p->rules[i].target, r))
			return &p->rules[i];
	return NULL;
}

/* Decides as pol_evaluate does. What a question offers does not depend on the target that was asked for, so each is made up once a source;
   such a decision is borrowed. Gives whether *ret is the caller's. */
static bool decide(struct view *v, size_t i, const struct pol_query *q, const struct pol_request *r, struct pol_decision *ret)
{
	const struct pol_rule *rule = first_match(&v->rules[i], r);
	struct pol_decision *known = rule && rule->action == POL_ASK ? &v->asked[i][rule - v->rules[i].rules] : NULL;

	if (!known) {
		pol_evaluate(ret, &v->rules[i], v->y->s->si, q);
		return true;
	}
	if (known->outcome == POL_O_N)
		pol_evaluate(known, &v->rules[i], v->y->s->si, q);
	*ret = *known;
	memcpy(ret->requested_target, r->target, sizeof ret->requested_target);
	return false;
}

/* One call, by all policies. */
static void one(struct view *v, struct pol_case *c)
{
	const struct pol_survey *s = v->y->s;
	const struct pol_query q = query(v, c->request);
	struct pol_decision d[2];
	struct pol_request r;
	bool own[2] = { false, false };

	/* A target that no policy accepts is refused by each. */
	if (pol_request_init(&r, s->si, &q, NULL) != POL_O_ALLOW)
		return;
	for (size_t i = 0; i < s->n_p; i++)
		own[i] = decide(v, i, &q, &r, &d[i]);
	c->d = d;
	if (s->n_p == 1 || !pol_decisions_equal(&d[0], &d[1]))
		s->found(s->arg, c);
	for (size_t i = 0; i < s->n_p; i++)
		if (own[i])
			pol_decision_fini(&d[i]);
}

static void all_targets(struct view *v, size_t source)
{
	const struct pol_survey *s = v->y->s;
	const struct pol_classes *k = s->classes;
	struct pol_case c = { .services = &v->g->services, .source = source };

	c.to = POL_TO_DEFAULT;
	c.request = "@default";
	one(v, &c);
	c.to = POL_TO_DISPVM;
	c.request = "@dispvm";
	one(v, &c);
	c.to = POL_TO_SELF;
	c.request = v->source;
	one(v, &c);
	for (c.target = 0; c.target < k->n; c.target++) {
		const struct pol_qube *first = s->si->v[k->first[c.target]];
		_cleanup_free_ char *dvm = first->template_for_dispvms ? xasprintf("@dispvm:%s", first->name) : NULL;

		if (dvm) {
			c.to = POL_TO_DISPVM_OF;
			c.request = dvm;
			one(v, &c);
		}
		if (c.target == source && k->second[source] == SIZE_MAX)
			continue;
		c.to = POL_TO_CLASS;
		c.request = c.target == source ? s->si->v[k->second[source]]->name : first->name;
		one(v, &c);
	}
}

/* Takes the rules that fit the source; *ids their numbers. */
static size_t take(struct policy *ret, uint32_t *ids, const struct part *from, const struct pol_request *r)
{
	size_t n = 0;

	ret->rules = xcalloc(from->rules.n_rules + 1, sizeof(*ret->rules));
	for (size_t i = 0; i < from->rules.n_rules; i++)
		if (pol_match_source(&from->rules.rules[i].source, r)) {
			ids[n] = from->ids[i];
			ret->rules[n++] = from->rules.rules[i];
		}
	ret->n_rules = n;
	return n;
}

static void from_class(const struct survey *y, const struct group *g, const struct part *parts, size_t source)
{
	const struct pol_survey *s = y->s;
	struct view v = { .y = y, .g = g, .source = s->si->v[s->classes->first[source]]->name };
	const struct pol_query q = query(&v, "@default");
	struct pol_request r;
	uint32_t *ids[2] = { NULL, NULL };
	bool standing = pol_request_init(&r, s->si, &q, NULL) == POL_O_ALLOW;
	size_t n[2] = { 0, 0 };

	for (size_t i = 0; i < s->n_p && standing; i++) {
		ids[i] = xcalloc(parts[i].rules.n_rules + 1, sizeof(**ids));
		n[i] = take(&v.rules[i], ids[i], &parts[i], &r);
		v.asked[i] = xcalloc(n[i] + 1, sizeof(**v.asked));
		for (size_t k = 0; k < n[i]; k++)
			v.asked[i][k].outcome = POL_O_N;
	}
	/* With the same rules for this source nothing can differ. */
	if (standing && !(s->n_p == 2 && n[0] == n[1] && memcmp(ids[0], ids[1], n[0] * sizeof(**ids)) == 0))
		all_targets(&v, source);
	for (size_t i = 0; i < s->n_p; i++) {
		for (size_t k = 0; k < n[i]; k++)
			pol_decision_fini(&v.asked[i][k]);
		free(v.asked[i]);
		free(v.rules[i].rules);
		free(ids[i]);
	}
}

/* Numbers the rules of all parts by their texts. */
static void number(struct part *parts, size_t n_parts)
{
	size_t total = parts[0].rules.n_rules + (n_parts == 2 ? parts[1].rules.n_rules : 0), n = 0;
	struct text {
		char *s;
		uint32_t hash;
	} *texts = xcalloc(total + 1, sizeof(*texts));

	for (size_t i = 0; i < n_parts; i++) {
		parts[i].ids = xcalloc(parts[i].rules.n_rules + 1, sizeof(*parts[i].ids));
		for (size_t k = 0; k < parts[i].rules.n_rules; k++) {
			struct pol_rule r = parts[i].rules.rules[k];
			struct wr w = wr_grow(1u << 24);
			uint32_t hash;
			char *text;
			size_t at = 0;

			/* Within a group the services are the same but for their names. */
			r.service = r.argument = NULL;
			pol_rule_format(&w, &r);
			text = wr_take(&w, NULL);
			text = text ? text : xstrdup("");
			hash = pol_hash(text);
			while (at < n && !(texts[at].hash == hash && streq(texts[at].s, text)))
				at++;
			if (at == n)
				texts[n++] = (struct text){ text, hash };
			else
				free(text);
			parts[i].ids[k] = (uint32_t)at;
		}
	}
	for (size_t i = 0; i < n; i++)
		free(texts[i].s);
	free(texts);
}

static void group_free(struct group *g, struct part *parts, size_t n_parts)
{
	for (size_t i = 0; i < n_parts; i++) {
		free(parts[i].rules.rules);
		free(parts[i].ids);
	}
	free(g->services.v);
	free(g->key);
}

uint64_t pol_survey_run(const struct pol_survey *s)
{
	struct survey y = { .s = s };
	uint64_t targets = s->si->n + 2;

	for (size_t i = 0; i < s->si->n; i++)
		targets += s->si->v[i]->template_for_dispvms;
	services(&y);
	for (size_t i = 0; i < y.n; i++) {
		struct part parts[2] = { 0 };

		for (size_t k = 0; k < s->n_p; k++)
			sub_policy(&parts[k].rules, s->p[k], &y.groups[i].services.v[0]);
		number(parts, s->n_p);
		for (size_t k = 0; k < s->classes->n; k++)
			from_class(&y, &y.groups[i], parts, k);
		if (s->done)
			s->done(s->arg, &y.groups[i].services);
		group_free(&y.groups[i], parts, s->n_p);
	}
	free(y.groups);
	return y.n_services * s->si->n * targets;
}
