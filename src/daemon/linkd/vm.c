/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine: its state by its monitor's events, the core's commands, and the end of linkd with the end of QEMU. */
#include "base/log.h"
#include "base/str.h"
#include "daemon/linkd/linkd.h"

#define BLOCK_ERRORS_LOGGED 8
#define ENDING_TICK_MS 5
#define ENDING_TICKS 600 /* a reader of a call's last bytes gets 3 s */

static void tell_end(struct linkd *d, enum ld_event ev, const char *text)
{
	if (d->end_told)
		return;
	d->end_told = true;
	d->state = ev == LD_EV_SHUTDOWN ? LD_ST_SHUTDOWN : LD_ST_CRASHED;
	log_info("machine ended: how=%s reason=%s", ev == LD_EV_SHUTDOWN ? "shutdown" : "crash", log_escs(text));
	ctl_event(d, ev, 0, text);
}

static void set_state(struct linkd *d, enum ld_state st)
{
	if (d->end_told || d->state == st)
		return;
	if (d->state == LD_ST_PAUSED)
		link_send_time(d);
	if (st == LD_ST_RUNNING)
		d->disk_error = 0;
	d->state = st;
	ctl_event(d, st == LD_ST_RUNNING ? LD_EV_RUNNING : LD_EV_PAUSED, 0, "");
	gui_step(d);
}

static void on_ended(bool crashed, const char *reason, void *arg)
{
	tell_end(arg, crashed ? LD_EV_CRASHED : LD_EV_SHUTDOWN, reason);
}

static void on_running(void *arg)
{
	set_state(arg, LD_ST_RUNNING);
}

static void on_stopped(void *arg)
{
	struct linkd *d = arg;

	if (d->state == LD_ST_RUNNING)
		set_state(d, LD_ST_PAUSED);
}

static void on_port(bool open, void *arg)
{
	link_port_event(arg, open);
}

/* A disk that fails goes on failing: the first ones tell. */
static void on_disk_error(const char *disk, const char *operation, const char *reason, bool stops, bool full, void *arg)
{
	struct linkd *d = arg;
	char text[160];

	/* One for each time that it stands still: every request under way fails alike. */
	if (stops && !d->disk_error && !d->end_told) {
		d->disk_error = LD_DISK_STOPPED | (full ? LD_DISK_FULL : 0);
		(void)!snprintf(text, sizeof text, "%s %s: %s", disk, operation, reason);
		(void)str_escape(d->disk_error_text, sizeof d->disk_error_text, text, strlen(text));
		ctl_event(d, LD_EV_DISK_ERROR, d->disk_error, d->disk_error_text);
	}
	if (++d->block_errors > BLOCK_ERRORS_LOGGED)
		return;
	log_error("disk error: disk=%s operation=%s reason=%s", log_escs(disk), log_escs(operation), log_escs(reason));
}

static void on_ending(struct ev_timer *t, void *arg)
{
	struct linkd *d = arg;

	if (muxio_n_joined(d->x) == 0 || ++d->ending_ticks > ENDING_TICKS)
		ev_stop(d->loop, 0);
}

static void on_closed(const char *why, void *arg)
{
	struct linkd *d = arg;

	tell_end(d, LD_EV_CRASHED, why);
	/* A call's last output may still be in the link's socket or wait for its reader. */
	ev_timer_repeat(d->ending, ENDING_TICK_MS);
}

static const struct vmm_events events = {
	.running = on_running, .stopped = on_stopped, .ended = on_ended, .port = on_port, .disk_error = on_disk_error, .nic_gone = nic_on_gone, .closed = on_closed,
};

int vm_init(struct linkd *d, int fd)
{
	d->state = LD_ST_PRELAUNCH;
	d->ending = ev_timer_new(d->loop, on_ending, d);
	d->monitor = d->vmm->open(d->loop, fd, &events, d);
	return d->monitor ? 0 : -EINVAL;
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

struct pending *pending_new(struct linkd *d, uint32_t serial)
{
	struct pending *p = xmalloc(sizeof *p);

	*p = (struct pending){ .d = d, .serial = serial, .type = IPC_LD_CMD };
	return p;
}

void pending_done(struct pending *p, const char *error)
{
	char text[160];

	if (!p)
		return;
	ctl_answer(p->d, p->type, p->serial, error ? EIO : 0, error ? str_escape(text, sizeof text, error, strlen(error)) : "");
	free(p);
}

static void on_done(const char *error, void *arg)
{
	/* A machine that ends while it is told to quit did what it was told. */
	pending_done(arg, error);
}

static int pass_on(struct linkd *d, enum ld_cmd cmd, uint32_t serial)
{
	struct pending *p = pending_new(d, serial);
	int r = d->vmm->command(d->monitor, cmd, on_done, p);

	if (r < 0)
		free(p);
	return r;
}

int vm_command(struct linkd *d, uint8_t cmd, uint32_t serial)
{
	static int (*const of_states[LD_CMD_N])(struct linkd *d, uint32_t serial) = {
		[LD_CONT] = state_cont, [LD_STOP] = state_stop, [LD_FREEZE] = state_freeze,
		[LD_SAVE] = state_save, [LD_LOAD] = state_load, [LD_WAKE] = state_wake,
	};

	if (cmd >= LD_CMD_N)
		return -EINVAL;
	if (of_states[cmd])
		return of_states[cmd](d, serial);
	/* The agent's way ends services in order; the power button reaches only guests that listen to it. */
	if (cmd == LD_POWERDOWN && mux_poweroff(muxio_mux(d->x)) == 0) {
		muxio_kick(d->x);
		ctl_answer(d, IPC_LD_CMD, serial, 0, "");
		return 0;
	}
	return pass_on(d, (enum ld_cmd)cmd, serial);
}

int vm_resize(struct linkd *d, const char *disk, uint64_t size, uint32_t serial)
{
	struct pending *p;
	int r;

	if (!disk[0] || !str_chars(disk, "-_") || size % 512 || size > INT64_MAX)
		return -EINVAL;
	p = pending_new(d, serial);
	p->type = IPC_LD_RESIZE;
	r = d->vmm->resize(d->monitor, disk, size, on_done, p);
	if (r < 0)
		free(p);
	return r;
}

static void on_memory(uint64_t memory_kib, void *arg)
{
	_cleanup_free_ struct pending *p = arg;
	struct ipc_ld_facts f = { .state = (uint8_t)p->d->state, .memory_kib = memory_kib };
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_ld_facts(&w, &f);
	ctl_send(p->d, IPC_LD_QUERY_REPLY, p->serial, MSG_F_REPLY, &w);
}

int vm_query(struct linkd *d, uint32_t serial)
{
	_cleanup_free_ struct pending *p = pending_new(d, serial);
	int r = d->vmm->memory(d->monitor, on_memory, p);

	if (r >= 0)
		p = NULL; /* on_memory has it */
	return r;
}
