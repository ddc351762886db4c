/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QEMU's monitor as typed events and commands: the only file that knows the names that QMP uses for them. */
#include "vmm/qemu/monitor.h"

#include "base/str.h"
#include "proto/fds.h"

static void on_shutdown(struct vmm_monitor *m, json_t *data)
{
	const char *reason = json_string_value(json_object_get(data, "reason"));

	m->events->ended(reason && streq(reason, "guest-panic"), reason ? reason : "", m->arg);
}

static void on_port_change(struct vmm_monitor *m, json_t *data)
{
	const char *id = json_string_value(json_object_get(data, "id"));
	const json_t *open = json_object_get(data, "open");

	if (id && streq(id, LINKD_PORT_ID) && json_is_boolean(open))
		m->events->port(json_is_true(open), m->arg);
}

static const char *text_of(json_t *data, const char *key)
{
	const char *s = json_string_value(json_object_get(data, key));

	return s ? s : "";
}

/* A guest sees only that its read failed; why is known to QEMU alone. */
static void on_block_error(struct vmm_monitor *m, json_t *data)
{
	const char *reason = text_of(data, "reason");
	bool stops = streq(text_of(data, "action"), "stop"), full = json_is_true(json_object_get(data, "nospace"));

	m->events->disk_error(text_of(data, "node-name"), text_of(data, "operation"), reason[0] ? reason : text_of(data, "msg"), stops, full,
			      m->arg);
}

static void on_resume(struct vmm_monitor *m, json_t *data)
{
	m->events->running(m->arg);
}

static void on_stop(struct vmm_monitor *m, json_t *data)
{
	m->events->stopped(m->arg);
}

static void on_panic(struct vmm_monitor *m, json_t *data)
{
	m->events->ended(true, "guest panic", m->arg);
}

static const struct {
	const char *name;
	void (*fn)(struct vmm_monitor *m, json_t *data);
} rows[] = {
	{ "VSERPORT_CHANGE", on_port_change },	{ "RESUME", on_resume },	     { "STOP", on_stop },
	{ "SHUTDOWN", on_shutdown },		{ "GUEST_PANICKED", on_panic },	     { "BLOCK_IO_ERROR", on_block_error },
	{ "BLOCK_IMAGE_CORRUPTED", on_block_error }, { "MIGRATION", qemu_on_migration },
	{ "DEVICE_DELETED", qemu_on_device_deleted },
};

static void on_event(const char *name, json_t *data, void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (streq(name, rows[i].name))
			rows[i].fn(arg, data);
}

static void on_closed(const char *why, void *arg)
{
	struct vmm_monitor *m = arg;

	qemu_migration_end(m, "the machine has gone");
	m->events->closed(why, m->arg);
}

static const struct qmp_ops callbacks = { .event = on_event, .closed = on_closed };

static struct vmm_monitor *qemu_open(struct ev_loop *l, int fd, const struct vmm_events *events, void *arg)
{
	struct vmm_monitor *m = xcalloc(1, sizeof *m);

	*m = (struct vmm_monitor){ .events = events, .arg = arg };
	m->qmp = qmp_new(l, fd, &callbacks, m);
	if (!m->qmp)
		free(STEAL_PTR(m));
	return m;
}

static void qemu_free(struct vmm_monitor *m)
{
	if (m)
		qmp_free(m->qmp);
	free(m);
}

static void qemu_poll(struct vmm_monitor *m)
{
	qmp_poll(m->qmp);
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

struct pending {
	struct vmm_monitor *m;
	vmm_done_fn done;
	vmm_memory_fn memory;
	void *arg;
};

static int call(struct vmm_monitor *m, const char *command, qmp_fn fn, const struct pending *what)
{
	struct pending *p = xmalloc(sizeof *p);
	int r;

	*p = *what;
	r = qmp_call(m->qmp, command, NULL, fn, p);
	if (r < 0)
		free(p);
	return r;
}

static void on_done(json_t *ret, const char *error, void *arg)
{
	_cleanup_free_ struct pending *p = arg;

	p->done(ret ? NULL : error, p->arg);
}

static int qemu_command(struct vmm_monitor *m, enum ld_cmd cmd, vmm_done_fn fn, void *fn_arg)
{
	static const char *const names[LD_CMD_N] = {
		[LD_CONT] = "cont", [LD_STOP] = "stop", [LD_POWERDOWN] = "system_powerdown", [LD_QUIT] = "quit",
	};
	const struct pending p = { .m = m, .done = fn, .arg = fn_arg };

	return cmd < LD_CMD_N && names[cmd] ? call(m, names[cmd], on_done, &p) : -EINVAL;
}

static int qemu_resize(struct vmm_monitor *m, const char *disk, uint64_t size, vmm_done_fn fn, void *fn_arg)
{
	struct pending *p = xcalloc(1, sizeof *p);
	int r;

	*p = (struct pending){ .m = m, .done = fn, .arg = fn_arg };
	r = qmp_call(m->qmp, "block_resize", json_pack("{s:s, s:I}", "node-name", disk, "size", (json_int_t)size), on_done, p);
	if (r < 0)
		free(p);
	return r;
}

static void tell_memory(const struct pending *p, json_int_t bytes)
{
	p->memory(bytes > 0 ? (uint64_t)bytes / 1024 : 0, p->arg);
}

static void on_size(json_t *ret, const char *error, void *arg)
{
	_cleanup_free_ struct pending *p = arg;

	tell_memory(p, json_integer_value(json_object_get(ret, "base-memory")));
}

static void on_balloon(json_t *ret, const char *error, void *arg)
{
	_cleanup_free_ struct pending *p = arg;
	json_t *actual = json_object_get(ret, "actual");

	if (json_is_integer(actual))
		tell_memory(p, json_integer_value(actual));
	else if (call(p->m, "query-memory-size-summary", on_size, p) < 0)
		tell_memory(p, 0);
}

static int qemu_memory(struct vmm_monitor *m, vmm_memory_fn fn, void *fn_arg)
{
	const struct pending p = { .m = m, .memory = fn, .arg = fn_arg };

	return call(m, "query-balloon", on_balloon, &p);
}

extern const struct vmm_monitor_ops vmm_qemu_monitor;
const struct vmm_monitor_ops vmm_qemu_monitor = {
	.name = "qemu",
	.open = qemu_open,
	.free = qemu_free,
	.command = qemu_command,
	.memory = qemu_memory,
	.save = qemu_save,
	.load = qemu_load,
	.resize = qemu_resize,
	.nic_add = qemu_nic_add,
	.nic_cut = qemu_nic_cut,
	.bar_add = qemu_bar_add,
	.poll = qemu_poll,
};
