/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests and the matching of rules. */
#include "base/str.h"
#include "core/policy/eval.h"

const char *pol_outcome_name(enum pol_outcome o)
{
	static const char *const names[POL_O_N] = { "allow", "ask", "deny", "syntax-error", "bad-request" };

	return names[o];
}

static enum pol_outcome no(enum pol_outcome o, struct err *e, const char *what, const char *text)
{
	char shown[100];

	err_set(e, EACCES, "'%s' %s", str_escape(shown, sizeof shown, what, strlen(what)), text);
	return o;
}

/* The source that rules see. A qube may speak for a RemoteVM only as that RemoteVM's relay. */
static enum pol_outcome init_source(struct pol_request *r, const struct pol_sysinfo *si, const struct pol_query *q, struct err *e)
{
	const struct pol_qube *real = pol_sysinfo_find(si, q->source), *remote;

	r->source = q->source;
	r->source_qube = real;
	if (q->requested_source && q->requested_source[0]) {
		const struct pol_qube *relay;

		remote = pol_sysinfo_find(si, q->requested_source);
		if (!remote || !remote->klass || !streq(remote->klass, "RemoteVM"))
			return no(POL_O_BAD_REQUEST, e, q->requested_source, "is not a RemoteVM that could be a source");
		relay = remote->relayvm ? pol_sysinfo_find(si, remote->relayvm) : NULL;
		if (!relay || (relay != real && !streq(relay->name, q->source)))
			return no(POL_O_BAD_REQUEST, e, q->requested_source, "has another relay than the caller");
		r->source = r->policy_source = q->requested_source;
		r->source_qube = remote;
	}
	r->source_hash = pol_hash(r->source);
	r->source_dom0 = streq(r->source, "dom0") || streq(r->source, "@adminvm") || (r->source_qube && r->source_qube->dom0);
	if (r->source_qube && r->source_qube->default_dispvm)
		r->default_dvm = pol_sysinfo_find(si, r->source_qube->default_dispvm);
	return POL_O_ALLOW;
}

bool pol_request_raw(struct pol_request *ret, const struct pol_sysinfo *si, const char *source, const char *target)
{
	const struct pol_query q = { .source = source ? source : "" };
	struct pol_token t = { 0 };

	memset(ret, 0, sizeof *ret);
	if (init_source(ret, si, &q, NULL) != POL_O_ALLOW || pol_token_parse(&t, POL_CTX_INTENDED, target, NULL) < 0)
		return false;
	ret->kind = t.kind;
	if (t.kind == POL_NAME || t.kind == POL_DISPVM_TEMPLATE)
		ret->target_qube = pol_sysinfo_find_h(si, t.value, t.hash);
	if (t.kind == POL_NAME && ret->target_qube && ret->target_qube->dom0)
		ret->kind = POL_ADMIN;
	(void)!str_copy(ret->target, sizeof ret->target, t.text);
	pol_token_fini(&t);
	return true;
}

static enum pol_outcome init_target(struct pol_request *r, const struct pol_sysinfo *si, const char *text, struct err *e)
{
	struct pol_token t = { 0 };
	enum pol_outcome o = POL_O_ALLOW;

	if (pol_token_parse(&t, POL_CTX_INTENDED, text[0] ? text : "@default", e) < 0)
		return POL_O_SYNTAX_ERROR;
	r->kind = t.kind;
	if (t.kind == POL_NAME || t.kind == POL_DISPVM_TEMPLATE)
		r->target_qube = pol_sysinfo_find_h(si, t.value, t.hash);
	if (t.kind == POL_NAME && r->target_qube && r->target_qube->dom0) {
		r->kind = POL_ADMIN;
		r->target_qube = NULL;
		(void)!str_copy(r->target, sizeof r->target, "@adminvm");
	} else if (t.kind == POL_NAME && !r->target_qube) {
		r->kind = POL_DEFAULT;
		(void)!str_copy(r->target, sizeof r->target, "@default");
	} else if (t.kind == POL_DISPVM_TEMPLATE && (!r->target_qube || !r->target_qube->template_for_dispvms)) {
		o = no(POL_O_DENY, e, t.value, "is not a template of disposables");
	} else if (str_copy(r->target, sizeof r->target, t.text) < 0) {
		o = no(POL_O_BAD_REQUEST, e, t.text, "is too long a target");
	}
	pol_token_fini(&t);
	return o;
}

