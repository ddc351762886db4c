/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vm-stats events (specs/admin-api.md §4): measured from outside, and only while somebody listens. dom0's are what the machine uses beyond its
 * qubes, as far as that can be told apart.
 */
#include "base/io.h"
#include "base/str.h"
#include "daemon/qubesd/run.h"

struct sample {
	struct qd *d;
	uint32_t qid;
};

static void arg_u64(struct wr *w, const char *key, uint64_t v)
{
	char text[24];

	if (str_printf(text, sizeof text, "%llu", (unsigned long long)v) == 0)
		admin_put_event_arg(w, key, text);
}

static void send_stats(struct core *core, const char *name, const struct wr *w)
{
	struct subscriber *s, *next;

	if (!wr_ok(w))
		return;
	for (s = core->stat_subs; s; s = next) {
		next = s->next; /* send may end the subscription */
		if (s->only[0] ? streq(s->only, name) : streq(s->src, "dom0"))
			s->send(s, w->buf, w->len);
		else if (!s->only[0]) /* others see of all qubes those about which they could have asked */
			subscriber_offer(core, s, "admin.vm.Stats+", name, w->buf, w->len);
	}
}

static void publish(struct run *r, const struct ipc_sp_usage *u)
{
	struct core *core = r->d->core;
	uint64_t now = now_us(), vcpus = (uint64_t)prop_int(core, r->q, P_vcpus, 1), usage = 0;
	uint64_t assigned = (uint64_t)prop_int(core, r->q, P_memory, 0) * 1024;
	uint8_t buf[1024];
	struct wr w = wr_mem(buf, sizeof buf);

	if (r->stat_us && now > r->stat_us && u->cpu_ms >= r->stat_cpu_ms)
		usage = (u->cpu_ms - r->stat_cpu_ms) * 100000 / (now - r->stat_us) / (vcpus ? vcpus : 1);
	r->d->runs->host.qubes_ms += u->cpu_ms >= r->stat_cpu_ms ? u->cpu_ms - r->stat_cpu_ms : 0;
	r->d->runs->host.qubes_kib += u->rss_kib;
	r->stat_us = now;
	r->stat_cpu_ms = u->cpu_ms;
	admin_put_event(&w, r->q->name.s, "vm-stats");
	arg_u64(&w, "memory_kb", u->rss_kib);
	arg_u64(&w, "memory_assigned_total", assigned);
	arg_u64(&w, "memory_assigned_usable", assigned);
	arg_u64(&w, "memory_with_swap_used", u->rss_kib);
	arg_u64(&w, "cpu_time", u->cpu_ms);
	arg_u64(&w, "cpu_usage", MIN(usage, (uint64_t)100));
	arg_u64(&w, "online_vcpus", vcpus);
	admin_put_event_end(&w);
	send_stats(core, r->q->name.s, &w);
}

/*
 * After the qubes of this round. Time that qubes took between two rounds is not dom0's; that of a qube that has ended since the last round is
 * counted here, once. Pages that clones share count in each of them, so that with many clones dom0's memory is shown too low rather than twice.
 */
static void publish_host(struct qd *d)
{
	struct host_stats *h = &d->runs->host;
	uint64_t now = now_us(), ms, used, usage = 0;
	struct hostload_now n;
	uint8_t buf[1024];
	struct wr w = wr_mem(buf, sizeof buf);

	if (hostload_read(&h->load, &n) < 0)
		return;
	ms = n.busy_ms - MIN(h->busy_ms, n.busy_ms);
	ms -= MIN(h->qubes_ms, ms);
	if (h->us && now > h->us)
		usage = ms * 100000 / (now - h->us) / h->load.cpus;
	h->own_ms += ms;
	h->busy_ms = n.busy_ms;
	h->us = now;
	used = n.mem_total_kib - MIN(n.mem_available_kib, n.mem_total_kib);
	used -= MIN(h->qubes_kib, used);
	admin_put_event(&w, "dom0", "vm-stats");
	arg_u64(&w, "memory_kb", used);
	arg_u64(&w, "memory_assigned_total", n.mem_total_kib);
	arg_u64(&w, "memory_assigned_usable", n.mem_total_kib);
	arg_u64(&w, "memory_with_swap_used", used + n.swap_used_kib);
	arg_u64(&w, "cpu_time", h->own_ms);
	arg_u64(&w, "cpu_usage", MIN(usage, (uint64_t)100));
	arg_u64(&w, "online_vcpus", h->load.cpus);
	admin_put_event_end(&w);
	send_stats(d->core, "dom0", &w);
}

static void one_answered(struct qd *d)
{
	if (--d->runs->host.waiting == 0)
		publish_host(d);
}

static void usage_known(void *arg, int k, struct msg *m, struct err *e)
{
	struct sample x = *(struct sample *)arg;
	struct run *r = run_find(x.d, x.qid);
	struct ipc_sp_usage u;
	struct rd rd;

	free(arg);
	if (k >= 0 && r) {
		rd = msg_rd(m);
		if (ipc_get_sp_usage(&rd, &u) == 0)
			publish(r, &u);
	}
	one_answered(x.d);
}

static void on_tick(struct ev_timer *t, void *arg)
{
	struct qd *d = arg;

	if (!d->core->stat_subs) {
		ev_timer_stop(t);
		return;
	}
	if (d->runs->host.waiting)
		return; /* the spawner is behind: nothing is asked twice */
	d->runs->host.qubes_ms = d->runs->host.qubes_kib = 0;
	d->runs->host.waiting = 1;
	for (struct run *r = d->runs->list; r; r = r->next) {
		struct ipc_sp_usage_req q = { .pid = r->qemu_pid, .start = r->qemu_start };
		uint8_t buf[32];
		struct wr w = wr_mem(buf, sizeof buf);
		struct sample *x;
		struct err e;

		if (r->phase != PH_UP && r->phase != PH_BOOT)
			continue;
		ipc_put_sp_usage_req(&w, &q);
		x = xcalloc(1, sizeof *x);
		*x = (struct sample){ d, r->q->qid };
		d->runs->host.waiting++;
		if (peer_request(d->spawner, IPC_SP_USAGE, &w, NULL, 0, usage_known, x, &e) < 0) {
			d->runs->host.waiting--;
			free(x);
		}
	}
	one_answered(d);
}

void run_op_stats(void *ctx)
{
	struct qd *d = ctx;
	int64_t s = prop_int(d->core, NULL, P_g_stats_interval, 3);

	if (!d->runs)
		return;
	if (!d->runs->stats)
		d->runs->stats = ev_timer_new(d->loop, on_tick, d);
	ev_timer_repeat(d->runs->stats, (uint64_t)(s > 3600 ? 3600 : s) * 1000);
}
