/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Admin API calls. A call is made from the bytes of one request, goes through the checks of its row (dispatch.c), and then to its
 * handler. Whatever happens it ends by call_finish exactly once, after which its answer is complete and the changes are durable.
 */
#ifndef CORE_API_API_H
#define CORE_API_API_H

#include "core/core.h"

enum arg_kind {
	A_NONE,	    /* must be empty */
	A_OPT,	    /* any text */
	A_TEXT,	    /* required text */
	A_VMPROP,   /* property of the destination: call.prop */
	A_GPROP,    /* property of the system: call.prop */
	A_TAG,	    /* call.arg is a well-formed tag */
	A_FEATURE,  /* call.arg is a well-formed feature name */
	A_LABEL,    /* call.label */
	A_VOLUME,   /* call.vol of the destination */
	A_POOL,	    /* call.pool */
	A_TEMPLATE, /* optional qube: call.template, NULL when empty */
};
enum body_kind { B_NONE, B_OPT, B_REQ, B_U64, B_I64, B_BOOL };
enum dest_kind { D_ANY, D_ADMIN, D_QUBE };
enum scope_kind { S_GLOBAL, S_LOCAL };
enum access_kind { X_R, X_W, X_X };

#define SOCK_ADMIN 1u
#define SOCK_INTERNAL 2u
#define SOCK_MISC 4u

#define MF_LOCK 1u /* the call owns the destination until it ends; others wait */
#define MF_IDLE 2u /* the call waits until nobody owns the destination */
#define MF_DEFAULT 16u /* the payload may be "default": what was set is forgotten */
#define MF_FD 8u /* needs a descriptor beside the request: call.given */
#define MF_PROGRAM 4u /* called by a qube it is a program of dom0 (data/meson.build); dom0 itself asks here */

/* Parameters of rows. */
#define CREATE_POOL 64u
#define CHECK_TEMPLATE 1u
#define CHECK_NETVM 2u
#define CHECK_ADMIN 4u
enum state_op { STATE_LIST, STATE_POOL, STATE_DROP, STATE_BUILD };

#define CALL_PENDING 1

struct call;

struct method {
	const char *name;
	int (*fn)(struct call *c);
	enum arg_kind arg;
	enum body_kind body;
	uint32_t body_max;
	enum dest_kind dest;
	enum scope_kind scope;
	enum access_kind access;
	unsigned socket, flags, param;
};

extern const struct method methods[];
extern const size_t n_methods;

struct call {
	struct call *next; /* in a waiting list */
	struct core *core;
	uint8_t *bytes; /* the request */
	size_t len;
	unsigned socket;
	const struct method *m;
	struct admin_req req;
	struct qube *src, *dest;
	char dest_name[QNAME_MAX + 1]; /* for continuations: the qube may be gone by then */
	char src_name[QNAME_MAX + 1];

	/* the argument and payload, as the row says */
	const char *arg;
	const struct prop *prop;
	struct label *label;
	struct pool *pool;
	struct volume *vol;
	struct qube *template;
	char *body; /* NUL-terminated copy without inner NUL, "" when none */
	size_t body_len;
	uint64_t u64;
	int64_t i64;
	bool flag;
	bool to_default; /* MF_DEFAULT and the payload "default": nothing was parsed from it */

	struct wr out; /* what follows "0\0" */
	struct err err;
	int result;
	struct qube *locked;
	bool syncing;	  /* waits for policy */
	bool keep_open;	  /* admin.Events: the answer was the first of a stream */
	bool fresh;	  /* a disposable that is made now, not a preloaded one */
	char app[128];	  /* of a new disposable: the program that it is made for, "" = unknown */
	bool ahead;	  /* it is made for nobody yet: the marks of who asked come when it is given out */
	void *state;	  /* of a handler with several steps; freed with the call */
	struct subscriber *sub;

	/* set by the server */
	int given; /* a descriptor that came with the request (internal socket only), -1 = none; a handler may take it */
	void (*done)(struct call *c); /* answer complete: reply with call_answer, then call_free */
	void *conn;
};

/* call_new takes over the bytes of a complete request. call_start runs it; the server's done is called now or later. */
struct call *call_new(struct core *core, uint8_t *bytes, size_t len, unsigned socket);
void call_free(struct call *c);
/* call_start: -EBADMSG when the framing is broken: no answer is due, done is not called, free the call. */
int call_start(struct call *c);
/* call_finish ends a pending call: r is 0 or negative with c->err filled. Commits, then answers. */
void call_finish(struct call *c, int r);
/* call_synced goes on with a call after policy_sync. */
void call_synced(struct call *c);
/* call_answer appends the complete response to w. */
void call_answer(struct call *c, struct wr *w);
/* qube_release lets the calls that wait for q run again (they are looked up anew). */
void qube_release(struct core *core, struct qube *q);
const struct method *method_find(const char *name);

/* call_storage runs one storage operation for the call and goes on with next(c, r, reply) when it is done. */
typedef void (*call_storage_fn)(struct call *c, int r, const struct st_reply *reply);
int call_storage(struct call *c, const struct st_request *q, call_storage_fn next);

/* feature_change sets or (NULL) removes a feature with its events. */
void feature_change(struct core *core, struct qube *q, const char *key, const char *value);

/* disposable_given answers a call for a disposable with q, which is preloaded: it gets the marks of who asked. */
void disposable_given(struct call *c, struct qube *q);

/* api_sweep removes what creations and removals of an earlier life left behind. Call once when storage is there. */
void api_sweep(struct core *core);
/* qube_remove_now removes a halted qube with its volumes (the end of an unnamed disposable); answers nobody. */
void qube_remove_now(struct core *core, struct qube *q);

#define M(name, fn, ...) int fn(struct call *c);
#include "core/api/methods.def"
#undef M

#endif
