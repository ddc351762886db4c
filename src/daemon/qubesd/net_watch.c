/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Follows the core's own events, so that no handler of the API has to know of links: another NetVM, other rules. */
#include "base/str.h"
#include "daemon/qubesd/net.h"

static void follow(struct qd *d, const char *subject, const char *name)
{
	struct qube *q = qube_find(d->core, subject);
	struct run *r = q ? run_find(d, q->qid) : NULL;
	struct run *p = r ? run_find(d, r->net.provider) : NULL;

	if (streq(name, "firewall-changed")) {
		if (p)
			net_tell_rules(p, r);
		return;
	}
	/* A preloaded disposable gets its link when it is used. */
	if ((str_ends(name, ":netvm") || str_ends(name, ":uplink") || streq(name, "domain-unpaused")) && r)
		net_again(r);
	/* The global default may be the NetVM of any of them. */
	if (str_ends(name, ":default_netvm"))
		for (r = d->runs->list; r; r = r->next)
			if (prop_find(r->q, "netvm") && !r->q->props[P_netvm])
				net_again(r);
}

static void on_event(struct subscriber *s, const void *frame, size_t n)
{
	struct live *l = container_of(s, struct live, sub);
	struct rd rd = rd_mem(frame, n);
	struct admin_event ev;

	if (admin_get_event(&rd, &ev) == 0 &&
	    (str_starts(ev.name, "property-set:") || str_starts(ev.name, "domain-feature-") || str_starts(ev.name, "property-reset:") || streq(ev.name, "firewall-changed") ||
	     streq(ev.name, "domain-unpaused")))
		follow(l->d, ev.subject, ev.name);
}

void net_watch_start(struct qd *d)
{
	struct live *l = &d->runs->net_live;

	l->d = d;
	l->sub.send = on_event;
	memcpy(l->sub.src, "dom0", 5);
	l->sub.next = d->core->subs;
	d->core->subs = &l->sub;
}
