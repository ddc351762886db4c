/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions: a table of cases written by hand, and 200 000 random (policy, query) pairs against a second, slow evaluator that works on
 * texts only and shares nothing with the real one but the parser.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "base/wr.h"
#include "core/policy/eval.h"

/* --- a small system ---------------------------------------------------------------------------------------------- */
struct sys_row {
	const char *name, *klass, *tags, *default_dispvm, *state, *relay, *rpc;
	bool dvm, internal;
};
static const struct sys_row rows[] = {
	{ "dom0", "AdminVM", "dom0-tag", "dvm", "Running", NULL, NULL, false, false },
	{ "work", "AppVM", "t1", "dvm", "Running", NULL, NULL, false, false },
	{ "vault", "AppVM", "t1,t2", NULL, "Halted", NULL, NULL, false, false },
	{ "web", "StandaloneVM", "", "odd", "Running", NULL, NULL, false, false },
	{ "dvm", "AppVM", "t3", "dvm", "Halted", NULL, NULL, true, false },
	{ "dvm2", "AppVM", "t2", NULL, "Running", NULL, NULL, true, true },
	{ "odd", "TemplateVM", "t3", NULL, "Halted", NULL, NULL, false, true },
	{ "far", "RemoteVM", "t1", NULL, "Running", "web", "qubes.Relay", false, false },
	{ "lost", "RemoteVM", "", NULL, "Halted", NULL, NULL, false, false },
};

static struct pol_sysinfo table(void)
{
	struct pol_sysinfo si = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pol_qube *q = pol_qube_new(rows[i].name);
		_cleanup_free_ char *uuid = xasprintf("u-%s", rows[i].name), *tags = xstrdup(rows[i].tags);

		pol_qube_set_uuid(q, uuid);
		pol_set(&q->klass, rows[i].klass);
		pol_set(&q->default_dispvm, rows[i].default_dispvm);
		pol_set(&q->power_state, rows[i].state);
		pol_set(&q->relayvm, rows[i].relay);
		pol_set(&q->transport_rpc, rows[i].rpc);
		q->template_for_dispvms = rows[i].dvm;
		q->internal = rows[i].internal;
		for (char *s = tags, *next; *s; s = next) {
			next = s + strcspn(s, ",");
			if (*next)
				*next++ = '\0';
			pol_qube_add_tag(q, s);
		}
		pol_sysinfo_set(&si, q);
	}
	return si;
}

static int one_text(void *arg, int dir, const char *path, char **ret, size_t *ret_len, struct err *e)
{
	*ret = xstrdup(arg);
	*ret_len = strlen(*ret);
	return 0;
}

static struct policy *parse(const char *text)
{
	const struct pol_loader l = { .arg = (void *)(uintptr_t)text, .text = one_text };
	struct policy *p = NULL;
	struct err e = { 0 };

	if (policy_load_file(&p, &l, "main.policy", &e) < 0)
		fail_msg("%s\n%s", e.msg, text);
	return p;
}

/* A decision as one text, for comparison. */
static char *render(const struct pol_decision *d)
{
	struct wr w = wr_grow(1u << 16);

	wr_str(&w, pol_outcome_name(d->outcome));
	if (d->outcome == POL_O_ALLOW) {
		struct pol_reply r;

		wr_printf(&w, " line=%u notify=%d to=%s", d->rule->line, d->notify, d->target);
		pol_reply_make(&r, d);
		for (size_t i = 0; i < r.n; i++)
			wr_printf(&w, " %s=%s", r.v[i].key, r.v[i].value);
		pol_reply_fini(&r);
	} else if (d->outcome == POL_O_ASK) {
		wr_printf(&w, " line=%u notify=%d autostart=%d default=%s", d->rule->line, d->notify, d->autostart, d->default_target);
		for (size_t i = 0; i < d->n_choices; i++)
			wr_printf(&w, " %s", d->choices[i]);
	} else {
		wr_printf(&w, " notify=%d", d->notify);
	}
	return wr_take(&w, NULL);
}

