/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The serving side of LC_ messages: connections, requests, answers. agentd serves the programs of a qube with it, linkd the roles and the
 * dom0 clients. Who may ask for what is decided by the owner.
 */
#ifndef CHAN_LCS_H
#define CHAN_LCS_H

#include <sys/queue.h>
#include <sys/types.h>

#include "base/ev.h"

#define LCS_CONNS_MAX 512
#define LCS_REQS_PER_CONN 256

struct lcs;

struct lcs_conn {
	struct lcs *s;
	int fd;
	struct ev_io *ev;
	int tag;   /* the owner's: which listening socket or which role */
	uid_t uid; /* of the peer process */
	bool gone, busy;
	unsigned n_reqs;
	TAILQ_HEAD(, lcs_req) reqs;
	TAILQ_ENTRY(lcs_conn) all;
};

enum lcs_kind { LCS_LISTEN, LCS_CONNECT, LCS_GRANT, LCS_GUI };

struct lcs_req {
	struct lcs_conn *conn;
	uint32_t serial, peer, port;
	enum lcs_kind kind;
	int extra;  /* a descriptor that lcs_open gives beside the stream; borrowed, -1 = none */
	void *user; /* the owner's */
	TAILQ_ENTRY(lcs_req) all;
};

struct lcs_ops {
	/* A request arrived. 0: it is the owner's until lcs_open, lcs_ok or lcs_fail (which may be called at once). Negative: refused with the
	   text in e. */
	int (*request)(struct lcs_req *r, struct err *e, void *arg);
	/* The client has gone before an answer; r is freed afterwards. */
	void (*cancelled)(struct lcs_req *r, void *arg);
	/* A connection of lcs_add or of a listening socket has ended; its requests were cancelled. May be NULL. */
	void (*gone)(int tag, void *arg);
};

struct lcs *lcs_new(struct ev_loop *l, const struct lcs_ops *ops, void *arg);
void lcs_free(struct lcs *s);
/* lcs_listen takes fd, a listening SEQPACKET socket; its clients get tag. At most 2 listening sockets. */
int lcs_listen(struct lcs *s, int fd, int tag);
/* lcs_add takes fd, a connected SEQPACKET socket. */
int lcs_add(struct lcs *s, int fd, int tag);
/* lcs_has is true while a connection with this tag exists. */
bool lcs_has(const struct lcs *s, int tag);
/* lcs_open answers by LC_OPEN with one end of a new stream pair and gives the other one, or -errno when the client is gone. The request
   is gone in each case. */
int lcs_open(struct lcs_req *r);
/* lcs_ok and lcs_fail answer a request and end it. code: positive errno. */
void lcs_ok(struct lcs_req *r);
void lcs_fail(struct lcs_req *r, int code, const char *text);

#endif
