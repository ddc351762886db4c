/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The initiator's side of a call: connects the data phase with this process's own descriptors or with a local program. */
#ifndef QREXEC_CALLER_H
#define QREXEC_CALLER_H

#include "base/err.h"
#include "qrexec/trace.h"

struct caller {
	const char *const *argv; /* local program, argv[0] is searched in $PATH; NULL = our own stdin and stdout */
	bool saved_fds;		 /* the program gets $SAVED_FD_0 and $SAVED_FD_1 (and _2 with $PASS_LOCAL_STDERR) */
	bool no_streams;	 /* neither input nor output: only the exit code */
	bool stdin_socket;	 /* our stdin is a socket used both ways */
	bool hang_up;		 /* with it: the call ends when the socket's other end is closed altogether */
	bool filter_out, filter_err;
	const char *prefix;	 /* sent before the input; may be NULL */
	struct call_trace *trace; /* gets connect, first, exit; may be NULL */
	int in, out, err;	 /* instead of 0, 1, 2; stay the receiver's: they are duplicated */
};

/* caller_run does the handshake as the vchan's server and the data phase over chan (stays the receiver's). Gives the exit status of the call:
   the remote one, or the local program's when the remote one is 0; 255 and a text in e when the channel was lost. Negative: the
   call never began. */
int caller_run(int chan, const struct caller *c, struct err *e);

#endif