static char *run(const struct pol_sysinfo *si, const char *policy, const char *source, const char *target, const char *requested)
{
	const struct pol_query q = { "s", "+a", source, target, requested };
	struct policy *p = parse(policy);
	struct pol_decision d;
	char *text;

	pol_evaluate(&d, p, si, &q);
	text = render(&d);
	if (d.outcome != POL_O_ALLOW && d.outcome != POL_O_ASK)
		assert_true(d.reason[0]);
	pol_decision_fini(&d);
	policy_free(p);
	return text;
}

static const struct {
	const char *policy, *source, *target, *requested, *want;
} cases[] = {
	/* no policy, no match */
	{ "", "work", "vault", NULL, "deny notify=1" },
	{ "x * * * ask", "work", "vault", NULL, "deny notify=1" },
	{ "s +b * * ask", "work", "vault", NULL, "deny notify=1" },
	{ "s +a work vault deny", "work", "vault", NULL, "deny notify=1" },
	{ "s +a work vault deny notify=no", "work", "vault", NULL, "deny notify=0" },
	/* allow */
	{ "s * work vault allow", "work", "vault", NULL,
	  "allow line=1 notify=0 to=vault user=DEFAULT result=allow target=vault target_uuid=uuid:u-vault autostart=True requested_target=vault" },
	{ "s * work vault allow user=root notify=yes", "work", "vault", NULL,
	  "allow line=1 notify=1 to=vault user=root result=allow target=vault target_uuid=uuid:u-vault autostart=True requested_target=vault" },
	{ "s * work vault allow autostart=no", "work", "vault", NULL, "deny notify=1" },
	{ "s * work web allow autostart=no", "work", "web", NULL,
	  "allow line=1 notify=0 to=web user=DEFAULT result=allow target=web target_uuid=uuid:u-web autostart=False requested_target=web" },
	{ "s * @anyvm @anyvm allow", "work", "work", NULL, "deny notify=1" },
	{ "s * @anyvm @anyvm allow", "work", "uuid:u-work", NULL, "deny notify=1" },
	{ "s * @anyvm @anyvm allow", "uuid:u-work", "work", NULL, "deny notify=1" },
	{ "s * * * allow", "dom0", "dom0", NULL, "deny notify=1" },
	{ "s * @anyvm @anyvm allow", "work", "dom0", NULL, "deny notify=1" },
	{ "s * @anyvm * allow", "work", "dom0", NULL,
	  "allow line=1 notify=0 to=dom0 user=DEFAULT result=allow target=dom0 autostart=True requested_target=@adminvm" },
	{ "s * @anyvm @adminvm allow autostart=no", "work", "uuid:00000000-0000-0000-0000-000000000000", NULL,
	  "allow line=1 notify=0 to=dom0 user=DEFAULT result=allow target=dom0 autostart=False requested_target=@adminvm" },
	{ "s * @anyvm @type:AdminVM allow", "work", "dom0", NULL, "deny notify=1" },
	{ "s * @anyvm @tag:dom0-tag allow", "work", "dom0", NULL, "deny notify=1" },
	/* unknown target, empty target */
	{ "s * @anyvm @anyvm allow", "work", "nope", NULL, "deny notify=1" },
	{ "s * @anyvm nope allow", "work", "nope", NULL, "deny notify=1" },
	{ "s * @anyvm @default allow target=vault", "work", "nope", NULL,
	  "allow line=1 notify=0 to=vault user=DEFAULT result=allow target=vault target_uuid=uuid:u-vault autostart=True requested_target=@default" },
	{ "s * @anyvm @default allow target=vault", "work", "", NULL,
	  "allow line=1 notify=0 to=vault user=DEFAULT result=allow target=vault target_uuid=uuid:u-vault autostart=True requested_target=@default" },
	{ "s * @anyvm @default allow target=nope", "work", "", NULL, "deny notify=1" },
	{ "s * @anyvm @default allow target=dom0", "work", "", NULL,
	  "allow line=1 notify=0 to=dom0 user=DEFAULT result=allow target=dom0 autostart=True requested_target=@default" },
	/* bad requests */
	{ "s * * * allow", "work", "@anyvm", NULL, "syntax-error notify=1" },
	{ "s * * * allow", "work", "@tag:t1", NULL, "syntax-error notify=1" },
	{ "s * * * allow", "work", "*", NULL, "syntax-error notify=1" },
	{ "s * * * allow", "work", "@dispvm:@tag:t3", NULL, "syntax-error notify=1" },
	{ "s * * * allow", "work", "@dispvm:vault", NULL, "deny notify=1" },
	{ "s * * * allow", "work", "@dispvm:nope", NULL, "deny notify=1" },
	/* disposables */
	{ "s * @anyvm @dispvm allow", "work", "@dispvm", NULL,
	  "allow line=1 notify=0 to=@dispvm:dvm user=DEFAULT result=allow target=@dispvm:dvm target_uuid=@dispvm:uuid:u-dvm autostart=True "
	  "requested_target=@dispvm" },
	{ "s * @anyvm @dispvm allow autostart=no", "work", "@dispvm", NULL, "deny notify=1" },
	{ "s * @anyvm @dispvm allow", "vault", "@dispvm", NULL, "deny notify=1" },
	{ "s * @anyvm @dispvm allow", "work", "@dispvm:dvm", NULL, "deny notify=1" },
	{ "s * @anyvm @dispvm:dvm allow", "work", "@dispvm", NULL,
	  "allow line=1 notify=0 to=@dispvm:dvm user=DEFAULT result=allow target=@dispvm:dvm target_uuid=@dispvm:uuid:u-dvm autostart=True "
	  "requested_target=@dispvm" },
	{ "s * @anyvm @dispvm:uuid:u-dvm2 allow user=u", "work", "@dispvm:dvm2", NULL,
	  "allow line=1 notify=0 to=@dispvm:dvm2 user=u result=allow target=@dispvm:dvm2 target_uuid=@dispvm:uuid:u-dvm2 autostart=True "
	  "requested_target=@dispvm:dvm2" },
	{ "s * @anyvm @dispvm:dvm allow", "vault", "@dispvm", NULL, "deny notify=1" },
	{ "s * @anyvm @dispvm:@tag:t3 allow", "work", "@dispvm", NULL,
	  "allow line=1 notify=0 to=@dispvm:dvm user=DEFAULT result=allow target=@dispvm:dvm target_uuid=@dispvm:uuid:u-dvm autostart=True "
	  "requested_target=@dispvm" },
	{ "s * @anyvm @dispvm:@tag:t3 allow", "work", "@dispvm:dvm2", NULL, "deny notify=1" },
	{ "s * @dispvm:dvm @anyvm allow", "dvm", "vault", NULL, "deny notify=1" },
	{ "s * work vault allow target=@dispvm", "work", "vault", NULL,
	  "allow line=1 notify=0 to=@dispvm:dvm user=DEFAULT result=allow target=@dispvm:dvm target_uuid=@dispvm:uuid:u-dvm autostart=True "
	  "requested_target=vault" },
	{ "s * work vault allow target=@dispvm:vault", "work", "vault", NULL, "deny notify=1" },
	/* sources */
	{ "s * uuid:u-work vault ask", "work", "vault", NULL, "ask line=1 notify=0 autostart=1 default= vault" },
	{ "s * work uuid:u-vault ask", "uuid:u-work", "vault", NULL, "ask line=1 notify=0 autostart=1 default= vault" },
	{ "s * @tag:t1 vault ask", "work", "vault", NULL, "ask line=1 notify=0 autostart=1 default= vault" },
	{ "s * @tag:t2 vault ask", "work", "vault", NULL, "deny notify=1" },
	{ "s * @type:AppVM vault ask", "work", "vault", NULL, "ask line=1 notify=0 autostart=1 default= vault" },
	{ "s * @anyvm vault ask", "dom0", "vault", NULL, "deny notify=1" },
	{ "s * dom0 vault ask", "dom0", "vault", NULL, "ask line=1 notify=0 autostart=1 default= vault" },
	{ "s * ghost vault ask", "ghost", "vault", NULL, "ask line=1 notify=0 autostart=1 default= vault" },
	/* ask: choices */
	{ "s * work * ask", "work", "vault", NULL,
	  "ask line=1 notify=0 autostart=1 default= @dispvm:dvm @dispvm:dvm2 dom0 dvm far lost vault web" },
	{ "s * work @anyvm ask", "work", "nope", NULL,
	  "ask line=1 notify=0 autostart=1 default= @dispvm:dvm @dispvm:dvm2 dvm far lost vault web" },
	{ "s * work vault deny\ns * work @anyvm ask", "work", "web", NULL,
	  "ask line=2 notify=0 autostart=1 default= @dispvm:dvm @dispvm:dvm2 dvm far lost web" },
	{ "s * work @anyvm ask\ns * work vault deny", "work", "web", NULL,
	  "ask line=1 notify=0 autostart=1 default= @dispvm:dvm @dispvm:dvm2 dvm far lost vault web" },
	{ "s * work @tag:t1 ask", "work", "vault", NULL, "ask line=1 notify=0 autostart=1 default= far vault" },
	{ "s * work @type:AdminVM ask\ns * work @default ask", "work", "", NULL, "ask line=2 notify=0 autostart=1 default= dom0" },
	{ "s * work @dispvm:@tag:t3 ask", "work", "@dispvm", NULL, "ask line=1 notify=0 autostart=1 default= @dispvm:dvm" },
	{ "s * work @anyvm ask autostart=no", "work", "web", NULL, "ask line=1 notify=0 autostart=0 default= far web" },
	{ "s * work vault ask autostart=no", "work", "vault", NULL, "deny notify=1" },
	{ "s * work @default ask", "work", "", NULL, "deny notify=1" },
	{ "s * work vault ask target=web notify=yes user=u", "work", "vault", NULL, "ask line=1 notify=1 autostart=1 default= web" },
	{ "s * work vault ask target=nope", "work", "vault", NULL, "deny notify=1" },
	{ "s * work @anyvm ask default_target=web", "work", "", NULL,
	  "ask line=1 notify=0 autostart=1 default=web @dispvm:dvm @dispvm:dvm2 dvm far lost vault web" },
	{ "s * work vault ask default_target=web", "work", "vault", NULL, "ask line=1 notify=0 autostart=1 default= vault" },
	{ "s * work vault ask default_target=@dispvm\ns * work @dispvm ask", "work", "vault", NULL,
	  "ask line=1 notify=0 autostart=1 default=@dispvm:dvm @dispvm:dvm vault" },
	{ "s * vault web ask default_target=@dispvm\ns * vault @dispvm ask", "vault", "web", NULL,
	  "ask line=1 notify=0 autostart=1 default= web" },
	/* remote qubes */
	{ "s * work far allow user=root", "work", "far", NULL,
	  "allow line=1 notify=0 to=far user=DEFAULT result=allow target=web target_uuid=uuid:u-web autostart=True requested_target=far "
	  "service=qubes.Relay+far+s+a" },
	{ "s * work lost allow", "work", "lost", NULL, "deny notify=1" },
	{ "s * far vault allow", "web", "vault", "far",
	  "allow line=1 notify=0 to=vault user=DEFAULT result=allow target=vault target_uuid=uuid:u-vault autostart=True requested_target=vault "
	  "policy_source=far" },
	{ "s * web vault allow", "web", "vault", "far", "deny notify=1" },
	{ "s * far vault allow", "work", "vault", "far", "bad-request notify=1" },
	{ "s * work vault allow", "web", "vault", "work", "bad-request notify=1" },
	{ "s * * * allow", "web", "vault", "nope", "bad-request notify=1" },
	{ "s * * * allow", "web", "vault", "lost", "bad-request notify=1" },
};

