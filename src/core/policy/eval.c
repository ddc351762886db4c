/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the matching rule to the decision. Everything that cannot be resolved is a refusal. */
#include "core/policy/eval.h"

#include "base/str.h"

/* Where an allowed call would go. */
struct dest {
	enum pol_kind kind; /* NAME, ADMIN or DISPVM_TEMPLATE once resolved */
	const struct pol_qube *qube;
	const char *text; /* of NAME: as written; of DISPVM_TEMPLATE: the template as written */
};

void pol_decision_fini(struct pol_decision *d)
{
	free(d->service);
	pol_names_free(d->choices, d->n_choices);
	d->service = NULL;
	d->choices = NULL;
	d->n_choices = 0;
}

static void deny(struct pol_decision *d, const char *reason)
{
	d->outcome = POL_O_DENY;
	d->notify = true;
	if (str_copy(d->reason, sizeof d->reason, reason) < 0)
		(void)!str_copy(d->reason, sizeof d->reason, "refused");
}

void pol_decision_deny(struct pol_decision *d, const char *reason)
{
	pol_decision_fini(d);
	deny(d, reason);
}

/* dest of a redirect or of an answer; NULL or the reason why there is none. */
static const char *dest_of_token(struct dest *ret, const struct pol_sysinfo *si, const struct pol_token *t)
{
	*ret = (struct dest){ .kind = t->kind, .text = t->value };
	if (t->kind != POL_NAME && t->kind != POL_DISPVM_TEMPLATE)
		return NULL;
	ret->qube = pol_sysinfo_find_h(si, t->value, t->hash);
	if (!ret->qube)
		return "the target that the rule names does not exist";
	if (t->kind == POL_NAME && ret->qube->dom0)
		ret->kind = POL_ADMIN;
	if (t->kind == POL_DISPVM_TEMPLATE && !ret->qube->template_for_dispvms)
		return "the rule names a qube that is not a template of disposables";
	return NULL;
}

static void dest_of_request(struct dest *ret, const struct pol_request *r)
{
	*ret = (struct dest){ .kind = r->kind, .qube = r->target_qube, .text = r->target };
	if (r->kind == POL_DISPVM_TEMPLATE)
		ret->text = r->target + strlen("@dispvm:");
}

static const char *resolve(struct dest *x, const struct pol_request *r)
{
	if (x->kind == POL_DEFAULT)
		return "no target was named and the rule names none";
	if (x->kind != POL_DISPVM)
		return NULL;
	if (!r->default_dvm)
		return "the caller has no default template of disposables; for a qube without network dom0's feature default-offline-dispvm names one";
	*x = (struct dest){ .kind = POL_DISPVM_TEMPLATE, .qube = r->default_dvm, .text = r->source_qube->default_dispvm };
	return NULL;
}

static bool running(const struct pol_qube *q)
{
	return q->power_state && streq(q->power_state, "Running");
}

static const char *check_autostart(const struct dest *x, const struct pol_rule *rule)
{
	if (rule->autostart || x->kind == POL_ADMIN)
		return NULL;
	if (x->kind == POL_DISPVM_TEMPLATE)
		return "the rule forbids to start a disposable";
	return running(x->qube) ? NULL : "the target is not running and the rule forbids to start it";
}

static bool loopback(const struct dest *x, const struct pol_request *r)
{
	if (x->kind == POL_ADMIN)
		return r->source_dom0;
	return x->kind == POL_NAME && (x->qube == r->source_qube || streq(x->text, r->source));
}

/* A call to a qube of another machine goes to its relay, under another name. */
static const char *to_relay(struct pol_decision *d, const struct pol_sysinfo *si, const struct pol_request *r, const struct dest *x)
{
	const struct pol_qube *q = x->qube;

	if (x->kind != POL_NAME || !q->klass || !streq(q->klass, "RemoteVM"))
		return NULL;
	if (!q->relayvm || !q->transport_rpc)
		return "the remote qube has no relay or no transport";
	d->relay = pol_sysinfo_find(si, q->relayvm);
	if (!d->relay)
		return "the relay of the remote qube does not exist";
	d->service = xasprintf("%s+%s+%s%s", q->transport_rpc, q->name, r->service, r->argument);
	d->user = NULL;
	return NULL;
}

/* Where the rule does not say: what was copied into a new disposable would be lost with it (qubes-issues #10012), any other service is done when
   its call ends. */
static bool keeps(const struct pol_rule *rule, const struct pol_request *r)
{
	return rule->keep < 0 ? streq(r->service, "qubes.Filecopy") : rule->keep;
}

