/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * policyd: decides qrexec calls. It reads policy files and typed requests and nothing else; it starts nothing and tells only the core
 * (a ticket) or the asking daemon (a refusal). Whatever it cannot decide is refused.
 */
#ifndef POLICYD_PD_H
#define POLICYD_PD_H

#include "base/ev.h"
#include "base/log.h"
#include "base/msg.h"
#include "core/policy/eval.h"

#define PD_DIRS_MAX 8 /* PF_DIRS_MAX */
#define PD_CLIENTS_MAX 256

/* Policy files, one atomic version at a time. files.c */
struct pd_files {
	const char *dirs[PD_DIRS_MAX];
	int n_dirs;
	const char *legacy;
	int inotify_fd;
	bool stale;
	bool unwatched; /* some directory gives no events */
	bool replaced;	/* a directory was removed or moved: a confined policyd cannot see its successor */
	int wds[PD_DIRS_MAX];
	struct policy *policy; /* NULL = broken: deny everything */
	char error[ERR_MSG_MAX];
	uint64_t version;
};

/* A channel to one qube's qrexec-daemon. The name is bound here, not told by the daemon. */
struct pd_qube {
	struct pd *pd;
	uint32_t qid;
	char name[32];
	int fd;
	struct ev_io *io;
	struct log_rate rate, asks;
	unsigned suppressed; /* refusals that were not logged */
	struct pd_qube *next;
};

struct pd_out;

struct pd {
	struct ev_loop *loop;
	struct pd_files files;
	int core_fd; /* -1 = stand-alone */
	struct ev_io *core_io;
	struct pd_out *out_head, **out_tail;
	size_t n_out;
	int log_fd;
	int log_old_fd; /* -1: the log is not shortened */
	size_t log_unseen; /* bytes written since its size was looked at */
	struct ev_timer *settle;
	struct pol_sysinfo *si;	     /* in force; NULL before the first PD_SYNC */
	struct pol_sysinfo *staging; /* between PD_SYSINFO_BEGIN and PD_SYNC */
	struct pd_qube *qubes;
	struct pd_question *questions; /* open ones, see prompt.h */
	const char *agent_socket;      /* of the prompt */
	uint64_t ask_ms;	       /* how long a question stays open */
	const char *qubesd_socket; /* stand-alone: where the table comes from */
	unsigned n_clients;
};

/* files.c */
int pd_files_init(struct pd_files *f, struct err *e);
/* pd_files_note takes pending events of the file system. */
void pd_files_note(struct pd_files *f);
/* pd_files_current gives the policy in force, reloading it first when something changed; NULL = deny, see f->error. */
const struct policy *pd_files_current(struct pd_files *f);

/* core.c */
int pd_core_start(struct pd *pd, struct err *e);
/* pd_core_send queues a message to the core; -ENOBUFS when the core does not read. */
int pd_core_send(struct pd *pd, uint32_t type, const struct wr *w);

/* ask.c */
int pd_attach(struct pd *pd, uint32_t qid, const char *name, int fd);
void pd_detach(struct pd *pd, uint32_t qid);

/* decide.c */
/* pd_decide evaluates with the policy in force; error texts of a broken policy become the reason. */
void pd_decide(struct pd *pd, struct pol_decision *ret, const struct pol_sysinfo *si, const struct pol_query *q);
/* pd_assume_yes turns an ask into what it would be if the user agreed to what was requested. */
void pd_assume_yes(struct pd *pd, struct pol_decision *d, const struct pol_sysinfo *si, const struct pol_query *q);
/* pd_log writes one line of the decision log. suppressed: refusals of this source that were not logged. */
void pd_log(struct pd *pd, const struct pol_query *q, const struct pol_decision *d, unsigned suppressed);
/* logfile.c: pd_log_open opens what was not inherited; pd_log_write appends to the log, moving it aside when it is full. */
int pd_log_open(struct pd *pd, struct err *e);
void pd_log_write(struct pd *pd, const void *p, size_t n);
/* pd_rule_text writes "file:line" of the matching rule, or "". */
void pd_rule_text(char *out, size_t cap, const struct pol_decision *d);

/* local.c */
enum pd_local { PD_POLICY_SOCK, PD_EVAL_SIMPLE, PD_EVAL_GUI };
/* pd_listen opens the socket of that kind; one of each. */
int pd_listen(struct pd *pd, const char *path, enum pd_local kind, struct err *e);

#endif
