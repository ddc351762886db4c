/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The core process from its start to its loop. */
#include <fcntl.h>
#include <signal.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "core/device.h"
#include "daemon/qubesd/qubesd.h"
#include "daemon/qubesd/state.h"
#include "daemon/qubesd/unfinished.h"

static void on_signal(struct ev_signal *s, int signum, void *arg)
{
	struct qd *d = arg;

	log_info("signal %d: stopping; qubes go on running", signum);
	ev_stop(d->loop, 0);
}

/* Nobody writes to it: it is ready when the supervisor is gone. A core that nobody watches would hold the database for ever. */
static void on_life(struct ev_io *io, int fd, int events, void *arg)
{
	struct qd *d = arg;

	log_warn("the supervisor is gone: stopping; qubes go on running");
	ev_stop(d->loop, 1);
}

static void on_spawner_msg(struct peer *p, struct msg *m)
{
	struct qd *d = p->arg;

	if (m->type == IPC_SP_EXIT)
		runs_on_exit(d, m);
	else
		log_warn("spawner: unexpected message %s", ipc_type_name(m->type));
}

static void on_spawner_gone(struct peer *p)
{
	struct qd *d = p->arg;

	/* Both end together; the supervisor starts both again. Open requests were answered with this failure. */
	log_error("the spawner ended: stopping");
	ev_stop(d->loop, 1);
}

static const struct peer_ops spawner_ops = { .msg = on_spawner_msg, .gone = on_spawner_gone };

static void say_ready(struct qd *d)
{
	if (d->ready_fd < 0)
		return;
	if (write_full(d->ready_fd, "R", 1) < 0)
		log_warn("nobody waits for readiness any more");
	fd_closep(&d->ready_fd);
}

static int serve(struct qd *d, struct err *e)
{
	int r;

	if (!d->no_vms) {
		r = runs_start(d, e);
		if (r < 0)
			return r;
	}
	dom0_services_start(d);
	r = server_serve(d->server, e);
	if (r < 0)
		return r;
	api_sweep(d->core);
	unfinished_start(d);
	if (d->runs)
		run_sweep_disposables(d);
	say_ready(d);
	if (d->runs && !d->no_autostart)
		run_autostart(d);
	log_info("serving %zu qubes", d->core->n_sorted);
	return 0;
}

static void on_probe(void *arg, int r, const struct st_reply *reply, struct err *e)
{
	struct qd *d = arg;

	if (r >= 0)
		r = core_init_fresh(d->core, reply->driver, e);
	if (r >= 0)
		r = serve(d, e);
	if (r < 0) {
		log_error("first start: %s", err_text(e, r));
		ev_stop(d->loop, 1);
	}
}

static void on_swept(struct qd *d)
{
	struct err e = { 0 };
	int r = serve(d, &e);

	if (r < 0) {
		log_error("%s", err_text(&e, r));
		ev_stop(d->loop, 1);
	}
}

/* Later steps need the storage worker's answer, so a fresh instance begins to serve when that came. */
static int first_start(struct qd *d, struct err *e)
{
	struct st_request rq = { .op = ST_PROBE };

	if (str_copy(rq.pool_dir, sizeof rq.pool_dir, path_get(PATH_POOL_DEFAULT)) < 0)
		return err_set(e, ENAMETOOLONG, "the path of the root directory is too long");
	return storage_submit(d, &rq, on_probe, d, e);
}

static int confine(struct err *e)
{
	const struct sandbox_path paths[] = {
		{ .path = path_get(PATH_RUN), .write = true },
		{ .path = path_get(PATH_LIB), .write = true }, /* in system mode all but PATH_STATE belongs to others */
		{ .path = path_get(PATH_KERNELS) },
		{ .path = path_get(PATH_BACKUP_PROFILES) },
		{ .path = "/sys/devices/system/cpu" },
	};

	return sandbox_enter(SB_QUBESD_CORE, paths, ARRAY_SIZE(paths), e);
}

/* Once, while files can still be opened: PCI devices that come later are seen after the next start. */
static void find_pci(struct core *core)
{
	_cleanup_fd_ int dir = open("/sys/bus/pci/devices", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0)
		device_pci_scan(core, dir);
}

static int open_state(struct qd *d, struct err *e)
{
	int r = store_open(&d->store, path_get(PATH_DB), e);

	if (r < 0)
		return r;
	d->core = core_new(&run_ops, d, &store_ops, d->store);
	d->core->no_vms = d->no_vms;
	find_pci(d->core);
	return store_fresh(d->store) ? 0 : store_load(d->store, d->core, e);
}

static int run(struct qd *d, struct err *e)
{
	int r;

	d->server = server_open(d, e);
	if (!d->server)
		return -EADDRINUSE;
	d->spawner = peer_new(d->loop, QUBESD_FD_SPAWNER, &spawner_ops, d, "spawner");
	if (!d->spawner || !ev_signal_new(d->loop, SIGTERM, on_signal, d) || !ev_signal_new(d->loop, SIGINT, on_signal, d))
		return err_set(e, EBADF, "descriptor %d is not the channel to the spawner", QUBESD_FD_SPAWNER);
	if (d->life_fd >= 0 && (fd_cloexec(d->life_fd, true) < 0 || !ev_io_new(d->loop, d->life_fd, EV_READ, on_life, d)))
		return err_set(e, EBADF, "descriptor %d is not the supervisor's", d->life_fd);
	if (!d->no_vms)
		trace_open(d);
	r = confine(e);
	if (r < 0)
		return r;
	if (store_fresh(d->store))
		r = first_start(d, e);
	else
		storage_sweep(d, on_swept);
	return r < 0 ? r : ev_run(d->loop);
}

int core_main(const char *root, bool no_vms, bool no_autostart, int ready_fd, int life_fd)
{
	struct qd d = { .no_vms = no_vms, .no_autostart = no_autostart, .ready_fd = ready_fd, .life_fd = life_fd };
	struct err e = { 0 };
	int r;

	log_init("qubesd", NULL, -1);
	signal(SIGPIPE, SIG_IGN);
	if (ready_fd >= 0)
		(void)fd_cloexec(ready_fd, true);
	r = paths_init(root, &e);
	d.loop = ev_new();
	d.runs = r < 0 || no_vms ? NULL : runs_new(&d);
	if (r == 0 && no_vms)
		r = run_none_alive(&e);
	if (r == 0)
		r = open_state(&d, &e);
	if (r < 0) {
		log_error("%s", err_text(&e, r));
		store_close(d.store);
		return QUBESD_EXIT_CONFIG;
	}
	r = run(&d, &e);
	states_stop(&d);
	if (r < 0)
		log_error("%s", err_text(&e, r));
	/* Open calls die with the process; memory is left to the kernel, the database is closed in order. */
	store_close(d.store);
	return r < 0 ? 1 : r;
}
