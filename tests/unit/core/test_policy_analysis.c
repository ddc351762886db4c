/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Analysis of whole policies. The survey looks at one qube a class and at one service a group; here it is held against every call evaluated one by
 * one, for random tables and pairs of policies. Hidden rules are checked against the rules that really decide.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "core/policy/analyse.h"

#define QUBES 9
#define TARGETS (2 * QUBES + 2)
#define SERVICES 3
#define ARGUMENTS 3

static const char *const names[QUBES] = { "dom0", "q1", "q2", "q3", "q4", "q5", "dvm1", "dvm2", "far" };
static const char *const services[SERVICES] = { "a", "b", "zz" }; /* the last one is in no rule */
static const char *const arguments[ARGUMENTS] = { "+x", "+y", "+zz" };

static uint32_t state = 1;

static uint32_t rnd(uint32_t n)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % n;
}

struct facts {
	bool appvm, running, t1, t2, internal;
	unsigned dispvm; /* 0 = none */
};

static struct facts random_facts(void)
{
	return (struct facts){ rnd(4) != 0, rnd(3) != 0, rnd(2) != 0, rnd(3) == 0, rnd(8) == 0, rnd(4) };
}

/* Another one that differs in at most one thing, so that there are classes, and qubes that only just are no class. */
static struct facts like(struct facts f)
{
	switch (rnd(12)) {
	case 0:
		f.running = !f.running;
		break;
	case 1:
		f.internal = !f.internal;
		break;
	case 2:
		f.dispvm = (f.dispvm + 1) % 4;
		break;
	case 3:
		f.t1 = !f.t1;
		break;
	case 4:
		f.appvm = !f.appvm;
		break;
	default:
		break;
	}
	return f;
}

static void table(struct pol_sysinfo *si)
{
	static const char *const dispvms[] = { NULL, "dvm1", "dvm2", "q2" };
	struct facts last = { 0 };

	for (size_t i = 0; i < QUBES; i++) {
		bool template = str_starts(names[i], "dvm");
		struct pol_qube *q = pol_qube_new(names[i]);
		_cleanup_free_ char *uuid = xasprintf("u-%s", names[i]);

		last = i >= 2 && i != 6 ? like(last) : random_facts();
		pol_qube_set_uuid(q, uuid);
		pol_set(&q->klass, i == 0 ? "AdminVM" : i == QUBES - 1 ? "RemoteVM" : last.appvm ? "AppVM" : "TemplateVM");
		pol_set(&q->power_state, last.running ? "Running" : "Halted");
		if (last.t1)
			pol_qube_add_tag(q, "t1");
		if (last.t2)
			pol_qube_add_tag(q, "t2");
		pol_set(&q->default_dispvm, dispvms[last.dispvm]);
		q->template_for_dispvms = template;
		q->internal = last.internal;
		if (i == QUBES - 1 && rnd(2)) {
			pol_set(&q->relayvm, "q1");
			pol_set(&q->transport_rpc, "relay");
		}
		pol_sysinfo_set(si, q);
	}
}

static const char *pick(const char *const *v, size_t n)
{
	return v[rnd((uint32_t)n)];
}

static void random_line(char *out, size_t cap)
{
	static const char *const sources[] = { "*", "@anyvm", "@adminvm", "q1", "q2", "uuid:u-q3", "@tag:t1", "@tag:t2", "@type:AppVM", "far" };
	static const char *const targets[] = { "*", "@anyvm", "@adminvm", "q1", "q2", "uuid:u-q4", "@tag:t1", "@tag:t2", "@type:AppVM", "@default",
					       "@dispvm", "@dispvm:dvm1", "@dispvm:@tag:t1", "far", "gone" };
	static const char *const redirects[] = { "", "", "", " target=q1", " target=dom0", " target=@dispvm", " target=@dispvm:dvm2", " target=gone" };
	static const char *const rest[] = { "", "", " autostart=no", " user=root", " notify=yes" };
	const char *service = rnd(5) ? services[rnd(2)] : "*", *argument = service[0] != '*' && rnd(2) ? arguments[rnd(2)] : "*";
	uint32_t action = rnd(3);

	assert_int_equal(str_printf(out, cap, "%s %s %s %s %s%s%s%s", service, argument, pick(sources, ARRAY_SIZE(sources)), pick(targets, ARRAY_SIZE(targets)),
				    action == 0 ? "allow" : action == 1 ? "ask" : "deny", action == 2 ? "" : pick(redirects, ARRAY_SIZE(redirects)),
				    action == 2 ? "" : pick(rest, ARRAY_SIZE(rest)), action == 1 && rnd(3) == 0 ? " default_target=q2" : ""),
			 0);
}

