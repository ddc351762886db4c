/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The builder: boots a machine of a wanted kind that is no qube, has it saved, and gives the result to the holder. One at a time, in the
 * background, never while a qube starts; what fails is tried once more, then left alone for a while. It dies with this process: a later core ends
 * what it finds of it.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/qubesd/state.h"

#define LIMIT_MS 900000	  /* from the start to the end of the source */
#define STEP_MS 120000	  /* freezing and saving, each */
#define LATER_MS 1000
#define ROOM_LATER_MS 10000
#define ROOM_MIB 256	  /* of the host's memory that must stay free beside the source */
#define HELLO_MS 2000

enum build_phase {
	B_IDLE,
	B_SPAWN,  /* SP_START_QUBE is under way */
	B_BOOT,	  /* runs; LD_EV_READY is awaited */
	B_FREEZE,
	B_SAVE,
	B_ENDING, /* told to quit: its processes are awaited */
	B_KEEP,
};

struct build {
	struct states *ss;
	enum build_phase phase;
	struct state_kind *k;	 /* may be dropped meanwhile: looked up by key */
	char key[STATE_KEY_LEN + 1];
	char name[32];
	unsigned attempt, polls;
	bool saved, console_seen, link_up, memory_only, said_room;
	struct err err;
	uint32_t linkd_pid, qemu_pid;
	uint64_t linkd_start, qemu_start, begun_us;
	struct peer *linkd;
	struct ev_timer *watch, *limit, *kill, *gone;
};

static void begin(struct build *b);

struct build *build_new(struct states *ss)
{
	struct build *b = xcalloc(1, sizeof *b);

	b->ss = ss;
	return b;
}

bool build_runs(const struct build *b, const char **ret_key)
{
	if (b->phase == B_IDLE)
		return false;
	*ret_key = b->key;
	return true;
}

static void remove_files(void)
{
	char path[PATH_MAX];
	struct err e = { 0 };

	if (fs_rm_rf(AT_FDCWD, path_fmt(path, PATH_QUBE_RUN, "/%d", STATE_QID), &e) < 0)
		log_warn("%s", e.msg);
}

static void stop_timers(struct build *b)
{
	struct ev_timer *const all[] = { b->watch, b->limit, b->kill, b->gone };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i])
			ev_timer_stop(all[i]);
}

/* The source is gone, and its state kept or lost. */
static void finish(struct build *b)
{
	struct states *ss = b->ss;
	struct state_kind *k = state_kind_find(ss, b->key);

	stop_timers(b);
	peer_free(STEAL_PTR(b->linkd));
	remove_files();
	b->phase = B_IDLE;
	b->linkd_pid = b->qemu_pid = 0;
	if (!b->key[0]) {
		log_debug("the interrupted build is gone");
	} else if (!b->err.code) {
		ss->n_builds++;
		state_count(ss);
		log_info("state %.8s is saved after %llu ms (attempt %u)", b->key, (unsigned long long)(now_us() - b->begun_us) / 1000, b->attempt);
		if (k) {
			k->there = true;
			k->wanted = k->failed = false;
			k->bad = 0;
			calls_end(&k->builders, 0, NULL);
		}
		sweep_soon(ss->d);
	} else if (k && b->attempt < 2) {
		ss->n_build_retries++;
		state_count(ss);
		begin(b);
		return;
	} else {
		ss->n_build_failures++;
		state_count(ss);
		log_warn("state %.8s could not be built: %s", b->key, b->err.msg);
		if (k) {
			k->wanted = false;
			k->failed = true;
			k->not_before_us = now_us() + STATE_RETRY_MS * 1000ull;
			calls_end(&k->builders, -AE_GENERIC, &b->err);
		}
	}
	state_kick(ss->d);
}

static void kill_process(struct build *b, uint32_t pid, uint64_t start)
{
	struct ipc_sp_kill m = { .pid = pid, .start = start };
	uint8_t buf[32];
	struct wr w = wr_mem(buf, sizeof buf);
	struct err e = { 0 };

	ipc_put_sp_kill(&w, &m);
	if (pid && peer_request(b->ss->d->spawner, IPC_SP_KILL, &w, NULL, 0, NULL, NULL, &e) < 0)
		log_warn("%s", e.msg);
}

static void on_kill(struct ev_timer *t, void *arg)
{
	struct build *b = arg;

	/* With linkd the lifeline goes, and with that QEMU. */
	kill_process(b, b->linkd_pid, b->linkd_start);
}

static void poll_gone(struct build *b);

static void on_gone_timer(struct ev_timer *t, void *arg)
{
	poll_gone(arg);
}

