/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The data phase of a call (docs/protocol/qrexec.md): bytes between the vchan and local descriptors, for both sides. One process, one
 * poll loop, bounded memory: what cannot be written stays in one buffer, and then nothing more is read from that direction. The two directions
 * never wait for each other. The peer is hostile: whatever it sends, the pump ends with an error and harms nobody else.
 */
#ifndef QREXEC_PUMP_H
#define QREXEC_PUMP_H

#include "base/err.h"
#include "base/proc.h"
#include "qrexec/trace.h"

enum pump_role { PUMP_CALLER, PUMP_SERVICE };

#define PUMP_FILTER_OUT 1u	 /* caller: clean what goes to `to` */
#define PUMP_FILTER_ERR 2u	 /* caller: clean what goes to `err` */
#define PUMP_END_SERVICE_EOF 4u	 /* socket service: end when it closes its output */
#define PUMP_END_CLIENT_EOF 8u	 /* socket service: end when the caller closes its input */
#define PUMP_SHARED 16u		 /* `to` and `from` are two descriptors of one socket */
#define PUMP_OURS 32u		 /* nobody else uses the descriptions of to, from, err */
#define PUMP_SIGUSR1 64u	 /* service: SIGUSR1 makes the socket `to` the output as well */
#define PUMP_CUT 128u		 /* service: a caller that is lost is a broken socket, not the end of its input */
#define PUMP_HANG_UP 256u	 /* caller, with PUMP_SHARED: the call ends when nobody holds the socket's other end any more */

struct pump_cfg {
	enum pump_role role;
	unsigned flags;
	int chan;	   /* stays the caller's */
	uint32_t version;  /* negotiated */
	/* Taken by the pump; -1 = none. Caller: from = its input, to and err = its outputs. Service: to = the service's stdin, from and err = its outputs. */
	int to, from, err;
	struct proc *child; /* service: its process, reaped by the pump; NULL for a socket service. Not used for a caller */
	int exit_code;	    /* service without a child: what to report */
	const void *prefix; /* caller: sent before its input */
	size_t prefix_len;
	void (*err_copy)(void *arg, const uint8_t *p, size_t n); /* service: sees what goes out as stderr; may be NULL */
	void *err_arg;
	struct call_trace *trace; /* caller: gets first and exit; may be NULL */
};

/* pump_hello exchanges HELLO: the vchan's server (the caller's side) speaks first. Gives the common version in *ret. -ETIMEDOUT, -EPROTO. */
int pump_hello(int chan, bool server, int timeout_ms, uint32_t *ret, struct err *e) _must_check_;
/* pump_block_signal blocks SIGUSR1 and gives a signalfd for it. Called before a service is started whose pump has PUMP_SIGUSR1, else an early
   signal would end this process; the descriptor is the caller's. */
int pump_block_signal(void);
/* pump_run (SIGPIPE must be ignored) runs the data phase to its end. Caller: the remote exit code (0..255), or -ECONNRESET when the vchan was lost before. Service: the code
   that was sent, or -ECONNRESET. -EBADMSG when the peer broke the protocol. */
int pump_run(const struct pump_cfg *cfg, struct err *e);
/* pump_send_exit tells a caller that its service could not be started: empty STDOUT and STDERR (not for JUST_EXEC), then the code. */
int pump_send_exit(int chan, bool with_streams, int code);

#endif
