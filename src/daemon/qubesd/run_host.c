/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens to all qubes at once: autostart when the instance starts, sleep and waking of the host. Each step is a call like anybody's. */
#include <fcntl.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/qubesd/run.h"

#define AUTOSTART_PARALLEL 2
#define LIST_MAX (QNAME_MAX * QID_MAX)
/* The services of all qubes together, before the host sleeps and after it woke: one that hangs does not keep it awake. */
#define SERVICES_MS 60000

/* --- autostart ---------------------------------------------------------------------------------------------------- */

struct autostart {
	struct qd *d;
	struct qname *names;
	size_t n, next;
	unsigned open;
};

static void autostart_next(struct autostart *a);

static void autostarted(struct call *c)
{
	struct autostart *a = c->conn;

	if (c->result < 0)
		log_warn("autostart of %s: %s", c->dest_name, err_text(&c->err, c->result));
	call_free(c);
	a->open--;
	autostart_next(a);
}

static void autostart_next(struct autostart *a)
{
	while (a->open < AUTOSTART_PARALLEL && a->next < a->n) {
		struct qube *q = qube_find(a->d->core, a->names[a->next].s);

		a->next++;
		if (!q || !qube_halted(q))
			continue;
		log_info("autostart of %s", q->name.s);
		a->open++;
		internal_call(a->d, "admin.vm.Start", NULL, "dom0", q->name.s, autostarted, a);
	}
	if (a->open || a->next < a->n || !a->names)
		return;
	/* an answer that comes at once goes through here inside the loop above: the last one out ends it */
	free(STEAL_PTR(a->names));
	log_info("autostart is done");
}

void run_autostart(struct qd *d)
{
	struct autostart *a = xcalloc(1, sizeof *a); /* kept: one for the life of the process */

	a->d = d;
	a->names = xcalloc(d->core->n_sorted + 1, sizeof *a->names);
	for (size_t i = 0; i < d->core->n_sorted; i++) {
		struct qube *q = d->core->sorted[i];

		if (q->klass != K_ADMIN && q->klass != K_REMOTE && qube_halted(q) && prop_bool(d->core, q, P_autostart))
			a->names[a->n++] = q->name;
	}
	if (a->n)
		autostart_next(a);
}

/* --- sleep of the host -------------------------------------------------------------------------------------------- */

/* Sleep: services in every qube, then each is suspended. Waking: each is resumed, then the services. */
struct sleeping {
	struct qd *d;
	struct call *c; /* NULL: answered, and only services that hang are left */
	bool pre;
	unsigned open;	   /* methods under way, and one while they are being started */
	unsigned services; /* that have not ended, and one while they are being started */
	struct ev_timer *limit;
	struct qname *names; /* to be suspended or resumed */
	size_t n;
};

static void call_services(struct sleeping *s);

static const char *list_path(char path[PATH_MAX])
{
	return path_fmt(path, PATH_RUN, "/previously-paused.list");
}

static void answer(struct sleeping *s)
{
	struct call *c = STEAL_PTR(s->c);

	ev_timer_free(s->limit);
	s->limit = NULL;
	if (!s->services)
		free(s);
	call_finish(c, 0);
}

static void one_done(struct sleeping *s)
{
	if (--s->open)
		return;
	free(STEAL_PTR(s->names));
	if (s->pre)
		answer(s);
	else
		call_services(s);
}

/* A qube that cannot is no reason to keep the host awake. */
static void called(struct call *c)
{
	struct sleeping *s = c->conn;

	if (c->result < 0)
		log_warn("%s of %s: %s", c->req.method, c->dest_name, err_text(&c->err, c->result));
	call_free(c);
	one_done(s);
}

