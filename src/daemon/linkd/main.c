/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Start of linkd: arguments, inherited descriptors, sandbox, loop. */
#include <fcntl.h>
#include <signal.h>

#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "daemon/linkd/linkd.h"
#include "proto/fds.h"
#include "proto/names.h"

static int number(const char *s, uint64_t max, uint64_t *ret)
{
	return str_u64(s, max, ret);
}

static int accel(const char *s, uint8_t *ret)
{
	*ret = streq(s, "kvm") ? ACCEL_KVM : ACCEL_TCG;
	return streq(s, "kvm") || streq(s, "tcg") ? 0 : -EINVAL;
}

static int start(const char *s, uint8_t *ret)
{
	static const char *const names[VM_START_N] = { [VM_START_COLD] = "cold", [VM_START_SOURCE] = "source", [VM_START_CLONE] = "clone" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!streq(s, names[i]))
			continue;
		*ret = (uint8_t)i;
		return 0;
	}
	return -EINVAL;
}

static int option(struct linkd *d, const char *name, const char *val)
{
	struct ipc_ld_hello *id = &d->id;
	uint64_t v = 0;
	int r;

	if (streq(name, "--name"))
		return str_copy(id->name, sizeof id->name, val);
	if (streq(name, "--start-id"))
		return str_copy(id->start_id, sizeof id->start_id, val);
	if (streq(name, "--vmm")) {
		d->vmm = vmm_monitor_of(val);
		return d->vmm ? 0 : -EINVAL;
	}
	if (streq(name, "--accel"))
		return accel(val, &id->accel);
	if (streq(name, "--start"))
		return start(val, &d->start);
	if (streq(name, "--state-fd")) {
		r = number(val, 1 << 20, &v);
		d->state_fd = (int)v;
		return r;
	}
	if (streq(name, "--gui-machine-fd")) {
		r = number(val, 1 << 20, &v);
		d->gui_machine_fd = (int)v;
		return r;
	}
	r = number(val, streq(name, "--qemu-start") ? UINT64_MAX : UINT32_MAX, &v);
	if (streq(name, "--qid"))
		id->qid = (uint32_t)v;
	else if (streq(name, "--qemu-pid"))
		id->qemu_pid = (uint32_t)v;
	else if (streq(name, "--qemu-start"))
		id->qemu_start = v;
	else if (streq(name, "--gui-mib"))
		d->gui_mib = (uint32_t)v;
	else
		return -EINVAL;
	return r;
}

static int options(int argc, char **argv, struct linkd *d)
{
	d->id = (struct ipc_ld_hello){ .version = IPC_VERSION, .accel = ACCEL_TCG };
	for (int i = 1; i + 1 < argc; i += 2)
		if (option(d, argv[i], argv[i + 1]) < 0)
			return -EINVAL;
	return argc % 2 == 1 && d->vmm && d->id.qid && d->id.name[0] ? 0 : -EINVAL;
}

static int check_fds(const struct linkd *d)
{
	for (int fd = LINKD_FD_QMP; fd < LINKD_FD_N; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			return -EBADF;
		fd_cloexec(fd, true);
	}
	/* Ours only in a source; a clone's is a number of its machine. */
	if (d->start == VM_START_SOURCE && (d->state_fd < LINKD_FD_N || fcntl(d->state_fd, F_GETFD) < 0))
		return -EBADF;
	if (d->start == VM_START_SOURCE)
		fd_cloexec(d->state_fd, true);
	return 0;
}

/* What clients get must not be a way to write or to resize. */
static int take_gui(struct linkd *d)
{
	int flags;

	if (!d->gui_mib)
		return 0;
	flags = fcntl(LINKD_FD_GUI, F_GETFL);
	if (flags < 0 || (flags & (O_ACCMODE | O_PATH)) != O_RDONLY || d->gui_machine_fd < 0 || d->start == VM_START_SOURCE)
		return -EBADF;
	fd_cloexec(LINKD_FD_GUI, true);
	d->gui_fd = LINKD_FD_GUI;
	return 0;
}

static int wire(struct linkd *d)
{
	int r = vm_init(d, LINKD_FD_QMP);

	if (r == 0)
		r = link_init(d, LINKD_FD_LINK, LINKD_FD_CHAN, LINKD_FD_QREXEC, LINKD_FD_QUBESDB);
	if (r == 0)
		r = console_init(d, LINKD_FD_CONSOLE, LINKD_FD_CONSOLE_LISTEN, LINKD_FD_LOG);
	if (r == 0)
		r = ctl_init(d, LINKD_FD_CTL);
	return r;
}

/* Clients first: what they wait for is withdrawn through the parts that are freed after them. */
static void unwire(struct linkd *d)
{
	lcs_free(d->lcs);
	meet_free(d->meet);
	muxio_free(d->x);
	d->vmm->free(d->monitor);
	state_free(d);
	console_free(d->console);
	ctl_free(d);
	ev_timer_free(d->ending);
	ev_timer_free(d->hello_timer);
	ev_free(d->loop);
}

int main(int argc, char **argv)
{
	struct linkd d = { .ctl = -1, .state_fd = -1, .gui_fd = -1, .gui_machine_fd = -1 };
	struct err e = { 0 };
	int r;

	if (options(argc, argv, &d) < 0) {
		fprintf(stderr, "usage: linkd --qid N --name NAME --start-id ID --vmm NAME --accel kvm|tcg --qemu-pid N --qemu-start N\n"
				"             [--start cold|source|clone] [--state-fd N] [--gui-mib N --gui-machine-fd N]\n"
				"(started by the spawner, with descriptors 3 to 12)\n");
		return 2;
	}
	log_init("linkd", d.id.name, -1);
	signal(SIGPIPE, SIG_IGN);
	if (check_fds(&d) < 0 || take_gui(&d) < 0) {
		log_error("descriptors 3 to %d are needed, and %d for a GUI", LINKD_FD_N - 1, LINKD_FD_GUI);
		return 2;
	}
	d.id.pid = (uint32_t)getpid();
	r = proc_start_time(getpid(), &d.id.start);
	if (r < 0) {
		log_error("own start time: %s", strerror(-r));
		return 1;
	}
	d.loop = ev_new();
	if (!d.loop || sandbox_enter(SB_LINKD, NULL, 0, &e) < 0) {
		log_error("%s", d.loop ? e.msg : "no event loop");
		return 1;
	}
	r = wire(&d);
	if (r < 0) {
		log_error("start: %s", strerror(-r));
		return 1;
	}
	r = ev_run(d.loop);
	unwire(&d);
	return r;
}
