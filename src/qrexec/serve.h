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
	bool keep_stderr; /* dom0: the service's stderr is ours and the caller sees none */
	int hello_timeout_ms;
	/* identity finds the account for a user name, says whether to become it, and gives the base environment and shell for
	   command lines in *s (memory of arg). Called once, after the configuration is known. Negative: the call fails with 125. */
	int (*identity)(void *arg, const char *user, struct user *ret, struct start *s, struct err *e);
	/* confine is called once the service runs, before the data phase; may be NULL */
	int (*confine)(void *arg, struct err *e);
	/* err_copy sees what the service writes to stderr; may be NULL */
	void (*err_copy)(void *arg, const uint8_t *p, size_t n);
	void *arg;
};

/* serve_call serves over chan (stays the caller's). Gives the exit code that was reported, or a negative code with a text. */
int serve_call(int chan, const struct serve *v, struct err *e);

#endif
