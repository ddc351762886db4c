/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which qubes there are and what changes: the list once, then events; all anew when the daemon was started again. */
#include "base/log.h"
#include "base/str.h"
#include "gui/desktop/desktop.h"

#define AGAIN_MS 1000
#define EVENTS_A_TURN 64

struct dqube *watch_find(struct desk *d, const char *name)
{
	struct dqube *q;

	TAILQ_FOREACH(q, &d->qubes, all)
		if (streq(q->name, name))
			return q;
	return NULL;
}

static bool ours(const struct desk *d, const char *name)
{
	if (streq(name, "dom0"))
		return false;
	for (size_t i = 0; !d->all && d->names[i]; i++)
		if (streq(d->names[i], name))
			return true;
	return d->all;
}

static struct dqube *get(struct desk *d, const char *name)
{
	struct dqube *q = watch_find(d, name);

	if (q)
		return q;
	q = xcalloc(1, sizeof *q);
	if (str_copy(q->name, sizeof q->name, name) < 0) {
		free(q);
		return NULL;
	}
	q->d = d;
	q->clip = -1;
	q->guid = q->audio.proc = PROC_INIT;
	TAILQ_INSERT_TAIL(&d->qubes, q, all);
	return q;
}

/* What of a qube may have changed: starts, stops or restarts its guid, or leaves it alone. */
static void look(struct dqube *q)
{
	struct guid_facts facts;
	struct guid_args args;
	struct err e = { 0 };
	int r = facts_get(q, &facts, &args, &e);

	if (r < 0 && adm_is_not_started(r))
		r = 0;
	if (r < 0) {
		log_warn("%s: %s", q->name, err_text(&e, r));
		return;
	}
	if (r == 0) {
		guid_args_fini(&args);
		daemon_stop(q);
		return;
	}
	if (q->wanted && guid_args_same(&args, &q->args)) {
		guid_args_fini(&args);
		return;
	}
	guid_args_fini(&q->args);
	q->args = args;
	q->facts = facts;
	if (q->wanted)
		daemon_restart(q);
	else
		daemon_start(q);
}

static void up(struct desk *d, const char *name, bool usable)
{
	struct dqube *q = ours(d, name) ? get(d, name) : NULL;
	bool first;

	if (!q)
		return;
	q->running = true;
	look(q);
	audio_look(q);
	first = usable && !q->usable;
	q->usable |= usable;
	if (first && q->wanted)
		layout_send(q);
}

static void down(struct desk *d, const char *name)
{
	struct dqube *q = watch_find(d, name);

	if (!q)
		return;
	q->running = q->usable = false;
	daemon_stop(q);
	audio_stop(q);
}

/* Those that run no more, and whose guid has ended. */
static void forget(struct desk *d)
{
	struct dqube *q, *next;

	for (q = d->qubes.tqh_first; q; q = next) {
		next = TAILQ_NEXT(q, all);
		if (q->running || q->life != Q_IDLE || q->audio.life != Q_IDLE)
			continue;
		TAILQ_REMOVE(&d->qubes, q, all);
		daemon_free(q);
		audio_free(q);
		free(q);
	}
}

static int look_at_all(struct desk *d, struct err *e)
{
	struct adm_qubes list = { .n = 0 };
	struct dqube *q;
	int r = adm_qubes_get(&list, "dom0", e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < list.n; i++) {
		bool runs = streq(list.v[i].state, "Running") || streq(list.v[i].state, "Paused");

		if (runs || streq(list.v[i].state, "Transient"))
			up(d, list.v[i].name, runs);
		else
			down(d, list.v[i].name);
	}
	TAILQ_FOREACH(q, &d->qubes, all)
		if (!adm_qubes_find(&list, q->name))
			down(d, q->name);
	for (size_t i = 0; !d->all && !d->watch && d->names[i]; i++)
		if (!adm_qubes_find(&list, d->names[i]))
			r = err_set(e, ADM_EXC_NOT_FOUND, "there is no qube '%s'", d->names[i]);
	adm_qubes_fini(&list);
	return r;
}