static void by_hand(void **state)
{
	struct pol_sysinfo si = table();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = run(&si, cases[i].policy, cases[i].source, cases[i].target, cases[i].requested);

		if (!streq(got, cases[i].want))
			fail_msg("case %zu: %s | %s -> %s\n got  %s\n want %s", i, cases[i].policy, cases[i].source, cases[i].target, got,
				 cases[i].want);
	}
	pol_sysinfo_clear(&si);
}

static void answers(void **state)
{
	static const struct {
		const char *answer, *want;
	} table_a[] = {
		{ "vault", "allow line=1 notify=1 to=vault user=u result=allow target=vault target_uuid=uuid:u-vault autostart=True "
			   "requested_target=web" },
		{ "@dispvm:dvm", "allow line=1 notify=1 to=@dispvm:dvm user=u result=allow target=@dispvm:dvm "
				 "target_uuid=@dispvm:uuid:u-dvm autostart=True requested_target=web" },
		{ "dom0", "deny notify=1" },
		{ "work", "deny notify=1" },
		{ "@dispvm", "deny notify=1" },
		{ "", "deny notify=1" },
	};
	const struct pol_query q = { "s", "+a", "work", "web", NULL };
	struct policy *p = parse("s * work @anyvm ask user=u notify=yes");
	struct pol_sysinfo si = table();

	for (size_t i = 0; i < ARRAY_SIZE(table_a); i++) {
		struct pol_decision d;
		_cleanup_free_ char *got = NULL;

		pol_evaluate_answer(&d, p, &si, &q, table_a[i].answer);
		got = render(&d);
		assert_string_equal(got, table_a[i].want);
		pol_decision_fini(&d);
	}
	policy_free(p);
	pol_sysinfo_clear(&si);
}

