/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The service side of one call, from the connected vchan to the exit code: used by the agent, by dom0's svc-runner and by
 * qrexec-client for calls to dom0. Runs in a process of its own and blocks.
 */
#ifndef QREXEC_SERVE_H
#define QREXEC_SERVE_H

#include "qrexec/start.h"

struct serve {
	const char *service_path, *config_path; /* colon lists */
	const char *command;			/* "user:QUBESRPC …" */
	size_t command_len;
	bool just_exec, dom0;
	int stream;	  /* not 0: a socket that is the service, taken over; nothing is looked up. When the caller is lost it is cut, not ended */
	const char *own_dir; /* start.h */
	bool keep_stderr; /* dom0: the service's stderr is ours and the caller sees none */
	int hello_timeout_ms;
	uint32_t version; /* not 0: HELLO was exchanged already and this came out */
	bool waited;	  /* the session was waited for already */
	/* open connects the data channel when serve_call was given none */
	int (*open)(void *arg, struct err *e);
	/* forward may hand the call to a server in the user's session: as it is (chan -1), or with its data channel after HELLO and the wait for
	   the session. It gives 1 when the call was taken there and has ended, 0 when there is no such server. May be NULL */
	int (*forward)(void *arg, const struct user *u, const struct qx_command *c, int chan, uint32_t version);
	/* identity finds the account for a user name, says whether to become it, and gives the base environment and shell for
	   command lines in *s (memory of arg). Called once, after the configuration is known. Negative: the call fails with 125. */
	int (*identity)(void *arg, const char *user, struct user *ret, struct start *s, struct err *e);
	/* confine is called once the service runs, before the data phase; may be NULL */
	int (*confine)(void *arg, struct err *e);
	/* err_copy sees what the service writes to stderr; may be NULL */
	void (*err_copy)(void *arg, const uint8_t *p, size_t n);
	void *arg;
};

/* serve_call serves over chan (stays the caller's; -1 = v->open gives it). Gives the exit code that was reported, or a negative code with a text. */
int serve_call(int chan, const struct serve *v, struct err *e);

#endif
