/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-policy explain: one decision, the rules that nearly took it, and what would change it. Every advice was tried before it is given. */
#include "tool/qvm-policy.h"

#define ADVICE_MAX 16

struct advice {
	const char *to;	  /* outcome that it leads to */
	char *line;	  /* rule to add, or NULL */
	char *command;	  /* or a command to run */
	char *where;	  /* file of the rule */
	const char *place; /* "end", "start" or "before" */
	unsigned before;  /* line number for "before" */
};

struct explain {
	struct pq *p;
	struct pol_query q;
	struct pol_request r;
	bool standing; /* r is valid */
	struct pol_decision d;
	struct pol_near *near;
	size_t n_near;
	bool exact_argument; /* the argument was given */
	struct advice advice[ADVICE_MAX];
	size_t n_advice;
};

static const char *column_name(unsigned column)
{
	return column == POL_COL_ARGUMENT ? "argument" : column == POL_COL_SOURCE ? "source" : "target";
}

static char *why_token(const struct pol_token *t, const char *name, const struct pol_qube *q)
{
	switch (t->kind) {
	case POL_TAG:
		return xasprintf("'%s' has no tag '%s'", name, t->value);
	case POL_TYPE:
		return xasprintf("'%s' is %s%s, not of class %s", name, q && q->klass ? "of class " : "no qube", q && q->klass ? q->klass : "", t->value);
	case POL_ANY:
		return xasprintf("'%s' is dom0, which @anyvm leaves out", name);
	case POL_ADMIN:
		return xasprintf("'%s' is not dom0", name);
	case POL_DEFAULT:
		return xasprintf("the call names a target, the rule is for calls that name none");
	case POL_DISPVM:
		return xasprintf("'%s' is not a new disposable", name);
	case POL_DISPVM_TEMPLATE:
		return xasprintf("'%s' is not a new disposable of '%s'", name, t->value);
	case POL_DISPVM_TAG:
		return xasprintf("'%s' is not a new disposable of a template with tag '%s'", name, t->value);
	case POL_NAME:
	case POL_WILDCARD:
	case POL_KIND_N:
		break;
	}
	return xasprintf("'%s' is not '%s'", name, t->text);
}

static char *why_near(const struct explain *x, const struct pol_near *n)
{
	const struct pol_rule *rule = &x->p->policy->rules[n->rule];

	if (n->column == POL_COL_ARGUMENT)
		return xasprintf("the argument is '%s', the rule is for '%s'", x->q.argument, rule->argument);
	if (n->column == POL_COL_SOURCE)
		return why_token(&rule->source, x->r.source, x->r.source_qube);
	return why_token(&rule->target, x->r.target, x->r.target_qube);
}

static struct advice *add_advice(struct explain *x, const char *to)
{
	struct advice *a;

	if (x->n_advice == ADVICE_MAX)
		return NULL;
	a = &x->advice[x->n_advice++];
	*a = (struct advice){ .to = to };
	return a;
}

/* Outcome of the question with another text of a policy file. */
static const char *outcome_with(struct explain *x, const char *path, const char *text, size_t len)
{
	struct policy *other = NULL;
	const char *r = "";
	struct pol_decision d;

	pf_overlay(&x->p->dirs, path, text, len);
	if (pf_load(&other, &x->p->dirs, &(struct err){ 0 }) == 0) {
		pol_evaluate(&d, other, &x->p->si, &x->q);
		r = pq_outcome(&d);
		pol_decision_fini(&d);
		policy_free(other);
	}
	pf_overlay_drop(&x->p->dirs, path);
	return r;
}

/* Where line number n begins. */
static size_t line_start(const char *text, size_t len, unsigned n)
{
	size_t at = 0;

	while (--n && at < len) {
		const char *end = memchr(text + at, '\n', len - at);

		at = end ? (size_t)(end - text) + 1 : len;
	}
	return at;
}

/* Tries a line just before the rule that decides. */
static bool try_before(struct explain *x, struct advice *a, const char *want)
{
	const struct pol_rule *r = x->d.rule;
	_cleanup_free_ char *old = NULL, *text = NULL;
	size_t n = 0, at;

	if (!r || !r->file || !r->line || pf_text(&x->p->dirs, r->file, &old, &n, &(struct err){ 0 }) < 0)
		return false;
	at = line_start(old, n, r->line);
	text = xasprintf("%.*s%s\n%s", (int)at, old, a->line, old + at);
	if (!streq(outcome_with(x, r->file, text, strlen(text)), want))
		return false;
	a->where = xstrdup(r->file);
	a->place = "before";
	a->before = r->line;
	return true;
}