/* --- the slow evaluator ------------------------------------------------------------------------------------------ */
static const struct sys_row *row_of(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (streq(rows[i].name, text) || (str_starts(text, "uuid:u-") && streq(rows[i].name, text + 7)))
			return &rows[i];
	}
	return NULL;
}

static bool row_tag(const struct sys_row *r, const char *tag)
{
	size_t n = strlen(tag);

	for (const char *s = r->tags; (s = strstr(s, tag)); s += n)
		if ((s == r->tags || s[-1] == ',') && (s[n] == '\0' || s[n] == ','))
			return true;
	return false;
}

/* Canonical spelling of a name, so that equality of machines is equality of texts. */
static const char *canon(const char *s)
{
	const struct sys_row *r = row_of(s);

	return r ? r->name : s;
}

static bool slow_source(const char *tok, const char *src)
{
	const struct sys_row *r = row_of(src);
	bool dom0 = streq(canon(src), "dom0");

	if (streq(tok, "*"))
		return true;
	if (streq(tok, "@adminvm"))
		return dom0;
	if (streq(tok, "@anyvm"))
		return !dom0;
	if (str_starts(tok, "@tag:"))
		return r && !dom0 && row_tag(r, tok + 5);
	if (str_starts(tok, "@type:"))
		return r && !dom0 && streq(r->klass, tok + 6);
	return tok[0] != '@' && streq(canon(tok), canon(src));
}

