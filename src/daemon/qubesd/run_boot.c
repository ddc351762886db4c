/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the processes' start to a usable qube: roles, QubesDB, policy, the first instruction, the agent; and the watchdog over it. */
#include <fcntl.h>
#include <time.h>

#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "core/device.h"
#include "daemon/qubesd/net.h"
#include "daemon/qubesd/state.h"

uint64_t run_timeout_ms(const struct run *r, enum prop_id id)
{
	int64_t s = prop_int(r->d->core, r->q, id, 60);

	s = s < 1 ? 1 : s > 86400 ? 86400 : s;
	return (uint64_t)s * 1000 * (r->accel == ACCEL_TCG ? EMULATED_FACTOR : 1);
}

/* A file of this run: replaced in one step, but not synced, since it says nothing once the machine is down. */
void run_write_file(const char *path, const void *p, size_t n)
{
	char tmp[PATH_MAX];
	_cleanup_fd_ int fd = -1;

	if (str_printf(tmp, sizeof tmp, "%s~", path) < 0)
		return;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write_full(fd, p, n) < 0 || rename(tmp, path) < 0)
		log_warn("%s: %s", path, strerror(errno));
}

/* What a later core must know and nobody else can tell it: lines of key=value. */
void run_save(struct run *r)
{
	_cleanup_wr_ struct wr w = wr_grow(4096);
	char path[PATH_MAX];

	wr_printf(&w, "start_id=%s\nstart_time=%llu\nup=%d\nattempt=%u\n", r->spec.start_id, (unsigned long long)r->q->start_time,
		  r->phase == PH_UP, r->attempt);
	if (r->q->held)
		wr_str(&w, "held=1\n");
	if (r->dispose)
		wr_printf(&w, "dispose=%u.%u\n", r->dispose_peer, r->dispose_port);
	if (r->spec.start == VM_START_CLONE)
		wr_printf(&w, "clone=%s\n", r->spec.state);
	net_save(r, &w);
	for (unsigned i = 0; i < VOL_N; i++)
		wr_printf(&w, "head.%u=%s\n", i, r->q->vol_head[i]);
	run_write_file(path_fmt(path, PATH_QUBE_RUN, "/%u/state", r->q->qid), w.buf, w.len);
}

static void state_loaded(void *arg, int k, struct msg *m, struct err *e)
{
	struct run *r = arg;

	if (r->phase != PH_FILL)
		return;
	if (k < 0) {
		r->load_failed = k != -EPIPE;
		(void)err_add(e, k, "loading the saved state");
		run_fail(r, k, e);
		return;
	}
	r->loaded = true;
	if (r->filled)
		run_qdb_filled(r);
}

void run_spawned(struct run *r)
{
	struct err e = { 0 };
	int k;

	r->q->start_time = (uint64_t)time(NULL);
	memcpy(r->q->start_id, r->spec.start_id, sizeof r->q->start_id);
	r->phase = PH_FILL;
	event(r->d->core, r->q, "domain-spawn", "start_guid", prop_vm(r->d->core, r->q, P_guivm) ? "True" : "False", NULL);
	run_commit(r->d);
	run_save(r);
	k = run_connect_linkd(r, &e);
	/* QubesDB is filled while the state is loaded. */
	if (k >= 0 && r->spec.start == VM_START_CLONE)
		k = run_cmd(r, LD_LOAD, state_loaded, r, &e);
	if (k >= 0)
		k = run_connect_qrexec(r, &e);
	if (k >= 0)
		k = run_qdb_fill(r, &e);
	if (k < 0)
		run_fail(r, k, &e);
}

static void usage_known(void *arg, int k, struct msg *m, struct err *e)
{
	struct qd *d = ((struct run **)arg)[0]->d;
	struct run *r = ((struct run **)arg)[0];
	struct ipc_sp_usage u;
	struct run *x = d->runs->list;

	free(arg);
	while (x && x != r)
		x = x->next;
	if (!x || r->phase != PH_BOOT || r->console_seen || r->link_up || k < 0)
		return;
	struct rd rd = msg_rd(m);

	if (ipc_get_sp_usage(&rd, &u) < 0 || !rd_done(&rd) || (u.cpu_ms < BOOT_CPU_MS && now_us() - r->boot_us < BOOT_WALL_MS * 1000ull))
		return;
	if (r->spec.start == VM_START_CLONE) {
		run_fail(r, err_set(e, AE_VM, "nothing came of it in %llu ms of CPU time", (unsigned long long)u.cpu_ms), e);
		return;
	}
	d->runs->n_retries++;
	run_count(d->runs);
	log_warn("start-retry qube=%s attempt=%u cpu_ms=%llu: hung boot", r->q->name.s, r->attempt, (unsigned long long)u.cpu_ms);
	r->retry = r->attempt < 2;
	err_set(e, AE_VM, "the boot of '%s' hung (no byte of the console in %llu ms of CPU time)", r->q->name.s, (unsigned long long)u.cpu_ms);
	run_fail(r, -AE_VM, e);
}

