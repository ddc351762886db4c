/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Single rules: how a rule misses a call, and which rule hides another. */
#include "core/policy/analyse.h"

#include "base/str.h"

unsigned pol_mismatch(const struct pol_rule *rule, const struct pol_request *r)
{
	unsigned m = 0;

	if (rule->service && !streq(rule->service, r->service))
		m |= POL_COL_SERVICE;
	if (rule->argument && !streq(rule->argument, r->argument))
		m |= POL_COL_ARGUMENT;
	if (!pol_match_source(&rule->source, r))
		m |= POL_COL_SOURCE;
	if (!pol_match_target(&rule->target, r))
		m |= POL_COL_TARGET;
	return m;
}

size_t pol_near_misses(const struct policy *p, const struct pol_request *r, size_t end, struct pol_near **ret)
{
	struct pol_near *v = NULL;
	size_t n = 0;

	for (size_t i = 0; i < p->n_rules && i < end; i++) {
		unsigned m = pol_mismatch(&p->rules[i], r);

		if (m != POL_COL_ARGUMENT && m != POL_COL_SOURCE && m != POL_COL_TARGET)
			continue;
		v = xreallocarray(v, n + 1, sizeof(*v));
		v[n++] = (struct pol_near){ i, m };
	}
	*ret = v;
	return n;
}

bool pol_token_covers(const struct pol_token *a, const struct pol_token *b)
{
	if (a->kind == POL_WILDCARD)
		return true;
	/* A tag or a class that dom0 has matches dom0 neither as source nor as target. */
	if (a->kind == POL_ANY)
		return b->kind != POL_WILDCARD && b->kind != POL_ADMIN;
	return a->kind == b->kind && streq(a->text, b->text);
}

bool pol_rule_covers(const struct pol_rule *a, const struct pol_rule *b)
{
	if (a->service && (!b->service || !streq(a->service, b->service)))
		return false;
	if (a->argument && (!b->argument || !streq(a->argument, b->argument)))
		return false;
	return pol_token_covers(&a->source, &b->source) && pol_token_covers(&a->target, &b->target);
}

static const char *user_of(const struct pol_decision *d)
{
	return d->user && d->user[0] ? d->user : "DEFAULT";
}

static bool text_equal(const char *a, const char *b)
{
	return streq(a ? a : "", b ? b : "");
}

bool pol_decisions_equal(const struct pol_decision *a, const struct pol_decision *b)
{
	bool refused = a->outcome != POL_O_ALLOW && a->outcome != POL_O_ASK;

	if (refused)
		return b->outcome != POL_O_ALLOW && b->outcome != POL_O_ASK && a->notify == b->notify;
	if (a->outcome != b->outcome || a->notify != b->notify || a->autostart != b->autostart || a->keep != b->keep || !streq(user_of(a), user_of(b)))
		return false;
	if (a->outcome == POL_O_ALLOW)
		return streq(a->target, b->target) && a->relay == b->relay && text_equal(a->service, b->service);
	if (a->n_choices != b->n_choices || !streq(a->default_target, b->default_target))
		return false;
	for (size_t i = 0; i < a->n_choices; i++)
		if (!streq(a->choices[i], b->choices[i]))
			return false;
	return true;
}
