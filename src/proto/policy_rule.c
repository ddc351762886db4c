/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tokens and rules of the policy language, both ways. */
#include "base/str.h"
#include "proto/policy.h"
#include "proto/policy_lex.h"

#define C(x) (1u << POL_CTX_##x)

static const struct {
	const char *text; /* exact word, or prefix when the kind has a value */
	const char *name;
	bool prefix;
	unsigned contexts;
} kinds[POL_KIND_N] = {
	[POL_NAME] = { "", "name", false, C(SOURCE) | C(TARGET) | C(REDIRECT) | C(INTENDED) },
	[POL_ADMIN] = { "@adminvm", "AdminVM", false, C(SOURCE) | C(TARGET) | C(REDIRECT) | C(INTENDED) },
	[POL_ANY] = { "@anyvm", "AnyVM", false, C(SOURCE) | C(TARGET) },
	[POL_WILDCARD] = { "*", "WildcardVM", false, C(SOURCE) | C(TARGET) },
	[POL_DEFAULT] = { "@default", "DefaultVM", false, C(TARGET) | C(INTENDED) },
	[POL_DISPVM] = { "@dispvm", "DispVM", false, C(TARGET) | C(REDIRECT) | C(INTENDED) },
	[POL_DISPVM_TEMPLATE] = { "@dispvm:", "DispVMTemplate", true, C(SOURCE) | C(TARGET) | C(REDIRECT) | C(INTENDED) },
	[POL_DISPVM_TAG] = { "@dispvm:@tag:", "DispVMTag", true, C(SOURCE) | C(TARGET) },
	[POL_TAG] = { "@tag:", "TagVM", true, C(SOURCE) | C(TARGET) },
	[POL_TYPE] = { "@type:", "TypeVM", true, C(SOURCE) | C(TARGET) },
};
static const char *const context_names[POL_CTX_N] = { "source", "target", "redirect", "requested target" };
static const char *const action_names[POL_ACTION_N] = { "allow", "ask", "deny" };

uint32_t pol_hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

const char *pol_kind_name(enum pol_kind kind)
{
	return kinds[kind].name;
}

const char *pol_action_name(enum pol_action action)
{
	return action_names[action];
}

/* The kind a text has, its longest matching prefix deciding; POL_KIND_N for an unknown @ word. */
static enum pol_kind classify(const char *text, enum pol_context ctx)
{
	if (text[0] != '@')
		return streq(text, "*") ? POL_WILDCARD : POL_NAME;
	for (enum pol_kind k = POL_ADMIN; k < POL_KIND_N; k++)
		if (!kinds[k].prefix && streq(text, kinds[k].text))
			return k;
	/* Where a tag of disposable templates is not allowed its '@' is what makes the token wrong. */
	if (str_starts(text, kinds[POL_DISPVM_TAG].text) && kinds[POL_DISPVM_TAG].contexts & 1u << ctx)
		return POL_DISPVM_TAG;
	for (enum pol_kind k = POL_ADMIN; k < POL_KIND_N; k++)
		if (kinds[k].prefix && k != POL_DISPVM_TAG && str_starts(text, kinds[k].text))
			return k;
	return POL_KIND_N;
}

int pol_token_parse(struct pol_token *ret, enum pol_context ctx, const char *text, struct err *e)
{
	struct pol_token t = { 0 };
	const char *value;
	char shown[100];

	(void)str_escape(shown, sizeof shown, text, strlen(text));
	if (!text[0])
		return err_set(e, EBADMSG, "the %s is empty", context_names[ctx]);
	if (streq(text, "dom0") || streq(text, "uuid:00000000-0000-0000-0000-000000000000"))
		text = "@adminvm";
	t.kind = classify(text, ctx);
	if (t.kind == POL_KIND_N)
		return err_set(e, EBADMSG, "'%s' is not a known keyword", shown);
	if (!(kinds[t.kind].contexts & 1u << ctx))
		return err_set(e, EBADMSG, "'%s' cannot be a %s", shown, context_names[ctx]);
	value = text + (kinds[t.kind].prefix ? strlen(kinds[t.kind].text) : 0);
	if (kinds[t.kind].prefix && !value[0])
		return err_set(e, EBADMSG, "'%s' lacks the part behind ':'", shown);
	if (kinds[t.kind].prefix && strchr(value, '@'))
		return err_set(e, EBADMSG, "'%s' has a second '@'", shown);
	t.text = xstrdup(text);
	t.value = t.text + (value - text);
	t.hash = pol_hash(t.value);
	*ret = t;
	return 0;
}

