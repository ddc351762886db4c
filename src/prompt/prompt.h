/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the two prompt agents share, the window (qrexec-policy-agent) and the terminal (qvm-policy-ask): connections of policyd, decoding of
 * questions and notices, words, and the rule of "always allow exactly this". Everything that comes in is hostile: bounded, decoded strictly,
 * and shown only through pr_show*. No toolkit here, and no decision: an answer is only ever made by a user.
 */
#ifndef PROMPT_PROMPT_H
#define PROMPT_PROMPT_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define PR_JSON_MAX (1u << 20)
#define PR_TARGETS_MAX 10000
#define PR_NAME_MAX 255
#define PR_TEXT_MAX 65536	/* a service's argument */
#define PR_CONNS_MAX 96		/* connections of policyd at once */
#define PR_SOURCE_MAX 8		/* questions of one qube that wait; further ones are denied */
#define PR_SHOW_MAX 80		/* bytes of one shown text */
#define PR_GUARD_MS 1000	/* focus before an answer is possible */
#define PR_NO_COLOUR UINT32_MAX

/* --- question.c */
struct pr_target {
	char *name;
	uint32_t colour; /* 0xRRGGBB or PR_NO_COLOUR */
};

struct pr_question {
	char *source, *service, *argument; /* argument begins with '+' */
	uint32_t colour;		   /* of the source */
	struct pr_target *targets;
	size_t n_targets;
	size_t preselected; /* index, or n_targets = none */
	bool exact; /* the fields below came: a rule for exactly this call can be written */
	char *requested_target, *user; /* user "" = the default one */
	char *rule; /* that asks: "FILE:LINE"; NULL = not told */
	bool autostart, notify;
};

enum pr_resolution { PR_ALLOW, PR_DENY, PR_FAIL, PR_FIXED, PR_INFO }; /* PR_INFO: no call, a text of the system */
struct pr_notice {
	enum pr_resolution resolution;
	char *source, *target, *service, *argument, *text;
};

/* pr_question_parse decodes the JSON of policy.Ask; 0 or -EBADMSG. Release with pr_question_free (also partly filled ones). */
int pr_question_parse(struct pr_question *ret, struct rd r);
void pr_question_fini(struct pr_question *q);
/* pr_notice_parse decodes the JSON of policy.Notify. */
int pr_notice_parse(struct pr_notice *ret, struct rd r);
void pr_notice_fini(struct pr_notice *n);

/* --- words.c */
/* pr_show writes foreign text as printable ASCII: other bytes as \xNN, cut with "..." after PR_SHOW_MAX. Gives out. */
const char *pr_show(char out[PR_SHOW_MAX], const char *text);
/* pr_verb gives what a call does, in words to stand between source and target: "copy files to". May use out. */
const char *pr_verb(char out[2 * PR_SHOW_MAX], const char *service);
/* pr_target_words gives a choice in words: "vault", or "a new disposable of dvm". */
const char *pr_target_words(char out[2 * PR_SHOW_MAX], const char *target);
/* pr_notice_words writes a notice as one sentence. */
void pr_notice_words(char *out, size_t cap, const struct pr_notice *n);

/* --- always.c */
#define PR_ALWAYS_FILE "25-user-always.policy"
/* pr_always_rule writes the rule that allows exactly this call with this answer, without newline; -EINVAL when the call cannot be written as one;
   -EEXIST when the rule that asks is in a file that is read before PR_ALWAYS_FILE, so that no rule there can precede it. */
int pr_always_rule(char *out, size_t cap, const struct pr_question *q, const char *target);
/* pr_always_path gives the file (static). */
const char *pr_always_path(void);
/* pr_always_add puts that rule into the file, after checking that the whole policy loads with it. A rule that is there already is fine. */
int pr_always_add(const struct pr_question *q, const char *target, struct err *e);
/* pr_undo_path makes the directory of the records that such a change leaves for `qvm-policy undo`, for who is confined afterwards (static). */
const char *pr_undo_path(void);

/* --- conn.c */
enum pr_kind { PR_ASK, PR_NOTIFY };
struct pr_conn {
	int fd;
	struct wr in;
};
/* pr_listen makes the agent's socket; -EADDRINUSE when another agent serves it. */
int pr_listen(const char *path, struct err *e);
/* pr_accept takes the next connection; -EAGAIN when there is none. */
int pr_accept(struct pr_conn *ret, int listener);
/* pr_read takes what is there: 1 = the request is whole, 0 = more will come, negative = to be closed. */
int pr_read(struct pr_conn *c);
/* pr_request splits a whole request: its kind, and its JSON in *ret. -EBADMSG. */
int pr_request(struct rd *ret, enum pr_kind *kind, const struct pr_conn *c);
/* pr_answer sends "allow:TARGET" (target non-NULL) or "deny" and closes; a peer that is gone does not matter. */
void pr_answer(struct pr_conn *c, const char *target);
void pr_close(struct pr_conn *c);

#endif