/* Several qubes may be concerned: a template's feature, dom0's defaults, the system's GUI domain. */
static void look_again(struct desk *d)
{
	struct dqube *q;

	TAILQ_FOREACH(q, &d->qubes, all)
		if (q->running)
			look(q);
}

static void listen_again(struct desk *d)
{
	struct dqube *q;

	TAILQ_FOREACH(q, &d->qubes, all)
		if (q->running)
			audio_look(q);
}

static bool about_gui(const char *name)
{
	static const char *const prefixes[] = { "domain-feature-set:gui", "domain-feature-delete:gui", "property-set:guivm", "property-reset:guivm",
						"property-set:default_guivm", "property-reset:default_guivm", "property-set:label" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (str_starts(name, prefixes[i]))
			return true;
	return false;
}

static void on_event(struct desk *d, const struct adm_event *ev)
{
	char name[64];

	/* The subject lies in the stream's buffer, which calls leave alone; a qube's name is short. */
	if (str_copy(name, sizeof name, ev->subject) < 0)
		return;
	if (streq(ev->name, "domain-spawn"))
		up(d, name, false);
	else if (streq(ev->name, "domain-start") || streq(ev->name, "domain-unpaused"))
		up(d, name, true);
	else if (streq(ev->name, "domain-stopped") || streq(ev->name, "domain-shutdown") || streq(ev->name, "domain-start-failed"))
		down(d, name);
	else if (about_gui(ev->name))
		look_again(d);
	if (str_starts(ev->name, "property-set:label"))
		menus_label(d, name);
	if (audio_about(ev->name))
		listen_again(d);
}

static void connect_later(struct desk *d);

static void lost(struct desk *d, const char *why)
{
	ev_io_free(STEAL_PTR(d->events_ev));
	adm_events_close(&d->events);
	if (!d->said_gone)
		log_warn("qubesd: %s; the windows stay, and changes are seen when it is back", why);
	d->said_gone = true;
	connect_later(d);
}

static void on_events(struct ev_io *io, int fd, int events, void *arg)
{
	struct desk *d = arg;
	struct adm_event ev;
	struct err e = { 0 };
	int r = 1;

	for (int i = 0; i < EVENTS_A_TURN && r == 1; i++) {
		r = adm_events_next(&d->events, 0, &ev, &e);
		if (r == 1)
			on_event(d, &ev);
	}
	if (r == 0 || (r < 0 && r != -ETIMEDOUT))
		lost(d, r ? err_text(&e, r) : "it has ended");
	forget(d);
	desk_idle(d);
}

static int attach(struct desk *d, struct err *e)
{
	int r = adm_events_open(&d->events, "dom0", "admin.Events", e);

	if (r < 0)
		return r;
	d->events_ev = ev_io_new(d->loop, d->events.fd, EV_READ, on_events, d);
	/* Events wait in the stream meanwhile: nothing falls between the list and the first of them. */
	r = look_at_all(d, e);
	if (r == 0 && d->said_gone)
		log_info("qubesd is back");
	d->said_gone = r < 0 && d->said_gone;
	return r;
}

static void on_again(struct ev_timer *t, void *arg)
{
	struct desk *d = arg;
	struct err e = { 0 };
	int r = attach(d, &e);

	if (r < 0)
		lost(d, err_text(&e, r));
	forget(d);
}

static void connect_later(struct desk *d)
{
	if (!d->again)
		d->again = ev_timer_new(d->loop, on_again, d);
	ev_timer_start(d->again, AGAIN_MS);
}

int watch_start(struct desk *d, struct err *e)
{
	int r;

	r = attach(d, e);
	if (r < 0 && d->watch) {
		lost(d, err_text(e, r));
		r = 0;
	}
	return r;
}

void watch_fini(struct desk *d)
{
	struct dqube *q;

	ev_io_free(STEAL_PTR(d->events_ev));
	ev_timer_free(STEAL_PTR(d->again));
	adm_events_close(&d->events);
	/* All are told first, then waited for. */
	TAILQ_FOREACH(q, &d->qubes, all) {
		daemon_stop(q);
		audio_stop(q);
	}
	while ((q = d->qubes.tqh_first)) {
		TAILQ_REMOVE(&d->qubes, q, all);
		daemon_free(q);
		audio_free(q);
		free(q);
	}
}