void pol_token_fini(struct pol_token *t)
{
	free(t->text);
	*t = (struct pol_token){ 0 };
}

void pol_rule_fini(struct pol_rule *r)
{
	free(r->service);
	free(r->argument);
	free(r->user);
	pol_token_fini(&r->source);
	pol_token_fini(&r->target);
	pol_token_fini(&r->redirect);
	pol_token_fini(&r->default_to);
	*r = (struct pol_rule){ 0 };
}

static int parse_service(struct pol_rule *r, const char *service, const char *argument, struct err *e)
{
	char shown[100];

	if (!streq(service, "*")) {
		(void)str_escape(shown, sizeof shown, service, strlen(service));
		if (!service[0] || !str_chars(service, "._-"))
			return err_set(e, EBADMSG, "service '%s' has characters other than letters, digits, '.', '_', '-'", shown);
		r->service = xstrdup(service);
		r->service_hash = pol_hash(service);
	}
	if (streq(argument, "*"))
		return 0;
	(void)str_escape(shown, sizeof shown, argument, strlen(argument));
	if (argument[0] != '+')
		return err_set(e, EBADMSG, "argument '%s' must be '*' or begin with '+'", shown);
	if (!str_chars(argument + 1, "+._-"))
		return err_set(e, EBADMSG, "argument '%s' has characters other than letters, digits, '+', '.', '_', '-'", shown);
	if (!r->service)
		return err_set(e, EBADMSG, "a rule for every service cannot have argument '%s'", shown);
	r->argument = xstrdup(argument);
	return 0;
}

static int parse_yes(const char *value, bool *ret, const char *key, struct err *e)
{
	if (!streq(value, "yes") && !streq(value, "no"))
		return err_set(e, EBADMSG, "%s= must be yes or no", key);
	*ret = value[0] == 'y';
	return 0;
}

enum param { P_TARGET, P_USER, P_NOTIFY, P_AUTOSTART, P_KEEP, P_DEFAULT_TARGET, P_N };
static const struct {
	const char *key;
	unsigned actions;
} params[P_N] = {
	[P_TARGET] = { "target", 1u << POL_ALLOW | 1u << POL_ASK },
	[P_USER] = { "user", 1u << POL_ALLOW | 1u << POL_ASK },
	[P_NOTIFY] = { "notify", 1u << POL_ALLOW | 1u << POL_ASK | 1u << POL_DENY },
	[P_AUTOSTART] = { "autostart", 1u << POL_ALLOW | 1u << POL_ASK },
	[P_KEEP] = { "keep", 1u << POL_ALLOW | 1u << POL_ASK },
	[P_DEFAULT_TARGET] = { "default_target", 1u << POL_ASK },
};

static int set_param(struct pol_rule *r, enum param p, const char *value, struct err *e)
{
	bool yes = false;
	int k;

	switch (p) {
	case P_TARGET:
		return pol_token_parse(&r->redirect, POL_CTX_REDIRECT, value, e);
	case P_DEFAULT_TARGET:
		return pol_token_parse(&r->default_to, POL_CTX_REDIRECT, value, e);
	case P_USER:
		r->user = xstrdup(value);
		return 0;
	case P_NOTIFY:
		return parse_yes(value, &r->notify, "notify", e);
	case P_AUTOSTART:
		return parse_yes(value, &r->autostart, "autostart", e);
	case P_KEEP:
		k = parse_yes(value, &yes, "keep", e);
		r->keep = yes;
		return k;
	case P_N:
		break;
	}
	return -EBADMSG;
}

static int parse_params(struct pol_rule *r, char **words, size_t n, struct err *e)
{
	unsigned seen = 0;

	for (size_t i = 0; i < n; i++) {
		char *eq = strchr(words[i], '='), shown[100];
		enum param p = P_TARGET;
		int k;

		(void)str_escape(shown, sizeof shown, words[i], strlen(words[i]));
		if (!eq)
			return err_set(e, EBADMSG, "parameter '%s' has no '='", shown);
		*eq = '\0';
		while (p < P_N && !streq(words[i], params[p].key))
			p++;
		*eq = '=';
		if (p == P_N || !(params[p].actions & 1u << r->action))
			return err_set(e, EBADMSG, "'%s' is not a parameter of %s", shown, action_names[r->action]);
		if (seen & 1u << p)
			return err_set(e, EBADMSG, "parameter %s is given twice", params[p].key);
		seen |= 1u << p;
		k = set_param(r, p, eq + 1, e);
		if (k < 0)
			return k;
	}
	return 0;
}