static void add(struct policy *p, const char *line)
{
	struct pol_rule r;

	if (pol_rule_parse(&r, line, NULL) < 0)
		return; /* allow for @default without a target */
	p->rules = xreallocarray(p->rules, p->n_rules + 1, sizeof(*p->rules));
	p->rules[p->n_rules++] = r;
}

static struct policy *of_lines(char (*lines)[200], size_t n, size_t without)
{
	struct policy *p = xcalloc(1, sizeof *p);

	for (size_t i = 0; i < n; i++)
		if (i != without)
			add(p, lines[i]);
	return p;
}

static bool got[QUBES][TARGETS][SERVICES][ARGUMENTS];

struct world {
	struct pol_sysinfo si;
	struct policy *p[2];
	struct pol_classes k;
};

static bool named(const struct world *w, const char *service, const char *argument)
{
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < w->p[i]->n_rules; k++) {
			const struct pol_rule *r = &w->p[i]->rules[k];

			if (r->argument && streq(r->service, service) && streq(r->argument, argument))
				return true;
		}
	return false;
}

/* Is this service in a rule at all? */
static bool in_rules(const struct world *w, const char *service)
{
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < w->p[i]->n_rules; k++)
			if (w->p[i]->rules[k].service && streq(w->p[i]->rules[k].service, service))
				return true;
	return false;
}

static void mark(const struct world *w, size_t source, size_t target, const struct pol_services *g)
{
	for (size_t s = 0; s < SERVICES; s++)
		for (size_t a = 0; a < ARGUMENTS; a++)
			for (size_t i = 0; i < g->n; i++) {
				const struct pol_service *x = &g->v[i];

				if (x->service ? !streq(x->service, services[s]) : in_rules(w, services[s]))
					continue;
				if (x->argument ? streq(x->argument, arguments[a]) : !named(w, services[s], arguments[a]))
					got[source][target][s][a] = true;
			}
}

static void found(void *arg, const struct pol_case *c)
{
	const struct world *w = arg;

	for (size_t s = 0; s < QUBES; s++) {
		if (w->k.of[s] != c->source)
			continue;
		if (c->to == POL_TO_SELF)
			mark(w, s, s, c->services);
		if (c->to == POL_TO_DEFAULT)
			mark(w, s, 2 * QUBES, c->services);
		if (c->to == POL_TO_DISPVM)
			mark(w, s, 2 * QUBES + 1, c->services);
		for (size_t t = 0; t < QUBES; t++) {
			if (c->to == POL_TO_CLASS && w->k.of[t] == c->target && t != s)
				mark(w, s, t, c->services);
			if (c->to == POL_TO_DISPVM_OF && w->k.of[t] == c->target)
				mark(w, s, QUBES + t, c->services);
		}
	}
}

static bool differ(const struct world *w, const char *source, const char *target, const char *service, const char *argument)
{
	const struct pol_query q = { service, argument, source, target, NULL };
	struct pol_decision d[2];
	bool r;

	for (size_t i = 0; i < 2; i++)
		pol_evaluate(&d[i], w->p[i], &w->si, &q);
	r = !pol_decisions_equal(&d[0], &d[1]);
	for (size_t i = 0; i < 2; i++)
		pol_decision_fini(&d[i]);
	return r;
}

static size_t check_all(const struct world *w)
{
	size_t n = 0;

	for (size_t s = 0; s < QUBES; s++)
		for (size_t t = 0; t < TARGETS; t++) {
			_cleanup_free_ char *target = t < QUBES		? xstrdup(names[t]) :
						      t < 2 * QUBES	? xasprintf("@dispvm:%s", names[t - QUBES]) :
						      t == 2 * QUBES	? xstrdup("@default") :
									  xstrdup("@dispvm");

			if (t >= QUBES && t < 2 * QUBES && !str_starts(names[t - QUBES], "dvm"))
				continue;
			for (size_t i = 0; i < SERVICES * ARGUMENTS; i++) {
				size_t sv = i / ARGUMENTS, a = i % ARGUMENTS;
				bool want = differ(w, names[s], target, services[sv], arguments[a]);

				if (want != got[s][t][sv][a])
					fail_msg("%s -> %s %s%s: %s by hand", names[s], target, services[sv], arguments[a], want ? "differs" : "equal");
				n += want;
			}
		}
	return n;
}