enum pol_outcome pol_request_init(struct pol_request *ret, const struct pol_sysinfo *si, const struct pol_query *q, struct err *e)
{
	struct pol_request *r = ret;
	enum pol_outcome o;

	memset(r, 0, sizeof *r);
	if (!q->service[0] || q->argument[0] != '+' || !q->source[0])
		return no(POL_O_BAD_REQUEST, e, q->service, "lacks a name, an argument that begins with '+', or a source");
	r->service = q->service;
	r->argument = q->argument;
	r->service_hash = pol_hash(q->service);
	o = init_source(r, si, q, e);
	return o == POL_O_ALLOW ? init_target(r, si, q->target, e) : o;
}

/* Is the machine that token text (hash) names this one? */
static bool same(const char *text, uint32_t hash, const struct pol_qube *q)
{
	return q && ((hash == q->name_hash && streq(text, q->name)) || (q->uuid && hash == q->uuid_hash && streq(text, q->uuid)));
}

bool pol_match_source(const struct pol_token *t, const struct pol_request *r)
{
	const struct pol_qube *q = r->source_qube;

	switch (t->kind) {
	case POL_NAME:
		return (t->hash == r->source_hash && streq(t->value, r->source)) || same(t->value, t->hash, q);
	case POL_ADMIN:
		return r->source_dom0;
	case POL_ANY:
		return !r->source_dom0;
	case POL_WILDCARD:
		return true;
	case POL_TAG:
		return q && !r->source_dom0 && pol_qube_has_tag_h(q, t->value, t->hash);
	case POL_TYPE:
		return q && !r->source_dom0 && q->klass && streq(q->klass, t->value);
	/* Accepted as a source by the language, but a source is never a disposable to be made. */
	case POL_DISPVM_TEMPLATE:
	case POL_DISPVM_TAG:
	case POL_DEFAULT:
	case POL_DISPVM:
	case POL_KIND_N:
		break;
	}
	return false;
}

bool pol_match_target(const struct pol_token *t, const struct pol_request *r)
{
	const struct pol_qube *q = r->target_qube, *dvm;

	dvm = r->kind == POL_DISPVM_TEMPLATE ? q : r->kind == POL_DISPVM ? r->default_dvm : NULL;
	switch (t->kind) {
	case POL_NAME:
		return r->kind == POL_NAME && (same(t->value, t->hash, q) || streq(t->text, r->target));
	case POL_ADMIN:
	case POL_DEFAULT:
	case POL_DISPVM:
		return r->kind == t->kind;
	case POL_ANY:
		return r->kind != POL_ADMIN;
	case POL_WILDCARD:
		return true;
	case POL_TAG:
		return r->kind == POL_NAME && q && pol_qube_has_tag_h(q, t->value, t->hash);
	case POL_TYPE:
		return r->kind == POL_NAME && q && q->klass && streq(q->klass, t->value);
	case POL_DISPVM_TEMPLATE:
		/* a default that is gone still is what the caller asks for: a rule that refuses it must count */
		if (r->kind == POL_DISPVM && !dvm)
			return r->source_qube && r->source_qube->default_dispvm && streq(t->value, r->source_qube->default_dispvm);
		return same(t->value, t->hash, dvm) || (r->kind == POL_DISPVM_TEMPLATE && streq(t->text, r->target));
	case POL_DISPVM_TAG:
		return dvm && dvm->template_for_dispvms && pol_qube_has_tag_h(dvm, t->value, t->hash);
	case POL_KIND_N:
		break;
	}
	return false;
}

bool pol_match_but_target(const struct pol_rule *rule, const struct pol_request *r)
{
	if (rule->service && (rule->service_hash != r->service_hash || !streq(rule->service, r->service)))
		return false;
	if (rule->argument && !streq(rule->argument, r->argument))
		return false;
	return pol_match_source(&rule->source, r);
}