static void look_again(struct build *b)
{
	if (++b->polls == GONE_POLLS)
		kill_process(b, b->qemu_pid, b->qemu_start);
	if (!b->gone)
		b->gone = ev_timer_new(b->ss->d->loop, on_gone_timer, b);
	ev_timer_start(b->gone, b->polls < GONE_POLLS ? GONE_POLL_MS : GONE_SLOW_MS);
}

static void kept(void *arg, int r, struct msg *m, struct err *e)
{
	struct build *b = arg;

	if (b->phase != B_KEEP)
		return;
	/* Its process has ended, of which the spawner has not been told yet. */
	if (r == -EBUSY && b->polls < GONE_POLLS) {
		b->phase = B_ENDING;
		look_again(b);
		return;
	}
	if (r < 0) {
		b->err = *e;
		b->err.code = -r;
	}
	finish(b);
}

static void keep(struct build *b)
{
	struct ipc_sp_state_keep q = { .qid = STATE_QID, .memory_only = b->memory_only };
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);

	b->phase = B_KEEP;
	memcpy(q.key, b->key, sizeof q.key);
	ipc_put_sp_state_keep(&w, &q);
	if (peer_request(b->ss->d->spawner, IPC_SP_STATE_KEEP, &w, NULL, 0, kept, b, &b->err) < 0)
		finish(b);
}

static void usage_gone(void *arg, int r, struct msg *m, struct err *e)
{
	struct build *b = arg;

	if (b->phase != B_ENDING)
		return;
	if (r < 0 && r != -EPIPE) {
		ev_timer_stop(b->kill);
		if (b->saved && !b->err.code)
			keep(b);
		else
			finish(b);
		return;
	}
	look_again(b);
}

/* Nothing is sealed before QEMU has let go of it. */
static void poll_gone(struct build *b)
{
	struct ipc_sp_usage_req q = { .pid = b->qemu_pid, .start = b->qemu_start };
	uint8_t buf[32];
	struct wr w = wr_mem(buf, sizeof buf);
	struct err e = { 0 };

	ipc_put_sp_usage_req(&w, &q);
	if (peer_request(b->ss->d->spawner, IPC_SP_USAGE, &w, NULL, 0, usage_gone, b, &e) < 0)
		log_warn("%s", e.msg);
}

static int command(struct build *b, enum ld_cmd cmd, peer_reply_fn fn, struct err *e)
{
	struct ipc_ld_cmd c = { .cmd = (uint8_t)cmd };
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);

	if (!b->linkd)
		return err_set(e, EPIPE, "linkd is gone");
	ipc_put_ld_cmd(&w, &c);
	return peer_request(b->linkd, IPC_LD_CMD, &w, NULL, 0, fn, b, e);
}

static void end(struct build *b)
{
	struct err e = { 0 };

	stop_timers(b);
	b->phase = B_ENDING;
	b->polls = 0;
	if (!b->qemu_pid) {
		finish(b);
		return;
	}
	if (!b->kill)
		b->kill = ev_timer_new(b->ss->d->loop, on_kill, b);
	ev_timer_start(b->kill, KILL_AFTER_MS);
	if (command(b, LD_QUIT, NULL, &e) < 0)
		kill_process(b, b->linkd_pid, b->linkd_start);
	poll_gone(b);
}

static void fail(struct build *b, int r, const struct err *e)
{
	if (b->phase == B_IDLE || b->phase >= B_ENDING)
		return; /* the first failure counts */
	b->err = *e;
	b->err.code = -r;
	log_warn("build-retry key=%.8s attempt=%u: %s", b->key, b->attempt, err_text(e, r));
	end(b);
}

static void saved(void *arg, int r, struct msg *m, struct err *e)
{
	struct build *b = arg;

	if (b->phase != B_SAVE)
		return;
	if (r < 0) {
		(void)err_add(e, r, "saving the machine");
		fail(b, r, e);
		return;
	}
	b->saved = true;
	end(b);
}

static void frozen(void *arg, int r, struct msg *m, struct err *e)
{
	struct build *b = arg;

	if (b->phase != B_FREEZE)
		return;
	if (r >= 0) {
		b->phase = B_SAVE;
		ev_timer_start(b->limit, STEP_MS);
		r = command(b, LD_SAVE, saved, e);
	}
	if (r < 0) {
		(void)err_add(e, r, "freezing the guest");
		fail(b, r, e);
	}
}

