/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * policyd's side of the prompt: questions (policy.Ask) and notices (policy.Notify) to the agent that listens on a unix socket. Everything is
 * asynchronous and bounded; whatever goes wrong is a refusal with a reason. The answer is only one of the choices that were offered.
 */
#ifndef POLICYD_PROMPT_H
#define POLICYD_PROMPT_H

#include "daemon/policyd/pd.h"

#define PD_QUESTIONS_MAX 64	/* open in total */
#define PD_QUESTIONS_SOURCE 3	/* open of one qube */
#define PD_QUESTION_BURST 30	/* questions of one qube in PD_QUESTION_SECONDS */
#define PD_QUESTION_SECONDS 60
#define PD_ASK_SECONDS 900	/* a question that nobody answers is a refusal */
#define PD_ANSWER_MAX 512
#define PD_QUESTION_BYTES (1u << 20)

/* --- promptcall.c: one exchange with the agent */
struct pd_call;
/* r: 0 with the whole answer, or -errno and "" (-ETIMEDOUT, -EMSGSIZE, …). The call is gone when this is called. */
typedef void (*pd_call_fn)(void *arg, int r, const char *answer);
/* pd_call_start sends the service's descriptor and body (whose memory it takes) and reads to the end of file. guivm: the qube whose agent is meant, NULL =
   dom0's. 0, or -errno at once (-ENOENT, -ECONNREFUSED: no agent). fn is only called later, from the loop. */
int pd_call_start(struct pd_call **ret, struct pd *pd, const char *guivm, const char *service, struct wr *body, uint64_t timeout_ms, pd_call_fn fn, void *arg);
/* pd_call_drop ends it without calling fn: the agent sees its connection close and takes the question back. */
void pd_call_drop(struct pd_call *c);

/* --- question.c. Who asks fills in query, serial, request, fn and owner of a struct pd_question for pd_question_ask. */
struct pd_question {
	struct pd *pd;
	struct pd_question *next;
	struct pd_call *call;
	struct policy *policy;	 /* the version that said ask */
	struct pol_sysinfo own;	 /* stand-alone: the table of that moment */
	struct pol_query query;	 /* points into texts */
	char *texts[5];
	char **choices;
	size_t n_choices;
	uint32_t serial, request; /* for the owner */
	void (*fn)(struct pd_question *q, struct pol_decision *d);
	void *owner;
};

/* pd_question_ask asks the user about the decision *d, an ask of the version in force. 0: fn will be called once with the final decision (which it
   may change; it stays question.c's, like q), unless the question is withdrawn. Else *d has become a refusal. own: a table that is moved into the
   question, NULL = the core's. serial and request are the owner's. */
int pd_question_ask(struct pd *pd, const struct pol_sysinfo *si, struct pol_sysinfo *own, struct pd_question *want, struct pol_decision *d);
/* pd_guivm gives the qube in which the source of a call is asked and told about it: NULL = dom0. False, with a reason, when there is none. */
bool pd_guivm(const struct pd *pd, const struct pol_sysinfo *si, const struct pol_query *q, const char *policy_source, const char **ret, const char **ret_why);
/* pd_question_withdraw drops every question of an owner that has gone. */
void pd_question_withdraw(struct pd *pd, const void *owner);

/* --- notice.c */
/* pd_notice tells the agent, and the core's log, about a decision: resolution allow, deny or fail. Notices are bounded; lost ones are lost. */
void pd_notice(struct pd *pd, const char *resolution, const struct pol_query *q, const struct pol_decision *d);
/* pd_notice_text shows a text of the core; source: the qube that it is about, or "". */
void pd_notice_text(struct pd *pd, const char *source, const char *text);
/* pd_notice_policy tells once for each broken version where it is broken, and once when it is whole again. Call it after each reload. */
void pd_notice_policy(struct pd *pd);
/* pd_notice_init watches for an agent that starts while the policy is broken. Call it when confined. */
int pd_notice_init(struct pd *pd, struct err *e);

/* --- decide.c */
/* pd_json_str writes "key":"value", with a comma in front unless it is the first of an object. */
void pd_json_str(struct wr *w, const char *key, const char *value);
/* pd_json_value writes "value". */
void pd_json_value(struct wr *w, const char *value);

#endif
