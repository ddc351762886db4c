/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Questions to the user: asked on the version of the policy that said ask, decided by that same version when the answer comes. */
#include "daemon/policyd/prompt.h"

#include <limits.h>

#include "base/str.h"

static void question_free(struct pd_question *q)
{
	if (q->policy)
		policy_free(q->policy);
	pol_sysinfo_clear(&q->own);
	pol_names_free(q->choices, q->n_choices);
	for (size_t i = 0; i < ARRAY_SIZE(q->texts); i++)
		free(q->texts[i]);
	free(q);
}

static void copy_query(struct pd_question *to, const struct pol_query *q)
{
	const char *const from[] = { q->service, q->argument, q->source, q->target, q->requested_source };

	for (size_t i = 0; i < ARRAY_SIZE(from); i++)
		to->texts[i] = from[i] ? xstrdup(from[i]) : NULL;
	to->query = (struct pol_query){ .service = to->texts[0], .argument = to->texts[1], .source = to->texts[2], .target = to->texts[3],
					.requested_source = to->texts[4] };
}

static void unlink_question(struct pd_question *q)
{
	struct pd_question **p = &q->pd->questions;

	while (*p != q)
		p = &(*p)->next;
	*p = q->next;
}

static const char *failure(int r)
{
	if (r == -ETIMEDOUT)
		return "ask, but nobody answered in time";
	if (r == -EMSGSIZE || r == -EBADMSG)
		return "ask, but the prompt gave no valid answer";
	return "ask, but the prompt ended without an answer";
}

/* NULL when the answer allows; else the reason. */
static const char *refusal(const struct pd_question *q, int r, const char *answer, bool *ret_notify)
{
	const char *target = answer + strlen("allow:");

	*ret_notify = true;
	if (r < 0)
		return failure(r);
	if (streq(answer, "deny")) {
		*ret_notify = false;
		return "denied by the user";
	}
	if (answer[0] == '\0')
		return "ask, but the prompt ended without an answer";
	if (!str_starts(answer, "allow:"))
		return "ask, but the prompt gave no valid answer";
	for (size_t i = 0; i < q->n_choices; i++)
		if (streq(q->choices[i], target))
			return NULL;
	return "the answer was not among the choices";
}

static void on_answer(void *arg, int r, const char *answer)
{
	struct pd_question *q = arg;
	const struct pol_sysinfo *si = q->own.n ? &q->own : q->pd->si;
	struct pol_decision d = { 0 };
	bool notify;
	const char *why = refusal(q, r, answer, &notify);

	q->call = NULL;
	unlink_question(q);
	if (!si) {
		pol_decision_deny(&d, "no table of qubes");
	} else if (why) {
		/* Evaluated once more for the rule and the target that the log names. */
		pol_evaluate(&d, q->policy, si, &q->query);
		pol_decision_deny(&d, why);
		d.notify = notify;
	} else {
		pol_evaluate_answer(&d, q->policy, si, &q->query, answer + strlen("allow:"));
		/* The table of qubes may have changed in the meantime: what needs a new question is refused. */
		if (d.outcome == POL_O_ASK)
			pol_decision_deny(&d, "the qubes changed while the question was open");
	}
	q->fn(q, &d);
	pol_decision_fini(&d);
	question_free(q);
}

/* A qube that is another one's GUI domain must be able to be asked, and is not asked about what it wants itself. */
static const char *not_usable(const struct pd *pd, const struct pol_sysinfo *si, const struct pol_query *q, const char *guivm)
{
	const struct pol_qube *g = pol_sysinfo_find(si, guivm);

	if (pd->core_fd < 0)
		return "ask, but the GUI domain of the calling qube is not dom0: without qubesd questions cannot be sent there";
	if (!g || !g->power_state || !streq(g->power_state, "Running"))
		return "ask, but the GUI domain of the calling qube does not run";
	return streq(g->name, q->source) ? "ask, but the calling qube is its own GUI domain" : NULL;
}

bool pd_guivm(const struct pd *pd, const struct pol_sysinfo *si, const struct pol_query *q, const char *policy_source, const char **ret, const char **ret_why)
{
	const struct pol_qube *x = si ? pol_sysinfo_find(si, policy_source ? policy_source : q->source) : NULL;

	*ret = NULL;
	*ret_why = NULL;
	/* A remote qube has no windows here: its relay's GUI domain answers for it. */
	if (x && !x->guivm && policy_source)
		x = pol_sysinfo_find(si, q->source);
	if (!x)
		*ret_why = "ask, but the calling qube is not in the table of qubes";
	else if (!x->dom0 && !x->guivm)
		*ret_why = "ask, but the calling qube has no GUI domain (property guivm)";
	else if (!x->dom0 && !streq(x->guivm, "dom0"))
		*ret_why = not_usable(pd, si, q, *ret = x->guivm);
	return !*ret_why;
}