static void on_ready(struct build *b)
{
	struct err e = { 0 };
	int r;

	if (b->phase != B_BOOT)
		return;
	b->phase = B_FREEZE;
	ev_timer_stop(b->watch);
	ev_timer_start(b->limit, STEP_MS);
	r = command(b, LD_FREEZE, frozen, &e);
	if (r < 0)
		fail(b, r, &e);
}

static void on_event(struct build *b, const struct ipc_ld_event *ev)
{
	struct err e = { 0 };

	switch (ev->event) {
	case LD_EV_CONSOLE:
		b->console_seen = true;
		break;
	case LD_EV_LINK_UP:
		b->link_up = true;
		break;
	case LD_EV_READY:
		on_ready(b);
		break;
	case LD_EV_SHUTDOWN:
	case LD_EV_CRASHED:
		fail(b, err_set(&e, AE_VM, "the guest ended: %s", ev->text), &e);
		break;
	default:
		break;
	}
}

static void on_linkd_msg(struct peer *p, struct msg *m)
{
	struct build *b = p->arg;
	struct rd rd = msg_rd(m);
	struct ipc_ld_hello h;
	struct ipc_ld_event ev;

	if (m->type == IPC_LD_HELLO && ipc_get_ld_hello(&rd, &h) == 0 && rd_done(&rd))
		b->console_seen |= h.console_seen != 0;
	else if (m->type == IPC_LD_EVENT && ipc_get_ld_event(&rd, &ev) == 0 && rd_done(&rd))
		on_event(b, &ev);
	else
		log_warn("linkd of %s: unexpected message %s", b->name, ipc_type_name(m->type));
}

static void on_linkd_gone(struct peer *p)
{
	struct build *b = p->arg;
	struct err e = { 0 };

	b->linkd = NULL;
	peer_free(p);
	if (b->phase < B_ENDING)
		fail(b, err_set(&e, AE_VM, "the machine ended"), &e);
}

static const struct peer_ops linkd_ops = { .msg = on_linkd_msg, .gone = on_linkd_gone };

static void usage_boot(void *arg, int r, struct msg *m, struct err *e)
{
	struct build *b = arg;
	struct ipc_sp_usage u;
	struct rd rd;

	if (b->phase != B_BOOT || b->console_seen || b->link_up || r < 0)
		return;
	rd = msg_rd(m);
	if (ipc_get_sp_usage(&rd, &u) < 0 || (u.cpu_ms < BOOT_CPU_MS && now_us() - b->begun_us < BOOT_WALL_MS * 1000ull))
		return;
	fail(b, err_set(e, AE_VM, "hung boot after %llu ms of CPU time", (unsigned long long)u.cpu_ms), e);
}

static void on_watch(struct ev_timer *t, void *arg)
{
	struct build *b = arg;
	struct ipc_sp_usage_req q = { .pid = b->qemu_pid, .start = b->qemu_start };
	uint8_t buf[32];
	struct wr w = wr_mem(buf, sizeof buf);
	struct err e = { 0 };

	if (b->console_seen || b->link_up) {
		ev_timer_stop(t);
		return;
	}
	ipc_put_sp_usage_req(&w, &q);
	if (peer_request(b->ss->d->spawner, IPC_SP_USAGE, &w, NULL, 0, usage_boot, b, &e) < 0)
		log_warn("%s", e.msg);
}

static void on_limit(struct ev_timer *t, void *arg)
{
	struct build *b = arg;
	struct err e = { 0 };

	fail(b, err_set(&e, AE_VM, "%s took too long, see %s/guest.%s.log",
			b->phase == B_BOOT ? "the boot" : b->phase == B_FREEZE ? "freezing the guest" : "saving the machine", path_get(PATH_LOG), b->name), &e);
}

static void running(void *arg, int r, struct msg *m, struct err *e)
{
	if (r < 0)
		fail(arg, r, e);
}

static void started(void *arg, int r, struct msg *m, struct err *e)
{
	struct build *b = arg;
	struct ipc_sp_started s;
	char path[PATH_MAX];
	int fd;

	if (r == 0) {
		struct rd rd = msg_rd(m);

		if (ipc_get_sp_started(&rd, &s) < 0 || !rd_done(&rd))
			r = err_set(e, EBADMSG, "malformed answer of the spawner");
	}
	if (r < 0) {
		if (r == -ENOTSUP)
			b->ss->unsupported = true;
		fail(b, r, e);
		return;
	}
	b->linkd_pid = s.linkd_pid;
	b->linkd_start = s.linkd_start;
	b->qemu_pid = s.qemu_pid;
	b->qemu_start = s.qemu_start;
	b->phase = B_BOOT;
	ev_timer_repeat(b->watch, WATCH_MS);
	fd = unix_connect(path_fmt(path, PATH_QUBE_RUN, "/%d/linkd.ctl", STATE_QID), SOCK_SEQPACKET, e);
	b->linkd = fd < 0 ? NULL : peer_new(b->ss->d->loop, fd, &linkd_ops, b, "linkd");
	r = !b->linkd ? -EPIPE : command(b, LD_CONT, running, e);
	if (r < 0)
		fail(b, r, e);
}