/* tgt: canonical request. */
static bool slow_target(const char *tok, const char *tgt, const char *src)
{
	const struct sys_row *s = row_of(src), *r = row_of(tgt), *x;
	const char *dvm = str_starts(tgt, "@dispvm:") ? tgt + 8 : streq(tgt, "@dispvm") && s ? s->default_dispvm : NULL;

	if (streq(tok, "*"))
		return true;
	if (streq(tok, "@anyvm"))
		return !streq(tgt, "@adminvm");
	if (streq(tok, "@adminvm") || streq(tok, "@default") || streq(tok, "@dispvm"))
		return streq(tok, tgt);
	if (str_starts(tok, "@tag:"))
		return r && row_tag(r, tok + 5);
	if (str_starts(tok, "@type:"))
		return r && streq(r->klass, tok + 6);
	if (str_starts(tok, "@dispvm:@tag:"))
		return dvm && (x = row_of(dvm)) && x->dvm && row_tag(x, tok + 13);
	if (str_starts(tok, "@dispvm:"))
		return dvm && streq(canon(tok + 8), canon(dvm));
	return streq(canon(tok), tgt);
}

struct bag {
	char v[64][40];
	size_t n;
};

static void bag_put(struct bag *b, const char *s, bool on)
{
	for (size_t i = 0; i < b->n; i++)
		if (streq(b->v[i], s)) {
			if (!on)
				memcpy(b->v[i], b->v[--b->n], sizeof b->v[0]);
			return;
		}
	if (on)
		assert_int_equal(str_copy(b->v[b->n++], sizeof b->v[0], s), 0);
}