static void on_watch(struct ev_timer *t, void *arg)
{
	struct run *r = arg, **box;
	struct ipc_sp_usage_req q = { .pid = r->qemu_pid, .start = r->qemu_start };
	uint8_t buf[32];
	struct wr w = wr_mem(buf, sizeof buf);
	struct err e;

	if (r->console_seen || r->link_up) {
		ev_timer_stop(r->watch);
		return;
	}
	ipc_put_sp_usage_req(&w, &q);
	box = xcalloc(1, sizeof(struct run *));
	*box = r;
	if (peer_request(r->d->spawner, IPC_SP_USAGE, &w, NULL, 0, usage_known, box, &e) < 0)
		free(box);
}

static uint64_t limit_ms(const struct run *r);

static void on_limit(struct ev_timer *t, void *arg)
{
	struct run *r = arg;
	struct err e = { 0 };
	uint64_t past = (now_us() - r->watch_us) / 1000, all = limit_ms(r);
	int k;

	/* Which accelerator it is may have become known after the timer was set, and an emulated qube has more time. */
	if (past < all) {
		ev_timer_start(r->limit, all - past);
		return;
	}
	k = err_set(&e, AE_VM, "Cannot connect to qrexec agent for %llu seconds, see %s/guest.%s.log for details",
		    (unsigned long long)all / 1000, path_get(PATH_LOG), r->q->name.s);
	run_fail(r, k, &e);
}

/* A clone that does not answer soon will not do so later either, and there is a way that is left. */
static uint64_t limit_ms(const struct run *r)
{
	uint64_t ms = run_timeout_ms(r, P_qrexec_timeout);

	return r->spec.start == VM_START_CLONE ? MIN(ms, (uint64_t)CLONE_WALL_MS) : ms;
}

/* The watchdog runs only while a qube boots. */
void run_boot_watch(struct run *r)
{
	r->phase = PH_BOOT;
	if (!r->watch)
		r->watch = ev_timer_new(r->d->loop, on_watch, r);
	if (!r->limit)
		r->limit = ev_timer_new(r->d->loop, on_limit, r);
	r->watch_us = now_us();
	ev_timer_repeat(r->watch, WATCH_MS);
	ev_timer_start(r->limit, limit_ms(r));
}

static void continued(void *arg, int k, struct msg *m, struct err *e)
{
	struct run *r = arg;
	const char *f = qube_feature_inherited(r->d->core, r->q, "qrexec");

	if (r->phase != PH_BOOT)
		return;
	if (k < 0) {
		run_fail(r, k, e);
		return;
	}
	/* Without an agent by the owner's word, a qube is usable as soon as it runs. */
	if (f && !f[0])
		run_ready(r);
}

void run_qdb_filled(struct run *r)
{
	struct err e = { 0 };
	int k;

	if (r->phase != PH_FILL)
		return;
	r->filled = true;
	if (r->spec.start == VM_START_CLONE && !r->loaded)
		return; /* state_loaded comes back here */
	event(r->d->core, r->q, "domain-qdb-create", NULL);
	run_commit(r->d);
	policy_attach(r);
	run_boot_watch(r);
	k = run_cmd(r, LD_CONT, continued, r, &e);
	if (k < 0)
		run_fail(r, k, &e);
}

/* Counters for tests and the curious: how many starts, how many of them again. */
void run_count(struct runs *rs)
{
	char path[PATH_MAX], text[64];

	if (str_printf(text, sizeof text, "%llu %llu\n", (unsigned long long)rs->n_starts, (unsigned long long)rs->n_retries) == 0)
		run_write_file(path_fmt(path, PATH_RUN, "/start-retries"), text, strlen(text));
}

void run_ready(struct run *r)
{
	if (r->phase != PH_BOOT)
		return;
	ev_timer_stop(r->watch);
	ev_timer_stop(r->limit);
	r->phase = PH_UP;
	run_state(r, LIFE_EV_READY);
	device_mic_start(r->d->core, r->q);
	event(r->d->core, r->q, "domain-start", "start_guid", prop_vm(r->d->core, r->q, P_guivm) ? "True" : "False", NULL);
	run_commit(r->d);
	run_save(r);
	log_info("%s is up after %llu ms (%s, attempt %u)", r->q->name.s, (unsigned long long)(now_us() - r->boot_us) / 1000,
		 r->spec.start == VM_START_CLONE ? "clone" : "cold", r->attempt);
	state_up(r);
	net_up(r);
	calls_end(&r->starters, 0, NULL);
}

void run_boot_event(struct run *r)
{
	if (r->phase == PH_BOOT && r->agent_up)
		run_ready(r);
}