/* words: source, target, action, parameters. */
static int parse_rest(struct pol_rule *r, char **words, size_t n, struct err *e)
{
	char shown[100];
	int k = pol_token_parse(&r->source, POL_CTX_SOURCE, words[0], e);

	if (k == 0)
		k = pol_token_parse(&r->target, POL_CTX_TARGET, words[1], e);
	if (k < 0)
		return k;
	while (r->action < POL_ACTION_N && !streq(words[2], action_names[r->action]))
		r->action++;
	if (r->action == POL_ACTION_N)
		return err_set(e, EBADMSG, "'%s' is not an action (allow, ask, deny)",
			       str_escape(shown, sizeof shown, words[2], strlen(words[2])));
	r->notify = r->action == POL_DENY;
	r->autostart = r->action != POL_DENY;
	r->keep = -1;
	k = parse_params(r, words + 3, n - 3, e);
	if (k < 0)
		return k;
	if (r->action == POL_ALLOW && r->target.kind == POL_DEFAULT && !r->redirect.text)
		return err_set(e, EBADMSG, "allow for target @default needs target=");
	return 0;
}

static int finish(struct pol_rule *ret, struct pol_rule *r, int k)
{
	if (k < 0)
		pol_rule_fini(r);
	else
		*ret = *r;
	return k;
}

static int parse_words(struct pol_rule *ret, struct pol_words *w, struct err *e)
{
	struct pol_rule r = { 0 };
	int k;

	if (w->n < 5)
		return err_set(e, EBADMSG, "a rule needs SERVICE ARGUMENT SOURCE TARGET ACTION, here are %zu words", w->n);
	if (w->more)
		return err_set(e, EBADMSG, "a rule cannot have more than %d words", POL_WORDS_MAX);
	k = parse_service(&r, w->v[0], w->v[1], e);
	if (k == 0)
		k = parse_rest(&r, w->v + 2, w->n - 2, e);
	return finish(ret, &r, k);
}

int pol_rule_parse(struct pol_rule *ret, const char *line, struct err *e)
{
	struct pol_words w;
	int k;

	if (!pol_text_ok(line, strlen(line)))
		return err_set(e, EBADMSG, "not UTF-8");
	pol_split(&w, line, strlen(line), false);
	k = parse_words(ret, &w, e);
	pol_words_fini(&w);
	return k;
}

int pol_rule_parse_40(struct pol_rule *ret, const char *service, const char *argument, const char *line, struct err *e)
{
	struct pol_rule r = { 0 };
	struct pol_words w;
	int k;

	if (!pol_text_ok(line, strlen(line)))
		return err_set(e, EBADMSG, "not UTF-8");
	pol_split(&w, line, strlen(line), true);
	if (w.n < 3)
		k = err_set(e, EBADMSG, "an old-style rule needs SOURCE TARGET ACTION, here are %zu words", w.n);
	else if (w.more)
		k = err_set(e, EBADMSG, "a rule cannot have more than %d words", POL_WORDS_MAX);
	else
		k = parse_service(&r, service, argument, e);
	if (k == 0)
		k = parse_rest(&r, w.v, w.n, e);
	pol_words_fini(&w);
	return finish(ret, &r, k);
}

void pol_rule_format(struct wr *w, const struct pol_rule *r)
{
	wr_printf(w, "%s %s %s %s %s", r->service ? r->service : "*", r->argument ? r->argument : "*", r->source.text, r->target.text,
		  action_names[r->action]);
	if (r->redirect.text)
		wr_printf(w, " target=%s", r->redirect.text);
	if (r->default_to.text)
		wr_printf(w, " default_target=%s", r->default_to.text);
	if (r->user)
		wr_printf(w, " user=%s", r->user);
	if (r->notify != (r->action == POL_DENY))
		wr_printf(w, " notify=%s", r->notify ? "yes" : "no");
	if (r->action != POL_DENY && !r->autostart)
		wr_str(w, " autostart=no");
	if (r->action != POL_DENY && r->keep >= 0)
		wr_printf(w, " keep=%s", r->keep ? "yes" : "no");
}