static void bag_expand(struct bag *b, const char *tok, bool on)
{
	char dvm[40];
	const struct sys_row *r;

	if (streq(tok, "@adminvm") || streq(tok, "@dispvm"))
		bag_put(b, tok, on);
	if ((tok[0] != '@' && (r = row_of(tok))))
		bag_put(b, r->name, on);
	if (str_starts(tok, "@dispvm:") && (r = row_of(tok + 8)) && r->dvm) {
		assert_int_equal(str_printf(dvm, sizeof dvm, "@dispvm:%s", r->name), 0);
		bag_put(b, dvm, on);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool dom0 = i == 0;

		r = &rows[i];
		assert_int_equal(str_printf(dvm, sizeof dvm, "@dispvm:%s", r->name), 0);
		if (streq(tok, "*") || (streq(tok, "@anyvm") && !dom0) || (str_starts(tok, "@tag:") && row_tag(r, tok + 5)) ||
		    (str_starts(tok, "@type:") && streq(r->klass, tok + 6)))
			bag_put(b, dom0 ? "@adminvm" : r->name, on);
		if (r->dvm && (streq(tok, "*") || streq(tok, "@anyvm") || (str_starts(tok, "@dispvm:@tag:") && row_tag(r, tok + 13))))
			bag_put(b, dvm, on);
	}
	if (streq(tok, "*") || streq(tok, "@anyvm"))
		bag_put(b, "@dispvm", on);
}

static int str_cmp(const void *a, const void *b)
{
	return strcmp(a, b);
}

static const char *dvm_of(const char *src, char out[40])
{
	const struct sys_row *s = row_of(src);

	if (!s || !s->default_dispvm)
		return NULL;
	assert_int_equal(str_printf(out, 40, "@dispvm:%s", s->default_dispvm), 0);
	return out;
}

/* The spelling of choices: @dispvm and @adminvm resolved; NULL = nothing. */
static const char *settle(const char *t, const char *src, char out[40])
{
	if (streq(t, "@dispvm"))
		return dvm_of(src, out);
	return streq(t, "@adminvm") ? "dom0" : t;
}

static bool may_start(const char *t, bool autostart)
{
	const struct sys_row *r = row_of(t);

	return autostart || streq(t, "dom0") || (t[0] != '@' && r && streq(r->state, "Running"));
}

static char *slow_ask(const struct policy *p, const struct pol_rule *rule, const char *src)
{
	struct bag b = { 0 }, out = { 0 };
	struct wr w = wr_grow(1u << 16);
	const char *dflt = "";
	char tmp[40], tmp2[40];

	if (rule->redirect.text)
		bag_expand(&b, rule->redirect.text, true);
	for (size_t i = p->n_rules; !rule->redirect.text && i-- > 0;) {
		const struct pol_rule *x = &p->rules[i];

		if (slow_source(x->source.text, src))
			bag_expand(&b, x->redirect.text ? x->redirect.text : x->target.text, x->action != POL_DENY);
	}
	for (size_t i = 0; i < b.n; i++) {
		const char *t = settle(b.v[i], src, tmp);
		const struct sys_row *r = t ? row_of(t) : NULL;

		if (!t || (!rule->redirect.text && (streq(t, canon(src)) || (t[0] != '@' && r && r->internal))))
			continue;
		if (may_start(t, rule->autostart))
			bag_put(&out, t, true);
	}
	if (!out.n) {
		wr_str(&w, "deny notify=1");
		return wr_take(&w, NULL);
	}
	qsort(out.v, out.n, sizeof out.v[0], str_cmp);
	if (rule->default_to.text) {
		const char *t = settle(rule->default_to.text, src, tmp2);

		for (size_t i = 0; t && i < out.n; i++)
			if (streq(out.v[i], t[0] == '@' ? t : canon(t)))
				dflt = out.v[i];
	}
	wr_printf(&w, "ask line=%u notify=%d autostart=%d default=%s", rule->line, rule->notify, rule->autostart, dflt);
	for (size_t i = 0; i < out.n; i++)
		wr_printf(&w, " %s", out.v[i]);
	return wr_take(&w, NULL);
}