static void survey_is_exact(void **st)
{
	size_t differences = 0, joined = 0;

	for (int round = 0; round < 1000; round++) {
		struct world w = { 0 };
		char lines[8][200];
		struct pol_survey s = { .si = &w.si, .p = (const struct policy *const *)w.p, .n_p = 2, .classes = &w.k, .found = found, .arg = &w };

		state = (uint32_t)round * 7919 + 1;
		table(&w.si);
		for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
			random_line(lines[i], sizeof lines[i]);
		w.p[0] = of_lines(lines, ARRAY_SIZE(lines), SIZE_MAX);
		w.p[1] = of_lines(lines, ARRAY_SIZE(lines), rnd(ARRAY_SIZE(lines)));
		if (rnd(2))
			add(w.p[1], "a +y q1 @anyvm allow");
		pol_classes_make(&w.k, &w.si, s.p, 2);
		joined += QUBES - w.k.n;
		memset(got, 0, sizeof got);
		(void)pol_survey_run(&s);
		differences += check_all(&w);
		pol_classes_fini(&w.k);
		policy_free(w.p[0]);
		policy_free(w.p[1]);
		pol_sysinfo_clear(&w.si);
	}
	/* The test must have seen what it is about. */
	assert_true(differences > 10000);
	assert_true(joined > 500);
}

/* A rule that an earlier one covers decides no call. */
static void covered_rules_decide_nothing(void **st)
{
	size_t covered = 0;

	for (int round = 0; round < 4000; round++) {
		struct policy *p;
		struct pol_sysinfo si = { 0 };
		char lines[8][200];
		bool hidden[8] = { 0 };

		state = (uint32_t)round * 104729 + 3;
		table(&si);
		for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
			random_line(lines[i], sizeof lines[i]);
		p = of_lines(lines, ARRAY_SIZE(lines), SIZE_MAX);
		for (size_t i = 0; i < p->n_rules; i++)
			for (size_t k = 0; k < i; k++)
				hidden[i] = hidden[i] || pol_rule_covers(&p->rules[k], &p->rules[i]);
		for (size_t i = 0; i < p->n_rules; i++)
			covered += hidden[i];
		for (int n = 0; n < 40; n++) {
			const struct pol_query q = { services[rnd(SERVICES)], arguments[rnd(ARGUMENTS)], names[rnd(QUBES)], rnd(4) ? names[rnd(QUBES)] : "@dispvm",
						     NULL };
			struct pol_decision d;

			pol_evaluate(&d, p, &si, &q);
			if (d.rule)
				assert_false(hidden[d.rule - p->rules]);
			pol_decision_fini(&d);
		}
		policy_free(p);
		pol_sysinfo_clear(&si);
	}
	assert_true(covered > 1000);
}

static void near_misses(void **st)
{
	struct pol_sysinfo si = { 0 };
	struct policy *p = xcalloc(1, sizeof *p);
	const struct pol_query q = { "a", "+x", "q1", "q2", NULL };
	struct pol_request r;
	struct pol_near *v;

	state = 5;
	table(&si);
	add(p, "b * q1 q2 allow");     /* another service: not near */
	add(p, "a +y q1 q2 allow");    /* argument */
	add(p, "a * q3 q2 allow");     /* source */
	add(p, "* * q1 q3 allow");     /* target */
	add(p, "a +y q3 q2 allow");    /* two columns: not near */
	add(p, "a * q1 q2 deny");      /* decides */
	add(p, "a * q1 q4 allow");     /* behind */
	assert_int_equal(pol_request_init(&r, &si, &q, NULL), POL_O_ALLOW);
	assert_int_equal(pol_near_misses(p, &r, 5, &v), 3);
	assert_int_equal(v[0].rule, 1);
	assert_int_equal(v[0].column, POL_COL_ARGUMENT);
	assert_int_equal(v[1].rule, 2);
	assert_int_equal(v[1].column, POL_COL_SOURCE);
	assert_int_equal(v[2].rule, 3);
	assert_int_equal(v[2].column, POL_COL_TARGET);
	assert_int_equal(pol_mismatch(&p->rules[5], &r), 0);
	assert_int_equal(pol_mismatch(&p->rules[4], &r), POL_COL_ARGUMENT | POL_COL_SOURCE);
	free(v);
	policy_free(p);
	pol_sysinfo_clear(&si);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(near_misses),
		cmocka_unit_test(covered_rules_decide_nothing),
		cmocka_unit_test(survey_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
