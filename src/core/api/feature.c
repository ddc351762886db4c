/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Features. */
#include "base/str.h"
#include "core/api/api.h"
#include "core/api/preload.h"
#include "core/net.h"
#include "core/prop_rules.h"

#define CHAIN_MAX 64

/* Written by the daemon itself; a caller could otherwise claim a disposable that is not one, or move a network. */
static int may_change(struct call *c)
{
	static const char *const ours[] = { "deferred-netvm-original", "preload-dispvm", "preload-dispvm-app", "preload-dispvm-completed",
					    "preload-dispvm-in-progress" };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (streq(c->arg, ours[i]))
			return err_set(&c->err, AE_PERMISSION, "feature '%s' is kept by the system", c->arg);
	return 0;
}

static int absent(struct call *c)
{
	return err_set(&c->err, AE_FEATURE_NOT_FOUND, "'%s' has no feature '%s'", c->dest->name.s, c->arg);
}

void feature_change(struct core *core, struct qube *q, const char *key, const char *value)
{
	const char *old = kv_get(&q->features, key);
	_cleanup_free_ char *was = old ? xstrdup(old) : NULL;

	if (!value) {
		eventf(core, q, "domain-feature-pre-delete:", key, "feature", key, NULL);
		txn_feature(core, q, key, NULL);
		eventf(core, q, "domain-feature-delete:", key, "feature", key, NULL);
		return;
	}
	eventf(core, q, "domain-feature-pre-set:", key, "feature", key, "value", value, was ? "oldvalue" : NULL, was, NULL);
	txn_feature(core, q, key, value);
	eventf(core, q, "domain-feature-set:", key, "feature", key, "value", value, was ? "oldvalue" : NULL, was, NULL);
}

int api_feature_list(struct call *c)
{
	for (size_t i = 0; i < c->dest->features.n; i++)
		wr_printf(&c->out, "%s\n", c->dest->features.v[i].key);
	return 0;
}

int api_feature_get(struct call *c)
{
	const char *v = kv_get(&c->dest->features, c->arg);

	if (!v)
		return absent(c);
	wr_str(&c->out, v);
	return 0;
}

static const char *look(const struct call *c)
{
	const struct qube *q = c->dest;
	const char *v = kv_get(&q->features, c->arg);

	if (!v && c->m->param & CHECK_TEMPLATE)
		v = qube_feature_inherited(c->core, q, c->arg);
	if (!v && c->m->param & CHECK_NETVM) {
		for (int i = 0; q && !v && i < CHAIN_MAX; i++) {
			v = kv_get(&q->features, c->arg);
			q = prop_find(q, "netvm") ? prop_vm(c->core, q, P_netvm) : NULL;
		}
	}
	if (!v && c->m->param & CHECK_ADMIN)
		v = kv_get(&c->core->dom0->features, c->arg);
	return v;
}

int api_feature_check(struct call *c)
{
	const char *v = look(c);

	if (!v)
		return absent(c);
	wr_str(&c->out, v);
	return 0;
}

/* Said at once rather than by disposables that are refused later. */
static int check_offline(struct call *c)
{
	const struct qube *t = qube_find(c->core, c->body);
	char out[PV_BUF];

	if (c->dest != c->core->dom0 || !streq(c->arg, OFFLINE_DISPVM_FEATURE) || !c->body[0])
		return 0;
	if (!t)
		return err_set(&c->err, AE_VALUE, "there is no qube '%s'", c->body);
	if (c_disposable(c->core, NULL, t->name.s, out, &c->err) < 0)
		return err_set(&c->err, AE_VALUE, "'%s' is not a disposable template: template_for_dispvms is False", t->name.s);
	if (net_networked(c->core, t))
		return err_set(&c->err, AE_VALUE, "'%s' has a network; set its netvm to none first", t->name.s);
	return 0;
}

int api_feature_set(struct call *c)
{
	int r = may_change(c);

	if (r < 0)
		return r;
	if (!feature_value_ok(c->body))
		return err_set(&c->err, AE_PROTOCOL, "the value of a feature is printable ASCII");
	if (str_starts(c->arg, "service.") && !str_starts(c->arg, "service.app-dispvm.") &&
	    (strlen(c->arg) < 9 || strlen(c->arg) > 56 || streq(c->arg, "service..") || streq(c->arg, "service...")))
		return err_set(&c->err, AE_VALUE, "the name of a service has 1 to 48 characters");
	r = check_offline(c);
	if (r == 0)
		r = preload_check(c);
	if (r < 0)
		return r;
	feature_change(c->core, c->dest, c->arg, c->body);
	return 0;
}

int api_feature_remove(struct call *c)
{
	int r = may_change(c);

	if (r < 0)
		return r;
	if (!kv_get(&c->dest->features, c->arg))
		return absent(c);
	feature_change(c->core, c->dest, c->arg, NULL);
	return 0;
}