static char *slow_allow(const struct pol_rule *rule, const char *src, const char *policy_source, const char *asked, const char *shown)
{
	struct wr w = wr_grow(1u << 16);
	const char *t = rule->redirect.text ? rule->redirect.text : shown, *user = rule->user ? rule->user : "DEFAULT";
	const struct sys_row *r = NULL, *relay = NULL;
	char tmp[40];
	bool no;

	t = settle(t, src, tmp);
	if (t && str_starts(t, "@dispvm:"))
		r = row_of(t + 8);
	else if (t)
		r = row_of(t);
	no = !t || streq(t, "@default") || !r || !may_start(t[0] == '@' ? t : canon(t), rule->autostart);
	no = no || (rule->redirect.text && str_starts(rule->redirect.text, "@dispvm:") && !r->dvm);
	no = no || (t[0] != '@' && streq(canon(t), canon(src)));
	if (!no && t[0] != '@' && streq(r->klass, "RemoteVM")) {
		no = !r->relay;
		relay = r->relay ? row_of(r->relay) : NULL;
		user = "DEFAULT";
	}
	if (no) {
		wr_str(&w, "deny notify=1");
		return wr_take(&w, NULL);
	}
	wr_printf(&w, "allow line=%u notify=%d to=%s user=%s result=allow target=%s", rule->line, rule->notify, t, user,
		  relay ? relay->name : t);
	if (relay || !streq(r->name, "dom0"))
		wr_printf(&w, " target_uuid=%suuid:u-%s", t[0] == '@' ? "@dispvm:" : "", relay ? relay->name : r->name);
	wr_printf(&w, " autostart=%s requested_target=%s", rule->autostart ? "True" : "False", asked);
	if (relay)
		wr_printf(&w, " service=%s+%s+s+a", r->rpc, t);
	if (policy_source)
		wr_printf(&w, " policy_source=%s", policy_source);
	return wr_take(&w, NULL);
}

static char *slow(const struct policy *p, const char *source, const char *target, const char *requested)
{
	const char *src = source, *asked, *key;
	struct pol_token t;
	char text[80];

	if (requested) {
		const struct sys_row *r = row_of(requested);

		if (!r || !streq(r->klass, "RemoteVM") || !r->relay || !streq(r->relay, canon(source)))
			return xstrdup("bad-request notify=1");
		src = requested;
	}
	if (pol_token_parse(&t, POL_CTX_INTENDED, target[0] ? target : "@default", NULL) < 0)
		return xstrdup("syntax-error notify=1");
	assert_int_equal(str_copy(text, sizeof text, t.text), 0);
	pol_token_fini(&t);
	asked = text;
	if (text[0] != '@' && !row_of(text))
		asked = "@default";
	if (str_starts(text, "@dispvm:") && !(row_of(text + 8) && row_of(text + 8)->dvm))
		return xstrdup("deny notify=1");
	if (text[0] != '@' && streq(canon(text), "dom0"))
		asked = "@adminvm";
	key = asked[0] == '@' ? asked : canon(asked);
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct pol_rule *x = &p->rules[i];

		if (!slow_source(x->source.text, src) || !slow_target(x->target.text, key, src))
			continue;
		if (x->action == POL_DENY)
			return xasprintf("deny notify=%d", x->notify);
		return x->action == POL_ASK ? slow_ask(p, x, src) : slow_allow(x, src, requested, asked, asked);
	}
	return xstrdup("deny notify=1");
}

static uint64_t seed = 987654321;
static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}
#define PICK(a) ((a)[rnd(ARRAY_SIZE(a))])

static const char *const names[] = { "work", "vault", "web", "dvm", "dvm2", "odd", "far", "lost", "dom0", "ghost", "uuid:u-work", "uuid:u-dvm" };
static const char *const wide[] = { "*", "@anyvm", "@adminvm", "@tag:t1", "@tag:t2", "@tag:t3", "@tag:dom0-tag", "@type:AppVM", "@type:RemoteVM",
				    "@type:AdminVM", "@dispvm:dvm", "@dispvm:@tag:t3", "@dispvm:@tag:t2" };
static const char *const targets[] = { "@default", "@dispvm", "@dispvm:dvm", "@dispvm:dvm2", "@dispvm:uuid:u-dvm" };
static const char *const redirects[] = { "vault", "work", "web", "far", "lost", "nope", "dom0", "@dispvm", "@dispvm:dvm2", "@dispvm:odd",
					 "uuid:u-vault" };
static const char *const requests[] = { "work", "vault", "web", "far", "lost", "dom0", "nope", "", "@default", "@dispvm", "@dispvm:dvm",
					"@dispvm:dvm2", "@dispvm:odd", "@anyvm", "uuid:u-vault", "uuid:u-dvm", "@adminvm" };

