/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Parts of qrexec-daemon, one process a running qube. It reads what the qube's agent sends and what dom0 clients ask, decides nothing, and holds
 * no right but to talk to this one qube. A malformed message ends the connection that it came from, never the process; no peer can make it wait.
 * Two ways to be wired: link.c (the product: policyd, core and linkd over inherited channels) and direct.c (the reference's flow over unix sockets).
 */
#ifndef QREXEC_DAEMON_DAEMON_H
#define QREXEC_DAEMON_DAEMON_H

#include <sys/queue.h>

#include "base/ev.h"
#include "base/log.h"
#include "chan/stream.h"
#include "ports.h"
#include "proto/qrexec.h"

#define CLIENTS_MAX 256
#define REQUESTS_MAX 256
#define AGENT_OUT_MARK (512 * 1024)

struct qd;

enum client_state { CLIENT_HELLO, CLIENT_READY, CLIENT_GRANT, CLIENT_RUNNING };

/* A program of dom0 (clients.c). */
struct client {
	TAILQ_ENTRY(client) link;
	struct qd *qd;
	struct chan_stream *stream;
	enum client_state state;
	uint32_t type, peer, port; /* the call it asked for */
	char *command;		   /* waits for the grant */
	bool connect_port;	   /* the port belongs to this connection: freed with it */
};

/* A call that the qube asked for and that is not decided (requests.c). */
struct request {
	TAILQ_ENTRY(request) link;
	uint32_t id;
	uint8_t ident[QX_IDENT_LEN];
};

/* What differs between the two ways of wiring. */
struct wiring {
	/* starts to connect the control vchan; agent_attach is called when it is there */
	void (*connect_agent)(struct qd *qd);
	void (*agent_up)(struct qd *qd);
	void (*agent_down)(struct qd *qd);
	/* lets the client's data channel be made; calls client_granted now or later */
	int (*grant)(struct qd *qd, struct client *c);
	/* forwards a request to who decides; requests_connect or requests_refuse follows. Negative: refused. */
	int (*ask)(struct qd *qd, const struct request *r, const struct qx_trigger *t, const char *service);
	/* a call that no dom0 client asked for has ended */
	void (*call_done)(struct qd *qd, uint32_t peer, uint32_t port);
	/* other daemons may ask for calls by a qube and answer requests over the client socket */
	bool foreign;
};

struct qd {
	struct ev_loop *loop;
	const struct wiring *wiring;
	void *wired; /* state of the wiring */
	uint32_t id;
	const char *name, *uuid, *default_user;
	struct chan_stream *agent;
	bool up;
	bool have_paths; /* paths_init was called: qubesd can be found */
	uint32_t version; /* negotiated with the agent; 0 = no agent */
	int listen_fd;
	struct ev_io *listen_io;
	TAILQ_HEAD(, client) clients;
	unsigned n_clients;
	struct ports ports;
	TAILQ_HEAD(, request) requests;
	unsigned n_requests;
	uint32_t next_request;
	struct log_rate noise; /* limits what a qube can write into our log */
};

/* --- agent.c --- */
/* agent_attach takes the connected control vchan. */
void agent_attach(struct qd *qd, int fd);
/* agent_send queues a message for the agent; -EPIPE without an agent, -ENOBUFS when it does not take its messages. */
int agent_send(struct qd *qd, const struct wr *w);
/* agent_exec sends EXEC_CMDLINE or JUST_EXEC; a leading "DEFAULT:" becomes the default user. */
int agent_exec(struct qd *qd, uint32_t type, uint32_t domain, uint32_t port, const char *command);

/* --- clients.c --- */
void clients_listen(struct qd *qd, int fd);
/* clients_end ends all clients. */
void clients_end(struct qd *qd);
void client_granted(struct client *c, int code);
/* clients_call_done ends the client whose call ended; false when no client had asked for it. */
bool clients_call_done(struct qd *qd, uint32_t peer, uint32_t port);

/* --- requests.c --- */
/* requests_add handles a TRIGGER message of the agent. Negative: malformed. */
int requests_add(struct qd *qd, const struct qx_frame *f);
/* The answers; an id that is not pending (its agent has gone) is ignored. */
void requests_connect(struct qd *qd, uint32_t id, uint32_t domain, uint32_t port);
void requests_refuse(struct qd *qd, uint32_t id);
/* requests_by_ident gives the id of the pending request, 0 when there is none. */
uint32_t requests_by_ident(struct qd *qd, const uint8_t ident[QX_IDENT_LEN]);
bool requests_pending(struct qd *qd, uint32_t id);
void requests_drop(struct qd *qd);

/* --- link.c, direct.c --- */
int link_start(struct qd *qd, struct err *e);
struct runners;
struct direct_options {
	const char *socket_dir, *policy_program, *policy_socket;
	struct runners *runners;
	bool tell_ready; /* a parent waits for the agent (background.h) */
};
int direct_start(struct qd *qd, const struct direct_options *o, struct err *e);
void direct_stop(struct qd *qd);

/* --- route.c: a decided call of the direct flow --- */
struct route;
/* route_start asks the policy for a request and carries the call through. */
int route_start(struct qd *qd, const struct direct_options *o, const struct request *r, const struct qx_trigger *t, const char *service);

#endif
