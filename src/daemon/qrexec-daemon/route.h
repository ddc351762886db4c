/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of the direct wiring: one request from the question to the policy until its data channel is known. */
#ifndef QREXEC_DAEMON_ROUTE_H
#define QREXEC_DAEMON_ROUTE_H

#include "base/proc.h"
#include "chan/chan.h"
#include "daemon.h"
#include "proto/policy_reply.h"

struct route {
	struct qd *qd;
	const struct direct_options *o;
	uint32_t request;
	char source[QX_NAME_LEN], target[QX_NAME_LEN], requested_source[QX_NAME_LEN];
	char *service;
	/* asking */
	struct chan_stream *stream; /* policy daemon, program, or the target's daemon */
	struct proc proc;	    /* policy program, or the runner of a dom0 service */
	struct ev_io *proc_io;
	bool eof, exited;
	int status;
	struct wr text;
	struct policy_reply reply;
	/* the target is made or started (prepare.c) */
	struct admin *admin;
	char disposable[QX_NAME_LEN]; /* "" = none was made for this call */
	/* dom0 service */
	int life; /* ends when its runner does */
	uint32_t port;
	bool hello;
};

/* route_allowed carries the call through; r->reply is complete. */
void route_allowed(struct route *r);
/* prepare makes or starts the target, and then calls route_ready, now or later. Negative: the route is to be ended. */
int prepare(struct route *r);
/* prepare_undo kills the disposable that was made, without waiting for it. */
void prepare_undo(struct route *r);
void admin_free(struct admin *a);
/* route_ready goes on with a target that runs. */
void route_ready(struct route *r);
/* route_end refuses the request if it is still pending and frees the route. */
void route_end(struct route *r);
/* route_watch watches r->proc; fn is called when it has ended. */
int route_watch(struct route *r, ev_io_fn fn);

#endif
