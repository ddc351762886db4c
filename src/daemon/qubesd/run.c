/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of running qubes and what its parts share. */
#include "daemon/qubesd/net.h"
#include "daemon/qubesd/state.h"

#include <fcntl.h>

#include "base/fsx.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "core/net.h"

const struct core_ops run_ops = {
	.storage = storage_submit,
	.start = run_op_start,
	.shutdown = run_op_shutdown,
	.kill = run_op_kill,
	.pause = run_op_pause,
	.suspend_host = state_op_suspend_host,
	.current_state = run_op_current_state,
	.preload_take = state_op_take,
	.preload_refresh = state_op_refresh,
	.state = state_op,
	.hold = run_op_hold,
	.policy_sync = policy_sync,
	.net_sync = net_sync,
	.policy_ask = policy_ask,
	.report = run_op_report,
	.grow = run_op_grow,
	.look = run_pools_look,
	.guest = run_op_guest,
	.stats = run_op_stats,
};

/* The name of the host's time zone, from the link that names it. Read before the sandbox closes. */
static void find_timezone(char out[64])
{
	char link[PATH_MAX];
	ssize_t n = readlink("/etc/localtime", link, sizeof link - 1);
	const char *at;

	out[0] = '\0';
	if (n <= 0)
		return;
	link[n] = '\0';
	at = strstr(link, "zoneinfo/");
	if (at && str_chars(at + 9, "/_+-"))
		(void)!str_copy(out, 64, at + 9);
}

/* The counters of starts go on where the last core left them. */
static void load_counters(struct runs *rs)
{
	char path[PATH_MAX];
	_cleanup_free_ char *text = NULL;
	size_t len;
	char *space;

	if (fs_read(AT_FDCWD, path_fmt(path, PATH_RUN, "/start-retries"), 64, &text, &len, NULL) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	space = strchr(text, ' ');
	if (!space)
		return;
	*space = '\0';
	if (str_u64(text, INT64_MAX, &rs->n_starts) < 0 || str_u64(space + 1, INT64_MAX, &rs->n_retries) < 0)
		rs->n_starts = rs->n_retries = 0;
}

struct runs *runs_new(struct qd *d)
{
	struct runs *rs = xcalloc(1, sizeof *rs);

	rs->d = d;
	find_timezone(rs->timezone);
	load_counters(rs);
	rs->states = states_new(d);
	rs->host.load = hostload_open();
	return rs;
}

int runs_start(struct qd *d, struct err *e)
{
	int r;

	run_live_start(d);
	run_pools_start(d);
	run_disp_start(d);
	net_watch_start(d);
	r = run_adopt_all(d, e);
	if (r >= 0)
		net_adopted(d);
	if (r >= 0)
		states_start(d);
	return r < 0 ? r : policy_start(d->runs, e);
}

struct run *run_find(struct qd *d, uint32_t qid)
{
	struct run *r = d->runs ? d->runs->list : NULL;

	while (r && r->q->qid != qid)
		r = r->next;
	return r;
}

struct run *run_new(struct qd *d, struct qube *q)
{
	struct run *r = xcalloc(1, sizeof *r);

	r->d = d;
	r->q = q;
	r->qdb.fd = -1;
	r->drive = -1;
	r->next = d->runs->list;
	d->runs->list = r;
	q->run = r;
	return r;
}

void run_free(struct run *r)
{
	struct run **p = &r->d->runs->list;

	while (*p && *p != r)
		p = &(*p)->next;
	if (*p)
		*p = r->next;
	r->q->run = NULL;
	net_free(r);
	warm_free(r);
	run_disconnect(r);
	fd_closep(&r->drive);
	ev_timer_free(r->watch);
	ev_timer_free(r->limit);
	ev_timer_free(r->kill);
	ev_timer_free(r->gone);
	ev_timer_free(r->shutdown_limit);
	free(r);
}

void run_commit(struct qd *d)
{
	bool sysinfo = d->core->txn.sysinfo;
	struct err e = { 0 };

	if (txn_commit(d->core, &e) < 0)
		log_warn("%s", e.msg);
	d->core->txn.sysinfo = false;
	if (sysinfo && d->runs)
		policy_push(d->runs);
}

void run_state(struct run *r, enum life_event ev)
{
	struct err e = { 0 };
	int next = life_next(r->q->state, ev, &e);

	if (next < 0) {
		log_warn("%s: %s", r->q->name.s, e.msg);
		return;
	}
	r->q->state = (enum life_state)next;
	if (r->q->state != LIFE_PAUSED && r->q->state != LIFE_SUSPENDED)
		netvm_settled(r->d->core, r->q);
	txn_sysinfo(r->d->core);
}

void call_push(struct call **list, struct call *c)
{
	if (!c)
		return;
	c->next = *list;
	*list = c;
}

void calls_end(struct call **list, int r, const struct err *e)
{
	while (*list) {
		struct call *c = *list;

		*list = c->next;
		c->next = NULL;
		if (r < 0 && e)
			c->err = *e;
		call_finish(c, r);
	}
}

static struct call *internal_new(struct qd *d, const char *method, const char *arg, const char *src, const char *dest,
				 const char *body, void (*done)(struct call *c), void *arg2)
{
	struct wr w = wr_grow(ADMIN_REQUEST_MAX);
	struct call *c;
	size_t n;
	uint8_t *bytes;

	admin_put_request(&w, method, arg, src, dest, body, strlen(body));
	bytes = (uint8_t *)wr_take(&w, &n);
	if (!bytes)
		abort(); /* our own names are short */
	c = call_new(d->core, bytes, n, SOCK_ADMIN);
	c->done = done;
	c->conn = arg2;
	return c;
}

void internal_call(struct qd *d, const char *method, const char *arg, const char *src, const char *dest, void (*done)(struct call *c),
		   void *arg2)
{
	if (call_start(internal_new(d, method, arg, src, dest, "", done, arg2)) < 0)
		abort(); /* and well framed */
}

void internal_call_with(struct qd *d, const char *method, const char *src, const char *dest, const char *body, void (*done)(struct call *c), void *arg2)
{
	if (call_start(internal_new(d, method, NULL, src, dest, body, done, arg2)) < 0)
		abort();
}

void internal_call_fresh(struct qd *d, const char *method, const char *dest, void (*done)(struct call *c), void *arg2)
{
	struct call *c = internal_new(d, method, NULL, "dom0", dest, "", done, arg2);

	c->fresh = c->ahead = true;
	if (call_start(c) < 0)
		abort();
}

void runs_on_exit(struct qd *d, struct msg *m)
{
	struct rd rd = msg_rd(m);
	struct ipc_sp_exit x;

	if (ipc_get_sp_exit(&rd, &x) < 0 || !rd_done(&rd)) {
		log_warn("malformed message of the spawner");
		return;
	}
	if (x.role == ROLE_QEMU && run_find(d, x.qid))
		run_machine_ended(run_find(d, x.qid));
	/* What the end of a role means comes from the channels that close with it; this is for the log. */
	if (x.role == ROLE_UPLINK && run_find(d, x.qid))
		net_uplink_gone(run_find(d, x.qid));
	log_debug("process ended: role=%s qid=%u pid=%u status=%u", ipc_role_name(x.role), x.qid, x.pid, x.status);
}