/* Tries a line at the end and at the start of the user's file. */
static bool try_line(struct explain *x, struct advice *a, const char *want)
{
	_cleanup_free_ char *path = xasprintf("%s/" USER_FILE, pq_edit_dir(x->p)), *old = NULL, *text = NULL;
	size_t n = 0;

	if (pf_text(&x->p->dirs, path, &old, &n, &(struct err){ 0 }) < 0)
		old = xstrdup("");
	for (int start = 0; start < 2; start++) {
		free(text);
		text = start ? xasprintf("%s\n%s", a->line, old) : xasprintf("%s%s%s\n", old, n && old[n - 1] != '\n' ? "\n" : "", a->line);
		if (!streq(outcome_with(x, path, text, strlen(text)), want))
			continue;
		a->where = STEAL_PTR(path);
		a->place = start ? "start" : "end";
		return true;
	}
	return try_before(x, a, want);
}

static void advise_line(struct explain *x, const char *want)
{
	const char *target = x->r.target;
	struct advice *a;

	/* Without a target there is nothing to allow; the user must name one. */
	if (streq(pq_outcome(&x->d), want) || (streq(target, "@default") && streq(want, "allow")))
		return;
	a = add_advice(x, want);
	if (!a)
		return;
	a->line = xasprintf("%s %s %s %s %s", x->q.service, x->exact_argument ? x->q.argument : "*", x->r.source, target, want);
	if (try_line(x, a, want))
		return;
	free(a->line);
	x->n_advice--;
}

/* Would the tag that a near miss lacks change the decision? */
static void advise_tag(struct explain *x, const struct pol_near *n)
{
	const struct pol_rule *rule = &x->p->policy->rules[n->rule];
	bool source = n->column == POL_COL_SOURCE;
	const struct pol_token *t = source ? &rule->source : &rule->target;
	const struct pol_qube *q = source ? x->r.source_qube : x->r.target_qube;
	_cleanup_free_ char *command = NULL;
	struct pol_sysinfo si = { 0 };
	struct pol_qube *copy;
	struct pol_decision d;
	struct advice *a;
	bool known = false;

	if (n->column == POL_COL_ARGUMENT || t->kind != POL_TAG || !q)
		return;
	for (size_t i = 0; i < x->p->si.n; i++) {
		copy = pol_qube_dup(x->p->si.v[i]);
		if (x->p->si.v[i] == q)
			pol_qube_add_tag(copy, t->value);
		pol_sysinfo_set(&si, copy);
	}
	command = xasprintf("qvm-tags %s add %s", q->name, t->value);
	for (size_t i = 0; i < x->n_advice; i++)
		known = known || (x->advice[i].command && streq(x->advice[i].command, command));
	pol_evaluate(&d, x->p->policy, &si, &x->q);
	if (!known && !streq(pq_outcome(&d), pq_outcome(&x->d)) && (a = add_advice(x, pq_outcome(&d))))
		a->command = STEAL_PTR(command);
	pol_decision_fini(&d);
	pol_sysinfo_clear(&si);
}

/* A rule allows, and yet the call is refused. */
static void advise_refused(struct explain *x)
{
	const struct pol_rule *rule = x->d.rule;
	const struct pol_token *to = rule && rule->redirect.text ? &rule->redirect : NULL;
	const struct pol_qube *target = to ? pol_sysinfo_find(&x->p->si, to->value) : x->r.target_qube;
	bool dispvm = to ? to->kind == POL_DISPVM : x->r.kind == POL_DISPVM;
	struct advice *a = NULL;

	if (!rule || rule->action != POL_ALLOW || x->d.outcome != POL_O_DENY)
		return;
	if (dispvm && x->r.source_qube && !x->r.default_dvm && (a = add_advice(x, "allow")))
		a->command = xasprintf("qvm-prefs %s default_dispvm TEMPLATE", x->r.source);
	else if (!rule->autostart && target && !(target->power_state && streq(target->power_state, "Running")) && (a = add_advice(x, "allow")))
		a->command = xasprintf("qvm-start %s", target->name);
	else if (to && to->kind == POL_NAME && !target && (a = add_advice(x, "allow")))
		a->command = xasprintf("qvm-create --label LABEL %s", to->value);
}

static void advise(struct explain *x)
{
	static const char *const outcomes[] = { "allow", "ask", "deny" };

	if (!x->standing)
		return;
	advise_refused(x);
	if (x->r.source_dom0 && x->r.kind == POL_ADMIN)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
		advise_line(x, outcomes[i]);
	for (size_t i = 0; i < x->n_near; i++)
		advise_tag(x, &x->near[i]);
}

