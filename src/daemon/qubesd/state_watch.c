/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The core's own events: which of them make states or preloaded disposables useless, or make room for new ones. */
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/state.h"

static bool has_template(const struct core *c, const struct qube *q, const struct qube *t)
{
	for (int depth = 0; q && depth < 4; depth++) {
		q = qube_template(c, q);
		if (q == t)
			return true;
	}
	return false;
}

/* A template has ended and may have kept something: what shows its former state is not given out any more. Nothing is changed inside the event of
   another change: the next look takes them away. */
static void template_ended(struct qd *d, const struct qube *t)
{
	for (struct run *r = d->runs->list; r; r = r->next)
		if (preload_waits(d->core, r->q) && has_template(d->core, r->q, t))
			r->stale = true;
}

static bool preload_feature(const char *feature)
{
	return str_starts(feature, "preload-dispvm-") && !str_ends(feature, "-in-progress") && !str_ends(feature, "-completed") &&
	       !str_ends(feature, "-app");
}

static void on_event(struct subscriber *s, const void *frame, size_t n)
{
	struct states *ss = container_of(s, struct states, sub);
	struct rd rd = rd_mem(frame, n);
	struct admin_event ev;
	const struct qube *q;
	const char *feature;

	if (admin_get_event(&rd, &ev) < 0)
		return;
	q = ev.subject[0] ? qube_find(ss->d->core, ev.subject) : NULL;
	if (str_starts(ev.name, "property-set:") || str_starts(ev.name, "property-reset:") || str_starts(ev.name, "property-del:")) {
		state_kick(ss->d);
		sweep_soon(ss->d);
	} else if (str_starts(ev.name, "domain-feature-set:") || str_starts(ev.name, "domain-feature-delete:")) {
		feature = strchr(ev.name, ':') + 1;
		/* The queue and its marks change all the time; our own writing is no news. */
		if (str_starts(feature, "preload-dispvm") ? preload_feature(feature) : !streq(feature, "internal")) {
			state_kick(ss->d);
			sweep_soon(ss->d);
		}
	} else if (streq(ev.name, "domain-shutdown")) {
		if (q && q->klass != K_DISP)
			template_ended(ss->d, q);
		state_kick(ss->d);
	} else if (streq(ev.name, "domain-delete") || str_starts(ev.name, "device-assign") || str_starts(ev.name, "device-unassign") ||
		   streq(ev.name, "firewall-changed")) {
		state_kick(ss->d);
		if (!streq(ev.name, "firewall-changed"))
			sweep_soon(ss->d);
	}
}

void watch_start(struct qd *d)
{
	struct states *ss = d->runs->states;

	ss->sub.send = on_event;
	memcpy(ss->sub.src, "dom0", 5);
	ss->sub.next = d->core->subs;
	d->core->subs = &ss->sub;
}