static void allow(struct pol_decision *d, const struct pol_sysinfo *si, const struct pol_request *r, struct dest *x)
{
	const struct pol_rule *rule = d->rule;
	const char *why = resolve(x, r);
	int k;

	if (!why)
		why = check_autostart(x, rule);
	if (!why && loopback(x, r))
		why = "a qube cannot call itself";
	d->user = rule->user;
	if (!why)
		why = to_relay(d, si, r, x);
	if (why) {
		deny(d, why);
		return;
	}
	k = str_printf(d->target, sizeof d->target, "%s%s", x->kind == POL_DISPVM_TEMPLATE ? "@dispvm:" : "",
		       x->kind == POL_ADMIN ? "dom0" : x->text);
	if (k < 0) {
		deny(d, "the target is too long");
		return;
	}
	d->outcome = POL_O_ALLOW;
	d->notify = rule->notify;
	d->autostart = rule->autostart;
	d->keep = keeps(rule, r);
	d->target_qube = x->qube;
	d->target_dispvm = x->kind == POL_DISPVM_TEMPLATE;
}

/* How a default_target is spelled among the choices; "" when it is none. */
static void default_choice(char out[POL_TEXT_MAX], const struct pol_sysinfo *si, const struct pol_request *r, const struct pol_token *t)
{
	const struct pol_qube *q = NULL;

	out[0] = '\0';
	if (!t->text)
		return;
	if (t->kind == POL_DISPVM)
		q = r->default_dvm;
	else if (t->kind != POL_ADMIN)
		q = pol_sysinfo_find_h(si, t->value, t->hash);
	if (t->kind == POL_ADMIN || (q && q->dom0 && t->kind == POL_NAME))
		(void)!str_copy(out, POL_TEXT_MAX, "dom0");
	else if (q)
		(void)!str_printf(out, POL_TEXT_MAX, "%s%s", t->kind == POL_NAME ? "" : "@dispvm:", q->name);
}

static void ask(struct pol_decision *d, const struct policy *p, const struct pol_sysinfo *si, const struct pol_request *r)
{
	const struct pol_rule *rule = d->rule;
	char wanted[POL_TEXT_MAX];

	pol_choices(p, si, r, rule->redirect.text ? &rule->redirect : NULL, rule->autostart, &d->choices, &d->n_choices);
	if (d->n_choices == 0) {
		deny(d, "the rule says ask, but there is no target to choose from");
		return;
	}
	d->outcome = POL_O_ASK;
	d->notify = rule->notify;
	d->autostart = rule->autostart;
	d->keep = keeps(rule, r);
	d->user = rule->user;
	default_choice(wanted, si, r, &rule->default_to);
	for (size_t i = 0; i < d->n_choices; i++)
		if (streq(d->choices[i], wanted))
			memcpy(d->default_target, wanted, sizeof wanted);
}

static void decide(struct pol_decision *d, const struct policy *p, const struct pol_sysinfo *si, const struct pol_request *r)
{
	struct dest x;
	const char *why = NULL;

	for (size_t i = 0; i < p->n_rules; i++)
		if (pol_match(&p->rules[i], r)) {
			d->rule = &p->rules[i];
			break;
		}
	if (!d->rule) {
		deny(d, "no rule matches");
		return;
	}
	switch (d->rule->action) {
	case POL_DENY:
	case POL_ACTION_N:
		deny(d, "denied by the rule");
		d->notify = d->rule->notify;
		return;
	case POL_ASK:
		ask(d, p, si, r);
		return;
	case POL_ALLOW:
		if (d->rule->redirect.text)
			why = dest_of_token(&x, si, &d->rule->redirect);
		else
			dest_of_request(&x, r);
		if (why)
			deny(d, why);
		else
			allow(d, si, r, &x);
		return;
	}
}

static bool begin(struct pol_decision *d, struct pol_request *r, const struct pol_sysinfo *si, const struct pol_query *q)
{
	struct err e = { 0 };

	memset(d, 0, sizeof *d);
	d->outcome = pol_request_init(r, si, q, &e);
	if (d->outcome == POL_O_ALLOW) {
		memcpy(d->requested_target, r->target, sizeof d->requested_target);
		d->policy_source = r->policy_source;
		return true;
	}
	d->notify = true;
	e.msg[sizeof d->reason - 1] = '\0';
	(void)!str_copy(d->reason, sizeof d->reason, e.msg);
	return false;
}

void pol_evaluate(struct pol_decision *ret, const struct policy *p, const struct pol_sysinfo *si, const struct pol_query *q)
{
	struct pol_request r;

	if (begin(ret, &r, si, q))
		decide(ret, p, si, &r);
}

void pol_evaluate_answer(struct pol_decision *ret, const struct policy *p, const struct pol_sysinfo *si, const struct pol_query *q,
			 const char *answer)
{
	struct pol_token t = { 0 };
	struct pol_request r;
	struct dest x;
	bool offered = false;
	const char *why;

	if (!begin(ret, &r, si, q))
		return;
	decide(ret, p, si, &r);
	if (ret->outcome != POL_O_ASK)
		return;
	for (size_t i = 0; i < ret->n_choices; i++)
		offered = offered || streq(ret->choices[i], answer);
	if (!offered || pol_token_parse(&t, POL_CTX_REDIRECT, answer, NULL) < 0) {
		pol_decision_deny(ret, "the answer was not among the choices");
		return;
	}
	why = dest_of_token(&x, si, &t);
	if (why)
		pol_decision_deny(ret, why);
	else
		allow(ret, si, &r, &x);
	pol_token_fini(&t);
}
