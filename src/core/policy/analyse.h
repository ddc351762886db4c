/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Questions about a whole policy: which rules nearly matched, which can never decide, and what two policies decide for every possible call.
 * Pure, over the same evaluator that decides calls (eval.h). Qubes that no rule can tell apart are taken together, so that the work does not
 * grow with their number.
 */
#ifndef CORE_POLICY_ANALYSE_H
#define CORE_POLICY_ANALYSE_H

#include "core/policy/eval.h"

/* Columns of a rule. */
enum { POL_COL_SERVICE = 1, POL_COL_ARGUMENT = 2, POL_COL_SOURCE = 4, POL_COL_TARGET = 8 };

/* pol_mismatch gives the columns of a rule that do not fit the request; 0 = the rule matches. */
unsigned pol_mismatch(const struct pol_rule *rule, const struct pol_request *r);

struct pol_near {
	size_t rule;	 /* index in the policy */
	unsigned column; /* the one that does not fit */
};
/* pol_near_misses gives the rules before number `end` whose service fits and of which only one column does not. *ret: free. */
size_t pol_near_misses(const struct policy *p, const struct pol_request *r, size_t end, struct pol_near **ret);

/* pol_token_covers: every request that b fits is one that a fits, whatever qubes there are. */
bool pol_token_covers(const struct pol_token *a, const struct pol_token *b);
/* pol_rule_covers: with a before b, b never decides a call. */
bool pol_rule_covers(const struct pol_rule *a, const struct pol_rule *b);

/* Qubes that neither policy can tell apart: exchanging two of one class changes no decision but for their names. */
struct pol_classes {
	size_t *of;	/* class of each qube, by its index in the table */
	size_t *first;	/* by class: index of the first member */
	size_t *second; /* by class: another member, or SIZE_MAX */
	size_t n;
};
void pol_classes_make(struct pol_classes *ret, const struct pol_sysinfo *si, const struct policy *const *p, size_t n_p);
void pol_classes_fini(struct pol_classes *c);

/* Services for which the policies hold the same rules but for the name. NULL service = any other one; NULL argument = any other one. */
struct pol_service {
	const char *service, *argument; /* memory of the policies */
};
struct pol_services {
	struct pol_service *v;
	size_t n;
};

/* What a call of a survey is made to. */
enum pol_to { POL_TO_CLASS, POL_TO_SELF, POL_TO_DISPVM_OF, POL_TO_DEFAULT, POL_TO_DISPVM };
struct pol_case {
	const struct pol_services *services;
	size_t source; /* class */
	enum pol_to to;
	size_t target;	     /* class, of POL_TO_CLASS and POL_TO_DISPVM_OF */
	const char *request; /* target as the evaluated call spelled it */
	const struct pol_decision *d; /* one a policy */
};

struct pol_survey {
	const struct pol_sysinfo *si;
	const struct policy *const *p; /* one policy, or two to compare: then only groups of services whose rules differ are looked at */
	size_t n_p;			/* 1 or 2 */
	const struct pol_classes *classes;
	const char *service; /* NULL = all */
	void (*found)(void *arg, const struct pol_case *c);
	void (*done)(void *arg, const struct pol_services *g); /* behind the cases of one group, may be NULL */
	void *arg;
};
/* pol_survey_run evaluates every possible call once a class; gives how many calls that stands for. */
uint64_t pol_survey_run(const struct pol_survey *s);
/* pol_decisions_equal: same outcome for everybody concerned; the rule that decided and the reason of a refusal do not count. */
bool pol_decisions_equal(const struct pol_decision *a, const struct pol_decision *b);

#endif
