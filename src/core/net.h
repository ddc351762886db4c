/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of qubes (specs/guest-network.md §1.4). Pure. */
#ifndef CORE_NET_H
#define CORE_NET_H

#include "core/core.h"

/* net_networked: the qube has a netvm or is one. */
bool net_networked(const struct core *c, const struct qube *q);
/* net_ip and net_ip6 write the default address; false when the qube has none. */
bool net_ip(const struct core *c, const struct qube *q, char *out, size_t cap);
bool net_ip6(const struct core *c, const struct qube *q, char *out, size_t cap);
/* net_loops: would q with this netvm be its own provider along the chain? */
bool net_loops(const struct core *c, const struct qube *q, const struct qube *netvm);

/* netvm_deferred: the netvm of q was changed (names, "" = none). A paused qube gets its new link when it goes on; until then a feature tells which one it had. */
void netvm_deferred(struct core *c, struct qube *q, const char *was, const char *now);
/* netvm_settled: q is not paused any more. */
void netvm_settled(struct core *c, struct qube *q);

#endif
