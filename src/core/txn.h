/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Transactions: the only way to change the object model. A mutator changes memory, records how to undo it, and writes to the
 * database inside one open transaction (begun by the first mutator). txn_commit makes it durable and then sends the
 * events that were queued; txn_rollback, or a database error at any point, restores memory as it was. Mutators
 * return nothing: a database error is kept and txn_commit reports it.
 */
#ifndef CORE_TXN_H
#define CORE_TXN_H

#include "base/err.h"
#include "base/wr.h"

struct core;
struct qube;
struct label;
struct pool;
struct volume;
struct kvmap;

enum kv_table { KV_PROP, KV_FEATURE, KV_TAG, KV_TEXT, KV_GLOBAL, KV_POOL, KV_DEVICE, KV_NUMBER, KV_N };

/* Persistence. Each gives 0 or a negative code. kv_put with NULL value deletes. */
struct db_ops {
	int (*begin)(void *ctx, struct err *e);
	int (*commit)(void *ctx, struct err *e);
	void (*rollback)(void *ctx);
	int (*qube_put)(void *ctx, const struct qube *q, struct err *e); /* row: uuid, qid, name, class, state */
	int (*qube_del)(void *ctx, const struct qube *q, struct err *e);
	int (*kv_put)(void *ctx, enum kv_table t, const char *owner, const char *key, const char *value, struct err *e);
	int (*volume_put)(void *ctx, const struct qube *q, const struct volume *v, struct err *e);
	int (*label_put)(void *ctx, const struct label *l, struct err *e);
	int (*label_del)(void *ctx, const struct label *l, struct err *e);
	int (*pool_put)(void *ctx, const struct pool *p, struct err *e);
	int (*pool_del)(void *ctx, const struct pool *p, struct err *e);
};

struct undo;
struct queued_event {
	struct queued_event *next;
	char subject[40];
	bool system_only;
	size_t len;
	uint8_t frame[];
};

struct txn {
	bool open, failed;
	bool sysinfo; /* something policy-relevant changed */
	bool anon;    /* something changed that core/anon.h has to look at */
	struct undo *undo;
	struct queued_event *events, **events_tail;
	struct err err;
};

/* txn_commit: 0 also when nothing was changed. On failure everything is as before and no event was sent. */
int txn_commit(struct core *c, struct err *e);
void txn_rollback(struct core *c);

void txn_prop(struct core *c, struct qube *q, unsigned prop, const char *value);
void txn_global(struct core *c, unsigned prop, const char *value);
void txn_feature(struct core *c, struct qube *q, const char *key, const char *value);
void txn_tag(struct core *c, struct qube *q, const char *tag, bool on);
/* txn_device stores (NULL: removes) one assignment; key and value as core/device.h says. */
void txn_device(struct core *c, struct qube *q, const char *key, const char *value);
void txn_notes(struct core *c, struct qube *q, const char *text);
void txn_firewall(struct core *c, struct qube *q, const char *text);
void txn_volume(struct core *c, struct qube *q, struct volume *v, const struct volume *value);
/* txn_qube_add takes over q and links it with its row state; txn_qube_row changes the row state; txn_qube_del frees it at commit. */
void txn_qube_add(struct core *c, struct qube *q);
void txn_qube_row(struct core *c, struct qube *q, unsigned row);
void txn_qube_del(struct core *c, struct qube *q);
void txn_label_add(struct core *c, struct label *l);
void txn_label_del(struct core *c, struct label *l);
void txn_pool_add(struct core *c, struct pool *p);
void txn_pool_del(struct core *c, struct pool *p);
void txn_pool_set(struct core *c, struct pool *p, const char *key, const char *value);
/* txn_disp_number remembers that a disposable got this number now. Not taken back when the transaction fails: a number may rest in vain. */
void txn_disp_number(struct core *c, uint32_t id);
/* txn_sysinfo marks that system information changed for a reason that is not persistent (a power state). */
void txn_sysinfo(struct core *c);

/* event queues one event with (key, value) text pairs ended by NULL; q NULL = the system. Outside a transaction it is sent
   by the next txn_commit all the same. */
void event(struct core *c, const struct qube *q, const char *name, ...) __attribute__((sentinel));
/* eventf is event with a name made of prefix and detail ("property-set:", "label"). */
void eventf(struct core *c, const struct qube *q, const char *prefix, const char *detail, ...) __attribute__((sentinel));

struct subscriber;

/* subscriber_offer sends a frame to a caller other than dom0 once policy says that it could call service ("NAME+ARG") on target; else never. */
void subscriber_offer(struct core *c, const struct subscriber *s, const char *service, const char *target, const void *frame, size_t n);

#endif
