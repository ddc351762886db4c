/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations of qrexec-policy-eval. */
#include "daemon/policyd/evalops.h"

#include "base/str.h"
#include "core/policy/eval.h"
#include "daemon/policyd/evalfiles.h"
#include "policyfile/sysjson.h"

/* Tables are converted once: thousands of requests name the same few. */
static struct {
	char *name;
	struct pol_sysinfo si;
} tables[64];
static size_t n_tables;

void evalops_fini(void)
{
	for (size_t i = 0; i < n_tables; i++) {
		free(tables[i].name);
		pol_sysinfo_clear(&tables[i].si);
	}
	n_tables = 0;
}

static json_t *problem(const char *text)
{
	return json_pack("{s:s}", "error", text);
}

static const char *str_of(const json_t *o, const char *key, const char *fallback)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : fallback;
}

static const struct pol_sysinfo *table_of(const json_t *rq, const json_t *systems)
{
	static const struct pol_sysinfo empty;
	const char *name = str_of(rq, "system", NULL);
	const json_t *root;

	if (!name)
		return json_object_get(rq, "system") && !json_is_null(json_object_get(rq, "system")) ? NULL : &empty;
	for (size_t i = 0; i < n_tables; i++)
		if (streq(tables[i].name, name))
			return &tables[i].si;
	root = json_object_get(systems, name);
	if (!root || n_tables == ARRAY_SIZE(tables))
		return NULL;
	if (sysjson_table(&tables[n_tables].si, root, NULL) < 0) {
		pol_sysinfo_clear(&tables[n_tables].si);
		return NULL;
	}
	tables[n_tables].name = xstrdup(name);
	return &tables[n_tables++].si;
}

static json_t *maybe(const char *s)
{
	return s ? json_string(s) : json_null();
}

static json_t *rule_json(const struct pol_rule *r)
{
	bool deny = r->action == POL_DENY;
	json_t *o = json_object();

	json_object_set_new(o, "service", maybe(r->service));
	json_object_set_new(o, "argument", maybe(r->argument));
	json_object_set_new(o, "source", json_string(r->source.text));
	json_object_set_new(o, "target", json_string(r->target.text));
	json_object_set_new(o, "action", json_string(pol_action_name(r->action)));
	json_object_set_new(o, "user", maybe(r->user));
	json_object_set_new(o, "notify", json_boolean(r->notify));
	json_object_set_new(o, "autostart", deny ? json_null() : json_boolean(r->autostart));
	json_object_set_new(o, "redirect", maybe(r->redirect.text));
	json_object_set_new(o, "default_target", maybe(r->default_to.text));
	return o;
}

static json_t *outcome(const char *name)
{
	return json_pack("{s:s}", "outcome", name);
}

static json_t *op_token(const json_t *rq)
{
	static const char *const contexts[POL_CTX_N] = { "Source", "Target", "Redirect", "IntendedTarget" };
	const char *ctx = str_of(rq, "context", ""), *text = str_of(rq, "text", NULL);
	struct pol_token t;

	for (int i = 0; i < POL_CTX_N && text; i++) {
		json_t *o;

		if (!streq(ctx, contexts[i]))
			continue;
		if (pol_token_parse(&t, (enum pol_context)i, text, NULL) < 0)
			return json_pack("{s:b,s:n}", "valid", 0, "kind");
		o = json_pack("{s:b,s:s}", "valid", 1, "kind", pol_kind_name(t.kind));
		pol_token_fini(&t);
		return o;
	}
	return problem("token needs context and text");
}

static json_t *op_token_match(const json_t *rq, const struct pol_sysinfo *si)
{
	const char *token = str_of(rq, "policy_token", NULL), *value = str_of(rq, "value", NULL);
	struct pol_request r;
	struct pol_token t;
	bool match;

	if (!token || !value)
		return problem("token-match needs policy_token and value");
	if (pol_token_parse(&t, POL_CTX_TARGET, token, NULL) < 0)
		return outcome("syntax-error");
	match = pol_request_raw(&r, si, str_of(rq, "for_source", NULL), value) && pol_match_target(&t, &r);
	pol_token_fini(&t);
	return json_pack("{s:b}", "match", match);
}

static int parse_rule(struct pol_rule *ret, const json_t *rq)
{
	const char *line = str_of(rq, "line", NULL);

	if (!line)
		return -EBADMSG;
	if (streq(str_of(rq, "form", "4.x"), "4.0"))
		return pol_rule_parse_40(ret, str_of(rq, "service", "*"), str_of(rq, "argument", "*"), line, NULL);
	return pol_rule_parse(ret, line, NULL);
}

