/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the sub-commands of qvm-policy share: the directories, the loaded policy, the table of qubes, and how a qube, a rule and a decision are
 * shown. Decisions come from core/policy alone, the evaluator that policyd uses.
 */
#ifndef TOOL_QVM_POLICY_H
#define TOOL_QVM_POLICY_H

#include "core/policy/analyse.h"
#include "policyfile/dirs.h"
#include "tool/tool.h"
#include "tool/util.h"

enum {
	KEY_POLICY_DIR = 500, KEY_SYSTEM_INFO, KEY_WITH, KEY_PSERVICE, KEY_DOT, KEY_SVG, KEY_SINCE, KEY_SOURCE, KEY_TARGET, KEY_DENIED,
	KEY_FOLLOW, KEY_YES, KEY_LOG_FILE, KEY_BY_RULE, KEY_TOKEN, KEY_MERGE, KEY_ALLOW_ONLY,
};
#define EXIT_ASK 3
#define EXIT_DENY 4
#define USER_FILE "30-user.policy"
#define ALWAYS_FILE "25-user-always.policy"

struct pq {
	struct tool *t;
	struct pf_dirs dirs;
	struct policy *policy; /* NULL = broken, see error */
	struct err error;
	struct pol_sysinfo si;
	bool json;
};

/* pq_table reads the table of qubes: 0, or an exit status (printed). pq_policy loads the policy; a broken one leaves policy NULL. */
int pq_table(struct pq *p);
void pq_policy(struct pq *p);
/* pq_edit_dir is the directory that changes go to: the last one. */
const char *pq_edit_dir(const struct pq *p);
/* pq_short gives path without the policy directory that it is in. */
const char *pq_short(const struct pq *p, const char *path);
/* pq_name prints a qube's name in its label's colour (on a terminal), or any other text as it is. */
void pq_name(const struct pq *p, const char *name);
/* pq_word prints allow, ask or deny (first word of text) in green, yellow or red. */
void pq_word(const struct pq *p, const char *text);
uint32_t pq_rgb(const struct pq *p, const char *name, bool *ret_known);
/* pq_rule_text gives the rule as a line, memory of the caller. */
char *pq_rule_text(const struct pol_rule *r);
/* pq_outcome gives allow, ask or deny. */
const char *pq_outcome(const struct pol_decision *d);
/* pq_split cuts SERVICE[+ARG] into service (memory of the caller) and argument (inside text, or "+"). False when it is no service. */
bool pq_split(const char *text, char **ret_service, const char **ret_argument);
/* pq_report tells what was done with a file, for programs with --json; gives 0. */
int pq_report(const struct pq *p, const char *what, const char *name);

/* Sub-commands: arguments behind the sub-command's name; they give the exit status. */
int pq_explain(struct pq *p, int argc, char **argv);
int pq_simulate(struct pq *p, int argc, char **argv);
int pq_lint(struct pq *p, int argc, char **argv);
int pq_graph(struct pq *p, int argc, char **argv);
int pq_log(struct pq *p, int argc, char **argv);
int pq_edit(struct pq *p, int argc, char **argv);
int pq_list(struct pq *p, int argc, char **argv);
int pq_get(struct pq *p, int argc, char **argv);
int pq_put(struct pq *p, int argc, char **argv);
int pq_remove(struct pq *p, int argc, char **argv);
int pq_undo(struct pq *p, int argc, char **argv);
int pq_always(struct pq *p, int argc, char **argv);

/* Comparison of two policies (qvm-policy-simulate.c). pq_compare prints what changes (text, or an object's members in JSON when j is not
   NULL) and gives the number of changed decisions. before and after may be NULL: everything is denied. */
uint64_t pq_compare(const struct pq *p, const struct policy *before, const struct policy *after, struct json *j);

#endif
