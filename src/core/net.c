/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of qubes. */
#include "core/net.h"

#include "base/str.h"
#include "core/txn.h"

/* A chain is as long as the number of qubes at most; checks refuse loops, this bound is for a database edited by hand. */
#define CHAIN_MAX 64

bool net_networked(const struct core *c, const struct qube *q)
{
	struct pval v;

	return prop_bool(c, q, P_provides_network) || prop_text(c, q, P_netvm, &v)[0];
}

/* The number behind the address: disposables have their own range and number. */
static uint64_t number(const struct core *c, const struct qube *q)
{
	return q->klass == K_DISP ? (uint64_t)prop_int(c, q, P_dispid, 0) : q->qid;
}

bool net_ip(const struct core *c, const struct qube *q, char *out, size_t cap)
{
	uint64_t n, net = q->klass == K_DISP ? 138 : 137;

	if (!net_networked(c, q))
		return false;
	n = number(c, q);
	if (n < 255)
		return str_printf(out, cap, "10.%llu.%llu.%llu", (unsigned long long)net, (unsigned long long)(n >> 8),
				  (unsigned long long)(n & 255)) == 0;
	return str_printf(out, cap, "10.%llu.%llu.%llu", (unsigned long long)net, (unsigned long long)((n - 1) / 254),
			  (unsigned long long)((n - 1) % 254 + 1)) == 0;
}

bool net_ip6(const struct core *c, const struct qube *q, char *out, size_t cap)
{
	const struct qube *x = q;
	const char *f = NULL;

	for (int i = 0; x && !f && i < CHAIN_MAX; i++) {
		f = kv_get(&x->features, "ipv6");
		x = f ? x : prop_vm(c, x, P_netvm);
	}
	if (!f || !f[0] || !net_networked(c, q))
		return false;
	return str_printf(out, cap, "fd09:24ef:4179::%s:%llx", q->klass == K_DISP ? "a8a" : "a89",
			  (unsigned long long)number(c, q)) == 0;
}

bool net_loops(const struct core *c, const struct qube *q, const struct qube *netvm)
{
	for (int i = 0; netvm && i < CHAIN_MAX; i++) {
		if (netvm == q)
			return true;
		netvm = prop_vm(c, netvm, P_netvm);
	}
	return netvm != NULL;
}

#define DEFERRED "deferred-netvm-original"

void netvm_settled(struct core *c, struct qube *q)
{
	if (!kv_get(&q->features, DEFERRED))
		return;
	eventf(c, q, "domain-feature-pre-delete:", DEFERRED, "feature", DEFERRED, NULL);
	txn_feature(c, q, DEFERRED, NULL);
	eventf(c, q, "domain-feature-delete:", DEFERRED, "feature", DEFERRED, NULL);
}

void netvm_deferred(struct core *c, struct qube *q, const char *was, const char *now)
{
	const char *first = kv_get(&q->features, DEFERRED);

	if (q->state != LIFE_PAUSED && q->state != LIFE_SUSPENDED)
		return;
	if (first && streq(first, now)) {
		netvm_settled(c, q);
	} else if (!first && !streq(was, now)) {
		eventf(c, q, "domain-feature-pre-set:", DEFERRED, "feature", DEFERRED, "value", was, NULL);
		txn_feature(c, q, DEFERRED, was);
		eventf(c, q, "domain-feature-set:", DEFERRED, "feature", DEFERRED, "value", was, NULL);
	}
}