static json_t *op_rule(const json_t *rq)
{
	struct pol_rule r;
	json_t *o;

	if (parse_rule(&r, rq) < 0)
		return outcome("syntax-error");
	o = json_pack("{s:s,s:o}", "outcome", "ok", "rule", rule_json(&r));
	pol_rule_fini(&r);
	return o;
}

static bool query_of(struct pol_query *q, const json_t *o)
{
	*q = (struct pol_query){ str_of(o, "service", NULL), str_of(o, "argument", "+"), str_of(o, "source", NULL), str_of(o, "target", ""),
				 str_of(o, "requested_source", NULL) };
	return q->service && q->source;
}

static void put_param(struct wr *w, const json_t *rule, const char *field, const char *param)
{
	const json_t *v = json_object_get(rule, field);

	if (json_is_string(v))
		wr_printf(w, " %s=%s", param, json_string_value(v));
	else if (json_is_boolean(v))
		wr_printf(w, " %s=%s", param, json_is_true(v) ? "yes" : "no");
}

/* The object that op rule answers, as a line. */
static int rule_of_fields(struct pol_rule *ret, const json_t *rule)
{
	_cleanup_wr_ struct wr w = wr_grow(1u << 20);

	wr_printf(&w, "%s %s %s %s %s", str_of(rule, "service", "*"), str_of(rule, "argument", "*"), str_of(rule, "source", ""),
		  str_of(rule, "target", ""), str_of(rule, "action", ""));
	put_param(&w, rule, "redirect", "target");
	put_param(&w, rule, "default_target", "default_target");
	put_param(&w, rule, "user", "user");
	put_param(&w, rule, "notify", "notify");
	put_param(&w, rule, "autostart", "autostart");
	wr_u8(&w, 0);
	return wr_ok(&w) ? pol_rule_parse(ret, (const char *)w.buf, NULL) : -EBADMSG;
}

/* A rule is given as a line, as the object that op rule takes, or as the one that it answers. */
static int rule_of(struct pol_rule *ret, const json_t *rq)
{
	const json_t *rule = json_object_get(rq, "rule");

	if (json_is_string(rule))
		return pol_rule_parse(ret, json_string_value(rule), NULL);
	if (json_is_object(rule) && !json_object_get(rule, "line"))
		return rule_of_fields(ret, rule);
	return parse_rule(ret, json_is_object(rule) ? rule : rq);
}

static json_t *op_rule_match(const json_t *rq, const struct pol_sysinfo *si)
{
	struct pol_request r;
	struct pol_query q;
	struct pol_rule rule;
	enum pol_outcome o;
	json_t *ret;

	if (!query_of(&q, json_object_get(rq, "query")))
		return problem("rule-match needs rule and query");
	if (rule_of(&rule, rq) < 0)
		return outcome("syntax-error");
	o = pol_request_init(&r, si, &q, NULL);
	ret = o == POL_O_ALLOW ? json_pack("{s:b}", "match", pol_match(&rule, &r)) :
				 json_pack("{s:b,s:s}", "match", 0, "outcome", pol_outcome_name(o));
	pol_rule_fini(&rule);
	return ret;
}

static struct policy *load(const json_t *rq, const char **ret_why)
{
	const json_t *dirs = json_object_get(rq, "dirs");
	struct policy *p = NULL;
	struct evalfiles f;
	int r;

	if (dirs) {
		evalfiles_init(&f, json_object_get(dirs, "run"), json_object_get(dirs, "etc"), json_object_get(dirs, "legacy"));
		r = policy_load(&p, &f.loader, 2, NULL);
	} else {
		evalfiles_init(&f, json_object_get(rq, "files"), NULL, json_object_get(rq, "legacy_files"));
		r = policy_load_file(&p, &f.loader, "main.policy", NULL);
	}
	*ret_why = r == 0 ? NULL : r == -EBADMSG ? "syntax-error" : "deny";
	return p;
}

static json_t *op_load(const json_t *rq)
{
	const char *why;
	struct policy *p = load(rq, &why);
	json_t *rules;

	if (!p)
		return outcome(why);
	rules = json_array();
	for (size_t i = 0; i < p->n_rules; i++) {
		json_t *o = rule_json(&p->rules[i]);

		json_object_set_new(o, "line", p->rules[i].line ? json_integer(p->rules[i].line) : json_null());
		json_array_append_new(rules, o);
	}
	policy_free(p);
	return json_pack("{s:s,s:o}", "outcome", "ok", "rules", rules);
}