/* The ones that somebody paused stay as they are when the host wakes. */
static int remember(struct qd *d, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(LIST_MAX);
	_cleanup_fd_ int fd = -1;
	char path[PATH_MAX];
	int r;

	for (size_t i = 0; i < d->core->n_sorted; i++)
		if (d->core->sorted[i]->state == LIFE_PAUSED)
			wr_printf(&w, "%s\n", d->core->sorted[i]->name.s);
	fd = open(list_path(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	r = fd < 0 ? -errno : write_full(fd, w.buf, w.len);
	return r < 0 ? err_set(e, AE_GENERIC, "%s: %s", path, strerror(-r)) : 0;
}

static bool listed(const char *text, const char *name)
{
	size_t n = strlen(name);

	while (*text) {
		size_t k = strcspn(text, "\n");

		if (k == n && memcmp(text, name, n) == 0)
			return true;
		text += k + (text[k] == '\n');
	}
	return false;
}

static void suspend_or_resume(struct sleeping *s)
{
	s->open = 1;
	for (size_t i = 0; i < s->n; i++) {
		s->open++;
		internal_call(s->d, s->pre ? "admin.vm.Suspend" : "admin.vm.Resume", NULL, "dom0", s->names[i].s, called, s);
	}
	one_done(s);
}

static void services_over(struct sleeping *s)
{
	if (s->limit) {
		ev_timer_free(s->limit);
		s->limit = NULL;
	}
	if (s->pre)
		suspend_or_resume(s);
	else
		answer(s);
}

static void service_done(struct sleeping *s)
{
	if (--s->services)
		return;
	if (!s->c)
		free(s); /* the host did not wait for this one */
	else if (s->limit)
		services_over(s);
}

struct service {
	struct sleeping *s;
	struct qname name;
};

static void served(void *arg, int r, const char *why)
{
	struct service *v = arg;

	if (r < 0)
		log_warn("qubes.Suspend%sAll in %s: %s", v->s->pre ? "Pre" : "Post", v->name.s, why);
	service_done(v->s);
	free(v);
}

static void on_limit(struct ev_timer *t, void *arg)
{
	struct sleeping *s = arg;

	log_warn("%u services did not end in time: the host does not wait for them", s->services);
	services_over(s);
}

static void call_services(struct sleeping *s)
{
	s->services = 1;
	s->limit = ev_timer_new(s->d->loop, on_limit, s);
	ev_timer_start(s->limit, SERVICES_MS);
	for (struct run *r = s->d->runs->list; r; r = r->next) {
		struct service *v;
		struct err e = { 0 };

		if (r->phase != PH_UP || r->q->state != LIFE_RUNNING || !r->agent_up)
			continue;
		v = xcalloc(1, sizeof *v);
		*v = (struct service){ s, r->q->name };
		s->services++;
		if (run_guest_service(r, s->pre ? "qubes.SuspendPreAll" : "qubes.SuspendPostAll", "root", "", served, v, &e) < 0)
			served(v, -EIO, e.msg);
	}
	service_done(s);
}

/* Which qubes are put to sleep, or woken: the ones that somebody else paused stay as they are. */
static void choose(struct sleeping *s, const char *paused)
{
	const struct core *c = s->d->core;

	s->names = xcalloc(c->n_sorted + 1, sizeof *s->names);
	for (size_t i = 0; i < c->n_sorted; i++) {
		const struct qube *q = c->sorted[i];

		if (q->klass == K_ADMIN || q->klass == K_REMOTE)
			continue;
		if (s->pre ? q->state == LIFE_RUNNING : q->state == LIFE_SUSPENDED || (q->state == LIFE_PAUSED && paused && !listed(paused, q->name.s)))
			s->names[s->n++] = q->name;
	}
}

int run_op_suspend_host(void *ctx, bool pre, struct call *c)
{
	struct qd *d = ctx;
	_cleanup_free_ char *paused = NULL;
	struct sleeping *s;
	char path[PATH_MAX];
	size_t len;
	int r = pre ? remember(d, &c->err) : 0;

	if (r < 0)
		return r;
	/* without the list nobody said that the host would sleep: what is paused was paused by somebody */
	if (!pre && fs_read(AT_FDCWD, list_path(path), LIST_MAX, &paused, &len, NULL) == 0)
		(void)unlink(path);
	s = xcalloc(1, sizeof *s);
	*s = (struct sleeping){ .d = d, .c = c, .pre = pre };
	choose(s, paused);
	if (pre)
		call_services(s);
	else
		suspend_or_resume(s);
	return CALL_PENDING;
}
