/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls from dom0: the client of qrexec-daemon. Blocks; for tools. The call's data channel is made by linkd (or over unix sockets when the
 * environment says so, chan/chan.h) and its bytes go straight between the tool's descriptors and the channel.
 */
#ifndef CLIENT_QREXEC_H
#define CLIENT_QREXEC_H

#include "base/err.h"
#include "qrexec/caller.h"

#define QREXEC_WAIT_DEFAULT_S 10

/* Somebody else's request that this call answers (the reference's flow, unix sockets only). */
struct qrexec_request {
	const char *ident, *name; /* of the request; of the source qube */
	uint32_t id;		  /* domain id of the source qube */
};

struct qrexec_call {
	const char *socket_dir; /* NULL: the instance's run directory (paths_init was called) */
	const char *qube;	/* name, domain id, or "uuid:…" */
	const char *command;	/* "user:command" or "user:QUBESRPC service+argument source"; "DEFAULT" is the qube's default user */
	bool just_exec;		/* start it and do not connect it */
	int wait_s;		/* for the data channel; 0 = QREXEC_WAIT_DEFAULT_S, negative = for ever */
	struct caller caller;	/* where input and output go: local program, descriptors, filters */
};

/* qrexec_run makes the call and gives its exit status (caller_run), or a negative code with a text when it never began: -ENOENT or -ECONNREFUSED
   when the qube does not run or its agent is not there, -ECONNRESET when the daemon refused. */
int qrexec_run(const struct qrexec_call *c, struct err *e);

/* qrexec_open is the part of qrexec_run before the data phase: a connected descriptor to the daemon (it closes when the call has ended) and
   where the data channel is. domain: 0, or the qube for which the call is made. */
int qrexec_open(const struct qrexec_call *c, uint32_t domain, uint32_t *ret_domain, uint32_t *ret_port, struct err *e);
/* qrexec_answer tells the source's daemon where the data channel of its request is; port 0 lets it choose. Descriptor as above. */
int qrexec_answer(const char *socket_dir, const struct qrexec_request *q, uint32_t *domain, uint32_t *port, struct err *e);

#endif
