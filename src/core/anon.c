/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rules of anonymous qubes. */
#include "core/anon.h"

#include "base/str.h"
#include "core/core.h"

static bool inherits(const struct core *c, const struct qube *q, const char *feature)
{
	const char *v = qube_feature_inherited(c, q, feature);

	return v && v[0];
}

static bool can_be(const struct qube *q)
{
	return q->klass == K_APP || q->klass == K_DISP || q->klass == K_STANDALONE;
}

enum anon anon_kind(const struct core *c, const struct qube *q)
{
	if (!can_be(q))
		return ANON_NONE;
	if (kv_get(&q->tags, ANON_WS_TAG) || inherits(c, q, ANON_WS_FEATURE))
		return ANON_WORKSTATION;
	if (kv_get(&q->tags, ANON_GW_TAG) || inherits(c, q, ANON_GW_FEATURE))
		return ANON_GATEWAY;
	return ANON_NONE;
}

static bool is_gateway(const struct core *c, const struct qube *x)
{
	return x && anon_kind(c, x) == ANON_GATEWAY && prop_bool(c, x, P_provides_network);
}

static bool is_dispvm(const struct core *c, const struct qube *x)
{
	return x && anon_kind(c, x) == ANON_WORKSTATION && prop_bool(c, x, P_template_for_dispvms);
}

/* Does the way out of a gateway lead over q or another anonymous qube? Looks at no default netvm but the system's, so it cannot come back here. */
static bool leads_back(const struct core *c, const struct qube *x)
{
	for (int i = 0; x && i < 64; i++) {
		const char *netvm = x->props[P_netvm] ? x->props[P_netvm] : c->globals[P_g_default_netvm];

		if (anon_kind(c, x) == ANON_WORKSTATION)
			return true;
		x = netvm && netvm[0] ? qube_find(c, netvm) : NULL;
	}
	return x != NULL;
}

const char *anon_gateway(const struct core *c, const struct qube *q)
{
	const char *choices[] = { qube_feature_inherited(c, q, ANON_GW_CHOICE), kv_get(&c->dom0->features, ANON_GW_CHOICE), ANON_GW_NAME };

	for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
		const struct qube *x = choices[i] && choices[i][0] ? qube_find(c, choices[i]) : NULL;

		if (is_gateway(c, x) && !leads_back(c, x))
			return x->name.s;
	}
	return "";
}

/* The template behind disposables and their templates. */
static const struct qube *ground(const struct core *c, const struct qube *q)
{
	for (int i = 0; i < 8 && q && q->klass != K_TEMPLATE; i++)
		q = qube_template(c, q);
	return q;
}

const char *anon_dispvm(const struct core *c, const struct qube *q)
{
	const char *other = "";

	/* A disposable has its own kind; a template of disposables is its own default. */
	if (q->klass == K_DISP && is_dispvm(c, qube_template(c, q)))
		return qube_template(c, q)->name.s;
	if (q->klass != K_DISP && prop_bool(c, q, P_template_for_dispvms))
		return q->name.s;
	for (size_t i = 0; i < c->n_sorted; i++) {
		const struct qube *x = c->sorted[i];

		if (x->klass == K_DISP || x->klass == K_ADMIN || !is_dispvm(c, x))
			continue;
		if (ground(c, x) == ground(c, q))
			return x->name.s;
		other = other[0] ? other : x->name.s;
	}
	return other;
}

int anon_check_netvm(const struct core *c, const struct qube *q, const struct qube *x, struct err *e)
{
	if (!q || !x || anon_kind(c, q) != ANON_WORKSTATION || is_gateway(c, x))
		return 0;
	return err_set(e, AE_PROPERTY_VALUE, "'%s' is anonymous and '%s' is no Tor gateway (feature " ANON_GW_FEATURE " of its template, or tag " ANON_GW_TAG ")",
		       q->name.s, x->name.s);
}

int anon_check_dispvm(const struct core *c, const struct qube *q, const struct qube *x, struct err *e)
{
	if (!q || !x || x == q || anon_kind(c, q) != ANON_WORKSTATION || is_dispvm(c, x))
		return 0;
	return err_set(e, AE_PROPERTY_VALUE, "'%s' is anonymous and the disposables of '%s' would not be (feature " ANON_WS_FEATURE " of its template, or tag " ANON_WS_TAG ")",
		       q->name.s, x->name.s);
}

static const struct {
	const char *tag, *feature;
} given[] = {
	{ ANON_GW_TAG, ANON_GW_FEATURE },
	{ "sdwdate-gui-server", ANON_GW_FEATURE },
	{ ANON_WS_TAG, ANON_WS_FEATURE },
	{ "sdwdate-gui-client", ANON_WS_FEATURE },
};

bool anon_keeps_tag(const struct core *c, const struct qube *q, const char *tag)
{
	if (q->klass == K_TEMPLATE)
		return streq(tag, ANON_TEMPLATE_TAG) && (qube_feature(q, ANON_GW_FEATURE) || qube_feature(q, ANON_WS_FEATURE));
	for (size_t i = 0; can_be(q) && i < ARRAY_SIZE(given); i++)
		if (streq(tag, given[i].tag) && inherits(c, q, given[i].feature))
			return true;
	return false;
}

static void give_tag(struct core *c, struct qube *q, const char *tag)
{
	if (kv_get(&q->tags, tag) || !anon_keeps_tag(c, q, tag))
		return;
	txn_tag(c, q, tag, true);
	eventf(c, q, "domain-tag-add:", tag, "tag", tag, NULL);
	if (!streq(tag, ANON_WS_TAG))
		return;
	/* Its default netvm is another one from now on. */
	if (!q->props[P_netvm])
		event(c, q, "property-reset:netvm", "name", "netvm", NULL);
	if (!kv_get(&q->features, "gui-events-max-delay")) {
		txn_feature(c, q, "gui-events-max-delay", "100");
		event(c, q, "domain-feature-set:gui-events-max-delay", "feature", "gui-events-max-delay", "value", "100", NULL);
	}
}

static void take_back(struct core *c, struct qube *q, enum prop_id id, bool none)
{
	const char *name = props[id].name;

	txn_prop(c, q, id, none ? "" : NULL);
	if (none)
		eventf(c, q, "property-set:", name, "name", name, "newvalue", "None", NULL);
	else
		eventf(c, q, "property-reset:", name, "name", name, NULL);
}

static void settle_workstation(struct core *c, struct qube *q)
{
	const char *netvm = q->props[P_netvm], *disp = q->props[P_default_dispvm];

	if (netvm && netvm[0] && !is_gateway(c, qube_find(c, netvm)))
		take_back(c, q, P_netvm, !qube_halted(q));
	if (disp && disp[0] && !streq(disp, q->name.s) && !is_dispvm(c, qube_find(c, disp)))
		take_back(c, q, P_default_dispvm, false);
}

void anon_settle(struct core *c)
{
	if (!c->txn.anon)
		return;
	for (size_t i = 0; i < c->n_sorted; i++) {
		give_tag(c, c->sorted[i], ANON_TEMPLATE_TAG);
		for (size_t k = 0; k < ARRAY_SIZE(given); k++)
			give_tag(c, c->sorted[i], given[k].tag);
	}
	/* All tags first: who is a gateway decides over others. */
	for (size_t i = 0; i < c->n_sorted; i++)
		if (anon_kind(c, c->sorted[i]) == ANON_WORKSTATION)
			settle_workstation(c, c->sorted[i]);
	c->txn.anon = false;
}
