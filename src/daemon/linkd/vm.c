/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine: its state by QMP's events, the core's commands, and the end of linkd with the end of QEMU. */
#include "base/log.h"
#include "base/str.h"
#include "daemon/linkd/linkd.h"
#include "proto/fds.h"

#define BLOCK_ERRORS_LOGGED 8
#define ENDING_TICK_MS 50
#define ENDING_TICKS 60 /* a reader of a call's last bytes gets 3 s */

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
	d->state = st;
	ctl_event(d, st == LD_ST_RUNNING ? LD_EV_RUNNING : LD_EV_PAUSED, 0, "");
}

static void on_shutdown(struct linkd *d, json_t *data)
{
	const char *reason = json_string_value(json_object_get(data, "reason"));

	if (reason && streq(reason, "guest-panic"))
		tell_end(d, LD_EV_CRASHED, reason);
	else
		tell_end(d, LD_EV_SHUTDOWN, reason ? reason : "");
}

static void on_port_change(struct linkd *d, json_t *data)
{
	const char *id = json_string_value(json_object_get(data, "id"));
	const json_t *open = json_object_get(data, "open");

	if (id && streq(id, LINKD_PORT_ID) && json_is_boolean(open))
		link_port_event(d, json_is_true(open));
}

/* A guest sees only that its read failed; why is known to QEMU alone. A disk that fails goes on failing: the first ones tell. */
static void on_block_error(struct linkd *d, json_t *data)
{
	const char *node = json_string_value(json_object_get(data, "node-name"));
	const char *op = json_string_value(json_object_get(data, "operation"));
	const char *reason = json_string_value(json_object_get(data, "reason"));
	const char *msg = json_string_value(json_object_get(data, "msg"));

	if (++d->block_errors > BLOCK_ERRORS_LOGGED)
		return;
	log_error("disk error: disk=%s operation=%s reason=%s", log_escs(node ? node : ""), log_escs(op ? op : ""),
		  log_escs(reason ? reason : msg ? msg : ""));
}

static void on_event(const char *name, json_t *data, void *arg)
{
	struct linkd *d = arg;

	if (streq(name, "VSERPORT_CHANGE"))
		on_port_change(d, data);
	else if (streq(name, "RESUME"))
		set_state(d, LD_ST_RUNNING);
	else if (streq(name, "STOP") && d->state == LD_ST_RUNNING)
		set_state(d, LD_ST_PAUSED);
	else if (streq(name, "SHUTDOWN"))
		on_shutdown(d, data);
	else if (streq(name, "GUEST_PANICKED"))
		tell_end(d, LD_EV_CRASHED, "guest panic");
	else if (streq(name, "BLOCK_IO_ERROR") || streq(name, "BLOCK_IMAGE_CORRUPTED"))
		on_block_error(d, data);
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

static const struct qmp_ops qmp_callbacks = { .event = on_event, .closed = on_closed };

int vm_init(struct linkd *d, int fd)
{
	d->state = LD_ST_PRELAUNCH;
	d->ending = ev_timer_new(d->loop, on_ending, d);
	d->qmp = qmp_new(d->loop, fd, &qmp_callbacks, d);
	return d->qmp ? 0 : -EINVAL;
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

struct pending {
	struct linkd *d;
	uint32_t type, serial;
};

static void on_done(json_t *ret, const char *error, void *arg)
{
	_cleanup_free_ struct pending *p = arg;
	char text[160];

	/* A machine that ends while it is told to quit did what it was told. */
	ctl_answer(p->d, p->type, p->serial, ret ? 0 : EIO,
		   ret ? "" : str_escape(text, sizeof text, error, strlen(error)));
}

static int call(struct linkd *d, const char *command, uint32_t type, uint32_t serial, qmp_fn fn)
{
	struct pending *p = xcalloc(1, sizeof *p);
	int r;

	*p = (struct pending){ .d = d, .type = type, .serial = serial };
	r = qmp_call(d->qmp, command, NULL, fn, p);
	if (r < 0)
		free(p);
	return r;
}

int vm_command(struct linkd *d, uint8_t cmd, uint32_t serial)
{
	static const char *const names[LD_CMD_N] = {
		[LD_CONT] = "cont", [LD_STOP] = "stop", [LD_POWERDOWN] = "system_powerdown", [LD_QUIT] = "quit",
	};

	if (cmd >= LD_CMD_N)
		return -EINVAL;
	/* The agent's way ends services in order; the power button reaches only guests that listen to it. */
	if (cmd == LD_POWERDOWN && mux_poweroff(muxio_mux(d->x)) == 0) {
		muxio_kick(d->x);
		ctl_answer(d, IPC_LD_CMD, serial, 0, "");
		return 0;
	}
	return call(d, names[cmd], IPC_LD_CMD, serial, on_done);
}

static void answer_query(struct pending *p, json_int_t bytes)
{
	struct ipc_ld_facts f = { .state = (uint8_t)p->d->state, .memory_kib = bytes > 0 ? (uint64_t)bytes / 1024 : 0 };
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_ld_facts(&w, &f);
	ctl_send(p->d, IPC_LD_QUERY_REPLY, p->serial, MSG_F_REPLY, &w);
}

static void on_size(json_t *ret, const char *error, void *arg)
{
	_cleanup_free_ struct pending *p = arg;

	answer_query(p, json_integer_value(json_object_get(ret, "base-memory")));
}

static void on_balloon(json_t *ret, const char *error, void *arg)
{
	_cleanup_free_ struct pending *p = arg;
	json_t *actual = json_object_get(ret, "actual");

	if (json_is_integer(actual))
		answer_query(p, json_integer_value(actual));
	else if (call(p->d, "query-memory-size-summary", IPC_LD_QUERY, p->serial, on_size) < 0)
		answer_query(p, 0);
}

int vm_query(struct linkd *d, uint32_t serial)
{
	return call(d, "query-balloon", IPC_LD_QUERY, serial, on_balloon);
}