static const char *too_many(struct pd *pd, const char *source)
{
	size_t total = 0, own = 0;

	for (const struct pd_question *q = pd->questions; q; q = q->next) {
		total++;
		own += streq(q->query.source, source);
	}
	if (own >= PD_QUESTIONS_SOURCE)
		return "ask, but the calling qube has too many open questions";
	return total >= PD_QUESTIONS_MAX ? "ask, but too many questions are open" : NULL;
}

static void put_names(struct wr *w, const struct pol_decision *d)
{
	wr_str(w, ",\"targets\":[");
	for (size_t i = 0; i < d->n_choices; i++)
		wr_printf(w, "%s\"%s\"", i ? "," : "", d->choices[i]);
	wr_str(w, "]");
}

/* One member for the source and each choice: what the qube is drawn with. */
static void put_looks(struct wr *w, const char *key, const struct pol_sysinfo *si, const struct pol_query *q, const struct pol_decision *d, bool label)
{
	bool first = true;

	wr_printf(w, ",\"%s\":{", key);
	for (size_t i = 0; i <= d->n_choices; i++) {
		const char *name = i < d->n_choices ? d->choices[i] : d->policy_source ? d->policy_source : q->source;
		const struct pol_qube *x = pol_sysinfo_find(si, str_starts(name, "@dispvm:") ? name + strlen("@dispvm:") : name);
		const char *v = x ? label ? x->label : x->icon : NULL;

		/* Names of the table are plain; icon and label are escaped like any text. */
		if (!v)
			continue;
		wr_str(w, first ? "" : ",");
		first = false;
		wr_printf(w, "\"%s\":", name);
		pd_json_value(w, v);
	}
	wr_str(w, "}");
}

/* guivm: what a rule for this call needs stays in dom0, where rules are. */
static struct wr question_json(const struct pd *pd, const char *guivm, const struct pol_sysinfo *si, const struct pol_query *q, const struct pol_decision *d)
{
	struct wr w = wr_grow(PD_QUESTION_BYTES);
	char rule[PATH_MAX];

	wr_str(&w, "{");
	pd_json_str(&w, "source", d->policy_source ? d->policy_source : q->source);
	pd_json_str(&w, "service", q->service);
	pd_json_str(&w, "argument", q->argument);
	put_names(&w, d);
	pd_json_str(&w, "default_target", d->default_target);
	put_looks(&w, "icons", si, q, d, false);
	/* For our own agent: what it needs to draw colours and to write a rule for exactly this call. */
	if (pd->core_fd >= 0)
		put_looks(&w, "labels", si, q, d, true);
	if (pd->core_fd >= 0 && !guivm) {
		pd_json_str(&w, "requested_target", d->requested_target);
		pd_json_str(&w, "user", d->user ? d->user : "");
		pd_rule_text(rule, sizeof rule, d);
		pd_json_str(&w, "rule", rule);
		wr_printf(&w, ",\"autostart\":%s,\"notify\":%s", d->autostart ? "true" : "false", d->notify ? "true" : "false");
	}
	wr_str(&w, "}");
	return w;
}

int pd_question_ask(struct pd *pd, const struct pol_sysinfo *si, struct pol_sysinfo *own, struct pd_question *want, struct pol_decision *d)
{
	const char *why, *guivm;
	struct pd_question *q;
	struct wr body;
	int r;

	if (pd_guivm(pd, si, &want->query, d->policy_source, &guivm, &why))
		why = too_many(pd, want->query.source);
	if (why) {
		pol_decision_deny(d, why);
		return -EAGAIN;
	}
	body = question_json(pd, guivm, si, &want->query, d);
	q = xcalloc(1, sizeof *q);
	*q = (struct pd_question){ .pd = pd, .serial = want->serial, .request = want->request, .fn = want->fn, .owner = want->owner };
	r = pd_call_start(&q->call, pd, guivm, "policy.Ask", &body, pd->ask_ms, on_answer, q);
	if (r < 0) {
		free(q);
		pol_decision_deny(d, r == -EAGAIN || r == -EMSGSIZE ? "ask, but the prompt does not take the question" : "ask, but no prompt is running");
		return r;
	}
	copy_query(q, &want->query);
	q->policy = policy_ref(pd->files.policy);
	q->choices = STEAL_PTR(d->choices);
	q->n_choices = d->n_choices;
	d->n_choices = 0;
	if (own) {
		q->own = *own;
		*own = (struct pol_sysinfo){ 0 };
	}
	q->next = pd->questions;
	pd->questions = q;
	return 0;
}

void pd_question_withdraw(struct pd *pd, const void *owner)
{
	struct pd_question *q, *next;

	for (q = pd->questions; q; q = next) {
		next = q->next;
		if (q->owner != owner)
			continue;
		unlink_question(q);
		pd_call_drop(q->call);
		question_free(q);
	}
}