static const char *effective(const struct explain *x)
{
	return x->d.relay ? x->d.relay->name : x->d.target;
}

static const char *user_of(const struct explain *x)
{
	return x->d.user && x->d.user[0] ? x->d.user : "DEFAULT";
}

static void json_rule(struct json *j, const char *key, const struct pol_rule *r)
{
	_cleanup_free_ char *text = pq_rule_text(r);

	json_open(j, key, '{');
	json_str(j, "text", text);
	json_str(j, "file", r->file);
	json_int(j, "line", r->line);
}

static void json_advice(struct json *j, const struct explain *x)
{
	json_open(j, "changes", '[');
	for (size_t i = 0; i < x->n_advice; i++) {
		const struct advice *a = &x->advice[i];

		json_open(j, NULL, '{');
		json_str(j, "to", a->to);
		if (a->line) {
			json_str(j, "line", a->line);
			json_str(j, "file", a->where);
			json_str(j, "place", a->place);
			if (a->before)
				json_int(j, "before_line", a->before);
		} else {
			json_str(j, "command", a->command);
		}
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void print_json(const struct explain *x)
{
	struct json j = { 0 };

	json_open(&j, NULL, '{');
	json_str(&j, "source", x->q.source);
	json_str(&j, "target", x->q.target[0] ? x->q.target : "@default");
	json_str(&j, "service", x->q.service);
	json_str(&j, "argument", x->q.argument);
	json_str(&j, "decision", pq_outcome(&x->d));
	json_str(&j, "reason", x->d.outcome == POL_O_ALLOW || x->d.outcome == POL_O_ASK ? NULL : x->d.reason);
	json_str(&j, "effective_target", x->d.outcome == POL_O_ALLOW ? effective(x) : NULL);
	json_str(&j, "effective_service", x->d.outcome == POL_O_ALLOW ? x->d.service : NULL);
	json_str(&j, "user", x->d.outcome == POL_O_ALLOW || x->d.outcome == POL_O_ASK ? user_of(x) : NULL);
	json_bool(&j, "autostart", x->d.autostart);
	json_bool(&j, "notify", x->d.notify);
	json_open(&j, "choices", '[');
	for (size_t i = 0; i < x->d.n_choices; i++)
		json_str(&j, NULL, x->d.choices[i]);
	json_close(&j, ']');
	json_str(&j, "default_target", x->d.default_target[0] ? x->d.default_target : NULL);
	if (x->d.rule) {
		json_rule(&j, "rule", x->d.rule);
		json_close(&j, '}');
	} else {
		json_str(&j, "rule", NULL);
	}
	json_open(&j, "near", '[');
	for (size_t i = 0; i < x->n_near; i++) {
		_cleanup_free_ char *why = why_near(x, &x->near[i]);

		json_rule(&j, NULL, &x->p->policy->rules[x->near[i].rule]);
		json_str(&j, "column", column_name(x->near[i].column));
		json_str(&j, "why", why);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_advice(&j, x);
	json_close(&j, '}');
}

static void print_decision(const struct explain *x)
{
	const struct pq *p = x->p;

	pq_name(p, x->q.source);
	printf(" → ");
	pq_name(p, x->q.target[0] ? x->q.target : "@default");
	printf("  ");
	out_text(p->t, x->q.service);
	out_text(p->t, streq(x->q.argument, "+") && !x->exact_argument ? "" : x->q.argument);
	printf("\n  decision   ");
	pq_word(p, pq_outcome(&x->d));
	if (x->d.outcome != POL_O_ALLOW && x->d.outcome != POL_O_ASK)
		printf(": %s", x->d.reason);
	if (x->standing && x->q.target[0] && streq(x->r.target, "@default") && !streq(x->q.target, "@default"))
		printf("\n  note       there is no qube '%s': the call counts as one that names no target", x->q.target);
	if (x->d.outcome == POL_O_ALLOW) {
		printf("\n  target     ");
		pq_name(p, effective(x));
		if (x->d.service)
			printf(" (relay), as %s", x->d.service);
		printf("%s", x->d.autostart ? "" : ", only while it runs");
	}
	if (x->d.outcome == POL_O_ASK) {
		printf("\n  choices    ");
		for (size_t i = 0; i < x->d.n_choices; i++) {
			printf("%s", i ? ", " : "");
			pq_name(p, x->d.choices[i]);
		}
		if (x->d.default_target[0])
			printf("\n  selected   %s", x->d.default_target);
	}
	if (x->d.outcome == POL_O_ALLOW || x->d.outcome == POL_O_ASK)
		printf("\n  user       %s", streq(user_of(x), "DEFAULT") ? "the target's default user" : user_of(x));
	(void)putchar('\n');
}

static void print_where(const struct pq *p, const struct pol_rule *r)
{
	out_text(p->t, pq_short(p, r->file));
	if (r->line)
		printf(":%u", r->line);
	else
		printf(" (implied by !compat-4.0)");
}

static void print_rules(const struct explain *x)
{
	const struct pq *p = x->p;

	if (x->d.rule) {
		_cleanup_free_ char *text = pq_rule_text(x->d.rule);

		printf("  rule       ");
		out_text(p->t, text);
		printf("\n  where      ");
		print_where(p, x->d.rule);
		(void)putchar('\n');
	} else if (p->policy && x->standing) {
		printf("  rule       none matches, so the call is refused\n");
	}
	if (x->n_near)
		printf("%s\n", x->d.rule ? "Rules before it that nearly matched:" : "Rules that nearly matched:");
	for (size_t i = 0; i < x->n_near; i++) {
		const struct pol_rule *r = &p->policy->rules[x->near[i].rule];
		_cleanup_free_ char *text = pq_rule_text(r), *why = why_near(x, &x->near[i]);

		printf("  ");
		print_where(p, r);
		printf("  ");
		out_text(p->t, text);
		printf("\n      %s: ", column_name(x->near[i].column));
		out_text(p->t, why);
		(void)putchar('\n');
	}
}

static void print_advice(const struct explain *x)
{
	if (x->n_advice)
		printf("What would change it:\n");
	for (size_t i = 0; i < x->n_advice; i++) {
		const struct advice *a = &x->advice[i];

		printf("  ");
		pq_word(x->p, a->to);
		printf("%*s ", (int)(5 - strlen(a->to)), "");
		if (a->command) {
			printf("run: %s\n", a->command);
			continue;
		}
		out_text(x->p->t, a->line);
		if (a->before)
			printf("\n        before line %u of %s\n", a->before, pq_short(x->p, a->where));
		else
			printf("\n        as %s line of %s\n", streq(a->place, "end") ? "the last" : "the first", pq_short(x->p, a->where));
	}
}

static void find_near(struct explain *x)
{
	size_t end = SIZE_MAX;

	for (size_t i = 0; x->d.rule && i < x->p->policy->n_rules; i++)
		if (x->d.rule == &x->p->policy->rules[i])
			end = i;
	x->n_near = pol_near_misses(x->p->policy, &x->r, end, &x->near);
}

int pq_explain(struct pq *p, int argc, char **argv)
{
	struct explain x = { .p = p, .q = { .source = argv[0], .target = argv[1] }, .exact_argument = strchr(argv[2], '+') != NULL };
	_cleanup_free_ char *service = NULL;
	int r;

	if (!pq_split(argv[2], &service, &x.q.argument))
		return tool_usage(p->t, "'%s' is no SERVICE[+ARGUMENT]", argv[2]);
	x.q.service = service;
	r = pq_table(p);
	if (r != 0)
		return r;
	if (!pol_sysinfo_find(&p->si, x.q.source))
		return tool_usage(p->t, "there is no qube '%s'", x.q.source);
	pq_policy(p);
	if (!p->policy) {
		pol_decision_deny(&x.d, "");
		(void)!str_printf(x.d.reason, sizeof x.d.reason, "the policy has an error, so every call is refused");
	} else {
		pol_evaluate(&x.d, p->policy, &p->si, &x.q);
		x.standing = pol_request_init(&x.r, &p->si, &x.q, NULL) == POL_O_ALLOW;
	}
	if (x.standing) {
		find_near(&x);
		advise(&x);
	}
	if (p->json) {
		print_json(&x);
	} else {
		print_decision(&x);
		if (!p->policy)
			printf("  error      %s\n", p->error.msg);
		print_rules(&x);
		print_advice(&x);
	}
	r = x.d.outcome == POL_O_ALLOW ? 0 : x.d.outcome == POL_O_ASK ? EXIT_ASK : EXIT_DENY;
	for (size_t i = 0; i < x.n_advice; i++) {
		free(x.advice[i].line);
		free(x.advice[i].command);
		free(x.advice[i].where);
	}
	free(x.near);
	pol_decision_fini(&x.d);
	return r;
}
