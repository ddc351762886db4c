/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Start of what a call runs: a service program, a socket service, or a command line of dom0. No shell is involved but for command lines,
 * which only dom0's own user can produce; and no byte of the caller's text reaches a program but as argument or environment.
 */
#ifndef QREXEC_START_H
#define QREXEC_START_H

#include "base/proc.h"
#include "proto/qrexec.h"
#include "qrexec/lookup.h"
#include "qrexec/user.h"

struct start {
	const struct qx_command *cmd;
	const struct svc *svc;	      /* NULL: cmd->text is a command line */
	const struct rpc_config *cfg; /* NULL: defaults */
	const struct user *user;
	bool set_ids;		      /* become the user */
	const char *const *env;	      /* base environment; its QREXEC variables are dropped but QREXEC_SERVICE_PATH */
	const char *shell;	      /* for command lines */
	const char *own_dir;	      /* where services of ours that become another program are; NULL: they are started as any (direct.h) */
	bool just_exec;		      /* standard descriptors are /dev/null */
	bool keep_stderr;	      /* dom0: the program's stderr is ours */
	struct {
		int resource;
		uint64_t soft, hard;
	} limits[16]; /* of the user's session */
	size_t n_limits;
};

/* What was started. The descriptors are the receiver's; -1 = none. child.pidfd is -1 for a socket. */
struct started {
	int to, from, err;
	struct proc child;
	bool socket;
};
#define STARTED_INIT ((struct started){ .to = -1, .from = -1, .err = -1, .child = PROC_INIT })

/* start_call: 0; -ENOENT when the program is not there; another negative code for any other problem. */
int start_call(struct started *ret, const struct start *s, struct err *e) _must_check_;
/* started_fini closes and kills what is left. */
void started_fini(struct started *s);
/* start_wait_session runs the service that waits for the user's session, as the agent, until it ends; failures do not matter. */
void start_wait_session(const char *search, const struct start *s);
/* start_env makes the environment of a call: NULL-terminated, one allocation a row; free with start_env_free. */
char **start_env(const struct start *s);
void start_env_free(char **env);
/* exit_of_start maps a failure of start_call or svc_lookup: 127 or 125. */
static inline int exit_of_start(int r)
{
	return r == -ENOENT ? QX_EXIT_NOT_FOUND : QX_EXIT_PROBLEM;
}

#endif
