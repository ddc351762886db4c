/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * QubesDB of running qubes: changes of features and of the keyboard that a guest reads are passed on as they happen, and what a guest reports about
 * itself is read on request. The former listens to the core's own events, so no handler of the API has to know of it.
 */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/qubesd/run.h"

#define REPORT_MS 5000
#define REPORT_KEYS_MAX 256

static const struct {
	const char *prefix, *dir;
	bool flag; /* the value is a boolean */
} maps[] = {
	{ "service.", "/qubes-service/", true },
	{ "vm-config.", "/vm-config/", false },
	{ "custom-persist.", "/persist/", false },
};

bool run_live_key(const char *feature, const char *value, char key[200], const char **ret_value)
{
	for (size_t k = 0; k < ARRAY_SIZE(maps); k++) {
		const char *name = feature + strlen(maps[k].prefix);

		if (!str_starts(feature, maps[k].prefix) || !name[0] || strlen(name) > 48 || streq(name, "meminfo-writer"))
			continue;
		*ret_value = value && maps[k].flag ? (value[0] ? "1" : "0") : value;
		return str_printf(key, 200, "%s%s", maps[k].dir, name) == 0;
	}
	return false;
}

static void changed(struct qd *d, const char *subject, const char *feature, const char *value)
{
	struct qube *q = qube_find(d->core, subject);
	struct run *r = q ? run_find(d, q->qid) : NULL;
	const char *v;
	char key[200];

	if (r && (r->phase == PH_BOOT || r->phase == PH_UP) && run_live_key(feature, value, key, &v))
		run_qdb_change(r, key, v);
}

/* A qube without a layout of its own has that of its GUI domain. */
static void keyboard(struct qd *d, const char *subject)
{
	for (struct run *r = d->runs->list; r; r = r->next) {
		const struct qube *gui = prop_vm(d->core, r->q, P_guivm);
		struct pval v;

		if ((r->phase == PH_BOOT || r->phase == PH_UP) && (streq(subject, r->q->name.s) || (gui && streq(subject, gui->name.s))))
			run_qdb_change(r, "/keyboard-layout", prop_text(d->core, r->q, P_keyboard_layout, &v));
	}
}

static void on_event(struct subscriber *s, const void *frame, size_t n)
{
	struct live *l = container_of(s, struct live, sub);
	struct rd rd = rd_mem(frame, n);
	struct admin_event ev;
	const char *k, *v, *feature = NULL, *value = NULL;

	if (admin_get_event(&rd, &ev) < 0)
		return;
	if (streq(ev.name, "property-set:keyboard_layout") || streq(ev.name, "property-reset:keyboard_layout"))
		keyboard(l->d, ev.subject);
	/* Nobody is to be heard without knowing it. */
	if (streq(ev.name, "device-attach:mic"))
		run_notice(l->d->runs, ev.subject, "the microphone is attached to this qube");
	else if (streq(ev.name, "device-detach:mic"))
		run_notice(l->d->runs, ev.subject, "the microphone is not attached to this qube any more");
	if (!str_starts(ev.name, "domain-feature-"))
		return;
	while (admin_event_arg(&ev.args, &k, &v)) {
		if (streq(k, "feature"))
			feature = v;
		else if (streq(k, "value"))
			value = v;
	}
	if (feature && str_starts(ev.name, "domain-feature-set:") && value)
		changed(l->d, ev.subject, feature, value);
	else if (feature && str_starts(ev.name, "domain-feature-delete:"))
		changed(l->d, ev.subject, feature, NULL);
}

void run_live_start(struct qd *d)
{
	struct live *l = &d->runs->live;

	l->d = d;
	l->sub.send = on_event;
	memcpy(l->sub.src, "dom0", 5);
	l->sub.next = d->core->subs;
	d->core->subs = &l->sub;
}

/* One reading of what a guest wrote below a prefix. */
struct report {
	struct qd *d;
	struct call *c;
	report_fn fn;
	struct qdbc qdb;
	struct ev_io *io;
	struct ev_timer *limit;
	struct kvmap map;
	size_t skip;
	struct qname of; /* whose QubesDB it is */
};

static void report_end(struct report *p, int k)
{
	struct call *c = p->c;
	struct kvmap map = p->map;
	report_fn fn = p->fn;

	if (k < 0)
		k = err_set(&c->err, AE_GENERIC, "QubesDB of '%s': %s", p->of.s, strerror(-k));
	ev_io_free(p->io);
	ev_timer_free(p->limit);
	qdbc_fini(&p->qdb);
	free(p);
	fn(c, k, &map);
	kv_clear(&map);
}

static void on_limit(struct ev_timer *t, void *arg)
{
	report_end(arg, -ETIMEDOUT);
}

static void on_report(struct ev_io *io, int fd, int events, void *arg)
{
	struct report *p = arg;
	struct qdb_msg *m = xcalloc(1, sizeof *m);
	_cleanup_free_ struct qdb_msg *own = m;
	int k = qdbc_io(&p->qdb), n = 0;

	while (k >= 0 && (n = qdbc_next(&p->qdb, m)) > 0) {
		if (m->h.type != QDB_RESP_MULTIREAD) {
			k = -EBADMSG;
		} else if (!m->h.path[0]) {
			report_end(p, 0);
			return;
		} else if (strlen(m->h.path) > p->skip && p->map.n < REPORT_KEYS_MAX) {
			kv_set(&p->map, m->h.path + p->skip, m->data);
		}
	}
	if (k < 0 || n < 0) {
		report_end(p, k < 0 ? k : n);
		return;
	}
	ev_io_set(p->io, qdbc_wants(&p->qdb) ? EV_READ | EV_WRITE : EV_READ);
}

int run_op_report(void *ctx, struct qube *q, const char *prefix, struct call *c, report_fn fn)
{
	struct qd *d = ctx;
	struct report *p;
	char path[PATH_MAX];
	int k;

	if (!run_find(d, q->qid))
		return err_set(&c->err, AE_VM_NOT_RUNNING, "'%s' is not running", q->name.s);
	p = xcalloc(1, sizeof *p);
	*p = (struct report){ .d = d, .c = c, .fn = fn, .skip = strlen(prefix), .of = q->name };
	k = qdbc_open(&p->qdb, path_fmt(path, PATH_RUN, "/qubesdb.%s.sock", q->name.s), &c->err);
	if (k >= 0)
		k = qdbc_queue(&p->qdb, QDB_CMD_MULTIREAD, prefix, NULL, 0);
	if (k < 0) {
		free(p);
		return err_set(&c->err, AE_GENERIC, "QubesDB of '%s' does not answer", q->name.s);
	}
	(void)fd_nonblock(p->qdb.fd, true);
	p->io = ev_io_new(d->loop, p->qdb.fd, EV_READ | EV_WRITE, on_report, p);
	p->limit = ev_timer_new(d->loop, on_limit, p);
	ev_timer_start(p->limit, REPORT_MS);
	return CALL_PENDING;
}
