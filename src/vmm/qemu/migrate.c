/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Saving and loading the state of a machine's devices (docs/states.md). Memory that is shared with the host's file is left out of both
 * streams (x-ignore-shared), so the stream is small. A saved machine must not be stopped before: its clones would start stopped.
 */
#include "base/str.h"
#include "vmm/qemu/monitor.h"

static void finish(struct vmm_monitor *m, const char *error)
{
	struct migration g = m->migration;

	m->migration = (struct migration){ 0 };
	if (g.done)
		g.done(error, g.arg);
}

/* An answer that comes after the end of its job, or of the one before, concerns nobody. */
static void on_step(json_t *ret, const char *error, void *arg)
{
	struct vmm_monitor *m = arg;

	if (!ret)
		finish(m, error);
}

static void on_resized(json_t *ret, const char *error, void *arg)
{
	finish(arg, ret ? NULL : error);
}

static int set_capabilities(struct vmm_monitor *m)
{
	json_t *args = json_pack("{s:[{s:s, s:b}, {s:s, s:b}]}", "capabilities", "capability", "x-ignore-shared", "state", 1, "capability",
				 "events", "state", 1);

	return qmp_call(m->qmp, "migrate-set-capabilities", args, on_step, m);
}

/* By name for a descriptor that was handed over, by number for one that was there from the start: QEMU 7.2 takes each only for one direction. */
static int go(struct vmm_monitor *m, const char *command, const char *uri)
{
	return qmp_call(m->qmp, command, json_pack("{s:s}", "uri", uri), on_step, m);
}

static void on_nodes(json_t *ret, const char *error, void *arg)
{
	struct vmm_monitor *m = arg;
	json_t *node;
	size_t i;

	json_array_foreach(ret, i, node) {
		const char *name = json_string_value(json_object_get(node, "node-name"));
		json_int_t size = json_integer_value(json_object_get(json_object_get(node, "image"), "virtual-size"));

		if (name && streq(name, m->migration.disk) && size > 0)
			m->migration.size = size;
	}
}

static int begin(struct vmm_monitor *m, const struct migration *g)
{
	if (m->migration.done)
		return -EBUSY;
	m->migration = *g;
	return set_capabilities(m);
}

static int failed(struct vmm_monitor *m, int r)
{
	m->migration = (struct migration){ 0 };
	return r;
}

int qemu_save(struct vmm_monitor *m, int fd, vmm_done_fn fn, void *fn_arg)
{
	int r = begin(m, &(struct migration){ .done = fn, .arg = fn_arg });

	if (r == -EBUSY)
		return r;
	if (r >= 0)
		r = qmp_call_fd(m->qmp, "getfd", json_pack("{s:s}", "fdname", "state"), fd, on_step, m);
	if (r >= 0)
		r = go(m, "migrate", "fd:state");
	return r < 0 ? failed(m, r) : 0;
}

int qemu_load(struct vmm_monitor *m, int fd, const char *disk, vmm_done_fn fn, void *fn_arg)
{
	struct migration g = { .done = fn, .arg = fn_arg, .incoming = true };
	char uri[24];
	int r = str_printf(uri, sizeof uri, "fd:%d", fd) < 0 ? -EINVAL : str_copy(g.disk, sizeof g.disk, disk);

	if (r < 0)
		return r;
	r = begin(m, &g);
	if (r == -EBUSY)
		return r;
	/* The guest knows the size that its disk had in the source: the real one is told to it after the load. */
	if (r >= 0 && disk[0])
		r = qmp_call(m->qmp, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), on_nodes, m);
	if (r >= 0)
		r = go(m, "migrate-incoming", uri);
	return r < 0 ? failed(m, r) : 0;
}

void qemu_on_migration(struct vmm_monitor *m, json_t *data)
{
	const char *status = json_string_value(json_object_get(data, "status"));
	const struct migration *g = &m->migration;

	if (!g->done || !status)
		return;
	if (streq(status, "failed") || streq(status, "cancelled")) {
		finish(m, g->incoming ? "the state was not loaded" : "the state was not saved");
	} else if (streq(status, "completed")) {
		json_t *args = g->size ? json_pack("{s:s, s:I}", "node-name", g->disk, "size", g->size) : NULL;

		if (!args)
			finish(m, NULL);
		else if (qmp_call(m->qmp, "block_resize", args, on_resized, m) < 0)
			finish(m, "the disk could not be resized");
	}
}

void qemu_migration_end(struct vmm_monitor *m, const char *why)
{
	if (m->migration.done)
		finish(m, why);
}
