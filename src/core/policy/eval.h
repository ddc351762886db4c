/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decision of one call by a policy and the table of qubes (specs/qrexec.md §6, "Evaluation"). Pure and fast: allow and deny allocate
 * nothing but the service text of a call to a RemoteVM. The caller keeps policy and table alive and unchanged while a decision lives.
 */
#ifndef CORE_POLICY_EVAL_H
#define CORE_POLICY_EVAL_H

#include "core/policy/sysinfo.h"
#include "proto/policy.h"

#define POL_TEXT_MAX 256 /* longest token of a request */

enum pol_outcome { POL_O_ALLOW, POL_O_ASK, POL_O_DENY, POL_O_SYNTAX_ERROR, POL_O_BAD_REQUEST, POL_O_N };

struct pol_query {
	const char *service, *argument; /* argument begins with '+' */
	const char *source, *target;	/* target "" = @default */
	const char *requested_source;	/* NULL or "" = none */
};

/* A query that was checked against the table. */
struct pol_request {
	const char *service, *argument;
	uint32_t service_hash;
	const char *source; /* that rules see: the requested source when there is one */
	uint32_t source_hash;
	bool source_dom0;
	const struct pol_qube *source_qube; /* NULL = not in the table */
	const char *policy_source;	    /* requested source or NULL */
	enum pol_kind kind;		    /* NAME, ADMIN, DEFAULT, DISPVM or DISPVM_TEMPLATE */
	char target[POL_TEXT_MAX];	    /* canonical token after the table was asked */
	const struct pol_qube *target_qube; /* of NAME and DISPVM_TEMPLATE */
	const struct pol_qube *default_dvm; /* of the source */
};

struct pol_decision {
	enum pol_outcome outcome;
	bool notify, autostart;
	bool keep; /* a disposable that the call makes stays after it */
	const struct pol_rule *rule; /* that matched, or NULL */
	const char *user;	     /* NULL = DEFAULT */
	char reason[200];	     /* of everything but allow and ask */
	char requested_target[POL_TEXT_MAX];
	char target[POL_TEXT_MAX]; /* allow: qube, dom0 or @dispvm:NAME */
	const struct pol_qube *target_qube; /* allow: the qube, the disposable template, or NULL for dom0 without table entry */
	bool target_dispvm;
	const struct pol_qube *relay; /* allow: call goes to this qube instead, with `service` */
	char *service;		      /* NULL = as asked */
	const char *policy_source;    /* NULL or the name that the service sees as its caller */
	char **choices;		      /* ask: sorted names */
	size_t n_choices;
	char default_target[POL_TEXT_MAX]; /* ask: one of choices, or "" */
};

const char *pol_outcome_name(enum pol_outcome o);
/* pol_request_init: POL_O_ALLOW when the request stands, else the outcome with its reason in e. */
enum pol_outcome pol_request_init(struct pol_request *ret, const struct pol_sysinfo *si, const struct pol_query *q, struct err *e);

/* pol_request_raw makes a request of which only source (may be NULL) and target are known, the target not checked against the table; for
   pol_match_target alone. False when the target is not a token of a request. */
bool pol_request_raw(struct pol_request *ret, const struct pol_sysinfo *si, const char *source, const char *target);

/* pol_match_* tell whether a token of a rule covers the request's source or target. */
bool pol_match_source(const struct pol_token *t, const struct pol_request *r);
bool pol_match_target(const struct pol_token *t, const struct pol_request *r);
/* pol_match_but_target: service, argument and source. */
bool pol_match_but_target(const struct pol_rule *rule, const struct pol_request *r);
static inline bool pol_match(const struct pol_rule *rule, const struct pol_request *r)
{
	return pol_match_but_target(rule, r) && pol_match_target(&rule->target, r);
}

/* pol_evaluate decides; always fills *ret (release with pol_decision_fini). q's texts must outlive the decision. */
void pol_evaluate(struct pol_decision *ret, const struct policy *p, const struct pol_sysinfo *si, const struct pol_query *q);
/* pol_evaluate_answer decides a call whose ask the user answered with target `answer` (one of the choices; others are denied). */
void pol_evaluate_answer(struct pol_decision *ret, const struct policy *p, const struct pol_sysinfo *si, const struct pol_query *q,
			 const char *answer);
/* pol_decision_deny turns a decision into a refusal. */
void pol_decision_deny(struct pol_decision *d, const char *reason);
void pol_decision_fini(struct pol_decision *d);

/* pol_choices collects what an ask rule offers, sorted; *ret: free names and array by pol_names_free. ask.c */
void pol_choices(const struct policy *p, const struct pol_sysinfo *si, const struct pol_request *r, const struct pol_token *redirect,
		 bool autostart, char ***ret, size_t *ret_n);
void pol_names_free(char **v, size_t n);

/* The reply of policy.sock as key and value pairs (release with pol_reply_fini). reply.c */
#define POL_REPLY_PAIRS 8
struct pol_pair {
	const char *key;
	char *value;
};
struct pol_reply {
	struct pol_pair v[POL_REPLY_PAIRS];
	size_t n;
};
void pol_reply_make(struct pol_reply *ret, const struct pol_decision *d);
void pol_reply_fini(struct pol_reply *r);
/* pol_reply_text writes the pairs as lines. */
void pol_reply_text(struct wr *w, const struct pol_reply *r);

#endif