static void random_policy(struct wr *w)
{
	for (unsigned n = rnd(6) + 1; n; n--) {
		unsigned a = rnd(3), k = rnd(4);
		const char *tgt = k == 0 ? PICK(targets) : k == 1 ? PICK(names) : PICK(wide);
		bool redirect = a < 2 && (rnd(3) == 0 || (a == 0 && streq(tgt, "@default")));

		wr_printf(w, "s * %s %s %s", rnd(2) ? PICK(wide) : PICK(names), tgt, a == 0 ? "allow" : a == 1 ? "ask" : "deny");
		if (redirect)
			wr_printf(w, " target=%s", PICK(redirects));
		if (rnd(4) == 0)
			wr_printf(w, " notify=%s", rnd(2) ? "yes" : "no");
		if (a < 2 && rnd(4) == 0)
			wr_str(w, " autostart=no");
		if (a < 2 && rnd(4) == 0)
			wr_str(w, " user=u");
		if (a == 1 && rnd(2))
			wr_printf(w, " default_target=%s", PICK(redirects));
		wr_u8(w, '\n');
	}
	wr_u8(w, 0);
}

static void against_slow(void **state)
{
	struct pol_sysinfo si = table();
	unsigned seen[POL_O_N] = { 0 };

	for (int i = 0; i < 40000; i++) {
		_cleanup_wr_ struct wr w = wr_grow(1u << 16);
		struct policy *p;

		random_policy(&w);
		p = parse((char *)w.buf);
		for (int k = 0; k < 5; k++) {
			const char *src = PICK(names), *tgt = PICK(requests), *req = rnd(8) ? NULL : rnd(2) ? "far" : PICK(names);
			const struct pol_query q = { "s", "+a", rnd(8) ? src : "web", tgt, req };
			_cleanup_free_ char *got = NULL, *want = slow(p, q.source, tgt, req);
			struct pol_decision d;

			pol_evaluate(&d, p, &si, &q);
			got = render(&d);
			seen[d.outcome]++;
			pol_decision_fini(&d);
			if (!streq(got, want))
				fail_msg("policy %d:\n%s%s -> '%s' requested %s\n got  %s\n want %s", i, (char *)w.buf, q.source, tgt,
					 req ? req : "-", got, want);
		}
		policy_free(p);
	}
	/* Every outcome must have been compared often, or the test says little. */
	for (int o = 0; o < POL_O_N; o++)
		assert_in_range(seen[o], 2000, 200000);
	pol_sysinfo_clear(&si);
}

/* Whether a disposable outlives its call: the rule's word, else it stays after a copy of files only. */
static void keep(void **state)
{
	static const struct {
		const char *service, *parameters;
		bool want;
	} rules[] = {
		{ "qubes.Filecopy", "allow", true },	  { "qubes.Filecopy", "allow keep=no", false }, { "qubes.VMShell", "allow", false },
		{ "qubes.VMShell", "allow keep=yes", true }, { "qubes.Filecopy", "ask", true },	       { "qubes.Filecopy", "ask keep=no", false },
		{ "qubes.OpenInVM", "ask keep=yes", true },
	};
	struct pol_sysinfo si = table();

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		_cleanup_free_ char *text = xasprintf("* * work @dispvm %s", rules[i].parameters);
		const struct pol_query q = { rules[i].service, "+", "work", "@dispvm", NULL };
		struct policy *p = parse(text);
		struct pol_decision d;

		pol_evaluate(&d, p, &si, &q);
		assert_true(d.outcome == POL_O_ALLOW || d.outcome == POL_O_ASK);
		assert_int_equal(d.keep, rules[i].want);
		pol_decision_fini(&d);
		if (strstr(text, "ask")) {
			pol_evaluate_answer(&d, p, &si, &q, "@dispvm:dvm");
			assert_int_equal(d.outcome, POL_O_ALLOW);
			assert_int_equal(d.keep, rules[i].want);
			pol_decision_fini(&d);
		}
		policy_free(p);
	}
	pol_sysinfo_clear(&si);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_hand),
		cmocka_unit_test(answers),
		cmocka_unit_test(keep),
		cmocka_unit_test(against_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
