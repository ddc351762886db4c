/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of qrexec-agent: one loop, one control vchan, local clients that ask for calls, and one process a running call. */
#ifndef AGENT_QREXEC_AGENT_AGENT_H
#define AGENT_QREXEC_AGENT_AGENT_H

#include <sys/queue.h>
#include <sys/types.h>

#include "base/ev.h"
#include "chan/chan.h"
#include "chan/stream.h"
#include "proto/qrexec.h"
#include "qrexec/serve.h"

#define CLIENTS_MAX 256
#define CALLS_MAX 512
#define MAIN_UID 1000 /* of the account that a qube is used with */

struct agent;

/* A local program that asked for a call (trigger.c). */
struct client {
	TAILQ_ENTRY(client) link;
	struct agent *agent;
	struct chan_stream *stream;
	uint32_t id; /* 0 until its request was sent */
};

/* A process that serves one call (calls.c). */
struct call {
	TAILQ_ENTRY(call) link;
	bool warm;
	struct agent *agent;
	struct ev_io *io;
	int pidfd;
	uint32_t domain, port;
};

/* A process that waits for the next call. */
struct spare {
	int fd; /* its order goes here; -1 = there is none */
	int pidfd;
	pid_t pid;
};

struct agent {
	struct ev_loop *loop;
	const char *trigger_path;
	const char *fork_server; /* path of its socket with %s for the user; NULL = not used */
	/* control vchan (control.c) */
	struct chan_req *req;
	struct ev_io *req_io;
	struct ev_timer *retry;
	struct chan_stream *control;
	bool up, notified;
	/* local clients */
	int trigger_fd;
	struct ev_io *trigger_io;
	TAILQ_HEAD(, client) clients;
	unsigned n_clients;
	uint32_t next_id;
	/* calls */
	TAILQ_HEAD(, call) calls;
	unsigned n_calls;
	struct spare spare;
	struct ev_timer *spare_timer;
	unsigned warming; /* warm_up calls that have not ended; then the supervisor is told */
	bool woken; /* the memory reporter was told that this qube is in use */
};

/* control_start waits for the daemon, for the first time or anew. */
int control_start(struct agent *a, struct err *e);
/* notify tells the service manager ($NOTIFY_SOCKET) something, if there is one. */
void notify(const char *text);
/* control_send queues a message for the daemon; when it does not take its messages the connection is closed. */
void control_send(struct agent *a, const struct wr *w);

int trigger_start(struct agent *a, struct err *e);
/* trigger_answer ends the client whose request had this ident: with the place of the data channel, or by closing (NULL). */
void trigger_answer(struct agent *a, const uint8_t ident[QX_IDENT_LEN], const struct qx_connect *place);
/* trigger_hold stops (until the daemon is there) or resumes reading requests; trigger_drop ends the clients that wait for an answer. */
void trigger_hold(struct agent *a, bool on);
void trigger_drop(struct agent *a);

/* calls_prepare makes the process that waits for the next call. */
void calls_prepare(struct agent *a);
/* calls_warm runs an empty program as root and as the main user, as a call would, so that the first real one finds everything in memory. */
void calls_warm(struct agent *a);
/* calls_start serves one EXEC_CMDLINE or JUST_EXEC (type) in a process of its own. */
void calls_start(struct agent *a, const struct qx_exec *x, uint32_t type);

/* forward_call hands a call to the fork server at pattern (%s = user): 1 when it was taken there and has ended, 0 when there is no such server or it
   does not take it. chan: -1, or the data channel after HELLO with its version (stays the caller's). */
struct forward {
	uint32_t type, domain, port;
};
int forward_call(const char *pattern, const struct forward *f, const struct user *u, const struct qx_command *c, int chan, uint32_t version);

/* login_identity is the identity function of serve.h for a qube. login_prepare captures the environment of the main user in the background. */
int login_identity(void *arg, const char *name, struct user *ret, struct start *s, struct err *e);
void login_prepare(void);

/* journal_* copies a service's stderr, line by line, to the system log under the tag; used as serve.err_copy. */
struct journal {
	char tag[200], line[900];
	size_t len;
	int fd;
};
void journal_init(struct journal *j, const char *command, size_t n);
void journal_bytes(void *arg, const uint8_t *p, size_t n);
void journal_fini(struct journal *j);

#endif