static void begin(struct build *b)
{
	_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);
	struct ipc_sp_start_qube head = { .qid = STATE_QID };
	struct state_kind *k = state_kind_find(b->ss, b->key);
	struct ev_loop *loop = b->ss->d->loop;
	struct err e = { 0 };
	int r;

	b->attempt++;
	b->phase = B_SPAWN;
	b->saved = b->console_seen = b->link_up = false;
	b->begun_us = now_us();
	err_clear(&b->err);
	if (!b->watch)
		b->watch = ev_timer_new(loop, on_watch, b);
	if (!b->limit)
		b->limit = ev_timer_new(loop, on_limit, b);
	ev_timer_start(b->limit, LIMIT_MS);
	r = run_start_id(k->spec.start_id);
	memcpy(b->name, k->spec.name, sizeof b->name);
	b->memory_only = k->memory_only;
	ipc_put_sp_start_qube(&w, &head);
	vm_spec_put(&w, &k->spec);
	log_info("building the state %.8s for qubes like %s", b->key, k->of);
	if (r == 0)
		r = peer_request(b->ss->d->spawner, IPC_SP_START_QUBE, &w, NULL, 0, started, b, &e);
	if (r < 0)
		fail(b, r, &e);
}

static struct state_kind *wanted(struct states *ss)
{
	uint64_t now = now_us();

	for (struct state_kind *k = ss->kinds; k; k = k->next)
		if (k->wanted && k->has_spec && now >= k->not_before_us)
			return k;
	return NULL;
}

void build_next(struct states *ss)
{
	struct build *b = ss->build;
	struct state_kind *k = wanted(ss);

	if (b->phase != B_IDLE || !k || ss->unsupported || ss->asleep)
		return;
	if (state_busy(ss->d)) {
		state_later(ss, LATER_MS);
		return;
	}
	if (!state_room(ss, k->spec.memory_mib + ROOM_MIB)) {
		if (!b->said_room)
			log_info("no state is built before %u MiB of memory are free", k->spec.memory_mib + ROOM_MIB);
		b->said_room = true;
		state_later(ss, ROOM_LATER_MS);
		return;
	}
	b->said_room = false;
	memcpy(b->key, k->key, sizeof b->key);
	b->attempt = 0;
	begin(b);
}

void build_abandon(struct build *b)
{
	struct ipc_ld_cmd c = { .cmd = LD_QUIT };
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_ld_cmd(&w, &c);
	if (b->linkd && b->phase < B_ENDING)
		(void)peer_request(b->linkd, IPC_LD_CMD, &w, NULL, 0, NULL, NULL, NULL);
}

/* Its linkd tells who it is; its end takes the machine along. */
void build_leftover(struct qd *d)
{
	struct build *b = d->runs->states->build;
	struct pollfd p = { .events = POLLIN };
	_cleanup_msg_ struct msg m = { 0 };
	struct ipc_ld_hello h;
	char path[PATH_MAX];
	struct rd rd;

	if (access(path_fmt(path, PATH_QUBE_RUN, "/%d", STATE_QID), F_OK) < 0)
		return;
	p.fd = unix_connect(path_fmt(path, PATH_QUBE_RUN, "/%d/linkd.ctl", STATE_QID), SOCK_SEQPACKET, NULL);
	if (p.fd < 0 || poll(&p, 1, HELLO_MS) <= 0 || msg_recv(p.fd, &m) <= 0 || m.type != IPC_LD_HELLO) {
		fd_closep(&p.fd);
		remove_files();
		return;
	}
	rd = msg_rd(&m);
	if (ipc_get_ld_hello(&rd, &h) == 0) {
		log_info("a state was being built when the last core ended: its machine is ended");
		b->linkd_pid = h.pid;
		b->linkd_start = h.start;
		b->qemu_pid = h.qemu_pid;
		b->qemu_start = h.qemu_start;
		b->attempt = 2; /* nobody remembers what it was for */
		err_set(&b->err, AE_GENERIC, "the build was interrupted");
		b->phase = B_BOOT;
		end(b);
	}
	fd_closep(&p.fd);
}
