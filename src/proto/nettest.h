/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What `qvm-net test` has a qube try, and what became of it. Dom0 sends lines "KIND ADDRESS NUMBER SOURCE", the qube answers "ROW left|kept OUTCOME" for each.
 * Pure; both sides decode strictly: the qube's answer is foreign text.
 */
#ifndef PROTO_NETTEST_H
#define PROTO_NETTEST_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define NETTEST_SERVICE "bulkhead.NetTest"
#define NETTEST_ROWS_MAX 64
#define NETTEST_ADDR_CAP 46

enum nettest_kind {
#define KIND(symbol, word) NETTEST_##symbol,
#include "proto/nettest.def"
#undef KIND
	NETTEST_KIND_N
};

enum nettest_outcome {
#define OUTCOME(symbol, word) NETTEST_##symbol,
#include "proto/nettest.def"
#undef OUTCOME
	NETTEST_OUTCOME_N
};

struct nettest_probe {
	enum nettest_kind kind;
	char addr[NETTEST_ADDR_CAP], src[NETTEST_ADDR_CAP]; /* normal form; src "" = the qube's own */
	bool v6;
	uint16_t number; /* port, or protocol of NETTEST_PROTO */
};

struct nettest_result {
	bool known; /* the qube said something of this row */
	bool left;  /* a packet of it was seen on the way out of the qube's device */
	enum nettest_outcome outcome;
};

const char *nettest_kind_word(enum nettest_kind k);
const char *nettest_outcome_word(enum nettest_outcome o);
/* nettest_put writes a probe's line. nettest_get decodes one line; -EINVAL with text. */
void nettest_put(struct wr *w, const struct nettest_probe *p);
int nettest_get(struct nettest_probe *ret, struct rd line, struct err *e);
/* nettest_answer_put writes an answer's line; nettest_answers decodes all of them into ret[n]. -EBADMSG. */
void nettest_answer_put(struct wr *w, size_t row, const struct nettest_result *r);
int nettest_answers(struct nettest_result *ret, size_t n, struct rd text);

#endif
