/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the user may choose from when a rule says ask. */
#include "base/str.h"
#include "core/policy/eval.h"

/* A set of destinations over the table of qubes. */
struct set {
	bool *qube; /* by index, dom0 included */
	bool *dvm;  /* "@dispvm:NAME" by index of the template */
	bool dispvm; /* plain @dispvm */
	bool admin;
};

static void put_all(struct set *s, const struct pol_sysinfo *si, bool with_dom0, bool on)
{
	for (size_t i = 0; i < si->n; i++) {
		if (si->v[i]->dom0) {
			s->admin = with_dom0 ? on : s->admin;
			continue;
		}
		s->qube[i] = on;
		if (si->v[i]->template_for_dispvms)
			s->dvm[i] = on;
	}
	s->dispvm = on;
}

static bool member(const struct pol_qube *q, const struct pol_token *t)
{
	if (t->kind == POL_TYPE)
		return q->klass && streq(q->klass, t->value);
	return pol_qube_has_tag(q, t->value);
}

/* Adds (on) or removes what a token stands for. */
static void put(struct set *s, const struct pol_sysinfo *si, const struct pol_token *t, bool on)
{
	const struct pol_qube *q;

	switch (t->kind) {
	case POL_NAME:
		q = pol_sysinfo_find_h(si, t->value, t->hash);
		if (q && q->dom0)
			s->admin = on;
		else if (q)
			s->qube[q->index] = on;
		break;
	case POL_ADMIN:
		s->admin = on;
		break;
	case POL_ANY:
	case POL_WILDCARD:
		put_all(s, si, t->kind == POL_WILDCARD, on);
		break;
	case POL_DISPVM:
		s->dispvm = on;
		break;
	case POL_DISPVM_TEMPLATE:
		q = pol_sysinfo_find_h(si, t->value, t->hash);
		if (q && q->template_for_dispvms)
			s->dvm[q->index] = on;
		break;
	case POL_DISPVM_TAG:
		for (size_t i = 0; i < si->n; i++)
			if (si->v[i]->template_for_dispvms && pol_qube_has_tag(si->v[i], t->value))
				s->dvm[i] = on;
		break;
	case POL_TAG:
	case POL_TYPE:
		for (size_t i = 0; i < si->n; i++) {
			if (!member(si->v[i], t))
				continue;
			if (si->v[i]->dom0)
				s->admin = on;
			else
				s->qube[i] = on;
		}
		break;
	case POL_DEFAULT:
	case POL_KIND_N:
		break;
	}
}

static int name_cmp(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

void pol_names_free(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

static void emit(const struct set *s, const struct pol_sysinfo *si, bool autostart, char ***ret, size_t *ret_n)
{
	char **v = xcalloc(2 * si->n + 1, sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; i < si->n; i++) {
		const char *state = si->v[i]->power_state;

		if (s->qube[i] && (autostart || (state && streq(state, "Running"))))
			v[n++] = xstrdup(si->v[i]->name);
		if (s->dvm[i] && autostart)
			v[n++] = xasprintf("@dispvm:%s", si->v[i]->name);
	}
	if (s->admin)
		v[n++] = xstrdup("dom0");
	qsort(v, n, sizeof(*v), name_cmp);
	*ret = v;
	*ret_n = n;
}

void pol_choices(const struct policy *p, const struct pol_sysinfo *si, const struct pol_request *r, const struct pol_token *redirect,
		 bool autostart, char ***ret, size_t *ret_n)
{
	_cleanup_free_ bool *flags = xcalloc(2 * si->n + 1, sizeof(*flags));
	struct set s = { .qube = flags, .dvm = flags + si->n };

	if (redirect)
		put(&s, si, redirect, true);
	/* From the last rule to the first, so that an earlier rule overrides a later one. */
	for (size_t i = redirect ? 0 : p->n_rules; i-- > 0;) {
		const struct pol_rule *rule = &p->rules[i];

		if (pol_match_but_target(rule, r))
			put(&s, si, rule->redirect.text ? &rule->redirect : &rule->target, rule->action != POL_DENY);
	}
	if (s.dispvm && r->default_dvm)
		s.dvm[r->default_dvm->index] = true;
	if (!redirect) {
		if (r->source_dom0)
			s.admin = false;
		else if (r->source_qube)
			s.qube[r->source_qube->index] = false;
		for (size_t i = 0; i < si->n; i++)
			if (si->v[i]->internal)
				s.qube[i] = false;
	}
	emit(&s, si, autostart, ret, ret_n);
}