static json_t *op_request(const json_t *rq, const struct pol_sysinfo *si)
{
	struct pol_request r;
	struct pol_query q;
	enum pol_outcome o;

	if (!query_of(&q, json_object_get(rq, "query")))
		return problem("request needs a query");
	o = pol_request_init(&r, si, &q, NULL);
	if (o != POL_O_ALLOW)
		return outcome(pol_outcome_name(o));
	return json_pack("{s:s,s:s,s:s}", "outcome", "ok", "effective_source", r.source, "effective_target", r.target);
}

static json_t *names_json(char **v, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, json_string(v[i]));
	return a;
}

static json_t *op_ask_choices(const json_t *rq, const struct pol_sysinfo *si)
{
	const char *why;
	struct policy *p;
	struct pol_request r;
	struct pol_query q;
	char **v = NULL;
	size_t n = 0;
	enum pol_outcome o;
	json_t *ret;

	if (!query_of(&q, json_object_get(rq, "query")))
		return problem("ask-choices needs files and a query");
	p = load(rq, &why);
	if (!p)
		return outcome(why);
	o = pol_request_init(&r, si, &q, NULL);
	if (o == POL_O_ALLOW) {
		pol_choices(p, si, &r, NULL, true, &v, &n);
		ret = json_pack("{s:o}", "choices", names_json(v, n));
		pol_names_free(v, n);
	} else {
		ret = outcome(pol_outcome_name(o));
	}
	policy_free(p);
	return ret;
}

static json_t *allow_json(const struct pol_decision *d)
{
	json_t *o = outcome("allow"), *map = json_object();
	struct pol_reply reply;

	pol_reply_make(&reply, d);
	for (size_t i = 0; i < reply.n; i++)
		json_object_set_new(map, reply.v[i].key, json_string(reply.v[i].value));
	pol_reply_fini(&reply);
	json_object_set_new(o, "target", json_string(d->target));
	json_object_set_new(o, "user", maybe(d->user));
	json_object_set_new(o, "autostart", json_boolean(d->autostart));
	json_object_set_new(o, "notify", json_boolean(d->notify));
	json_object_set_new(o, "rule_line", d->rule->line ? json_integer(d->rule->line) : json_null());
	json_object_set_new(o, "reply", map);
	return o;
}

static json_t *decision_json(const struct pol_decision *d)
{
	json_t *o;

	if (d->outcome == POL_O_ALLOW)
		return allow_json(d);
	o = outcome(pol_outcome_name(d->outcome));
	json_object_set_new(o, "notify", json_boolean(d->notify));
	if (d->outcome != POL_O_ASK)
		return o;
	json_object_set_new(o, "choices", names_json(d->choices, d->n_choices));
	json_object_set_new(o, "default_target", maybe(d->default_target[0] ? d->default_target : NULL));
	json_object_set_new(o, "user", maybe(d->user));
	json_object_set_new(o, "autostart", json_boolean(d->autostart));
	json_object_set_new(o, "rule_line", d->rule->line ? json_integer(d->rule->line) : json_null());
	return o;
}

static json_t *op_evaluate(const json_t *rq, const struct pol_sysinfo *si)
{
	struct pol_decision d;
	struct policy *p;
	struct pol_query q;
	const char *why;
	json_t *o;

	if (!query_of(&q, json_object_get(rq, "query")))
		return problem("evaluate needs a query with service and source");
	p = load(rq, &why);
	if (!p)
		return json_pack("{s:s,s:b}", "outcome", why, "notify", 1);
	pol_evaluate(&d, p, si, &q);
	o = decision_json(&d);
	pol_decision_fini(&d);
	policy_free(p);
	return o;
}

json_t *evalop_run(const json_t *request, const json_t *systems)
{
	const char *op = str_of(request, "op", NULL);
	const struct pol_sysinfo *si;

	if (!op)
		return problem("no op");
	if (streq(op, "token"))
		return op_token(request);
	if (streq(op, "rule"))
		return op_rule(request);
	if (streq(op, "load"))
		return op_load(request);
	si = table_of(request, systems);
	if (!si)
		return problem("unknown system");
	if (streq(op, "token-match"))
		return op_token_match(request, si);
	if (streq(op, "rule-match"))
		return op_rule_match(request, si);
	if (streq(op, "request"))
		return op_request(request, si);
	if (streq(op, "ask-choices"))
		return op_ask_choices(request, si);
	if (streq(op, "evaluate") || streq(op, "evaluate-dirs"))
		return op_evaluate(request, si);
	return problem("unknown op");
}
