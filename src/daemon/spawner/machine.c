/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * QEMU, confined: new user, network, ipc, uts and pid namespaces, a root that holds the system's programs read-only and nothing of
 * ours, no capabilities, no_new_privs; QEMU's own system call filter comes on top (-sandbox). Its first process is qube-shim.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/qube-shim/fds.h"
#include "daemon/spawner/spawner.h"

#define REPORT_TIMEOUT_MS 20000
#define SHIM_ENV_MAX 16

/* Descriptors in the order of their final numbers, and the plan that names these numbers. */
struct layout {
	struct proc_spec spec;
	struct vmm_plan plan;
	int next;
	bool full;
};

static int place(struct layout *l, int fd)
{
	if (fd < 0)
		return -1;
	if (l->spec.n_fds == PROC_FDS_MAX) {
		l->full = true;
		return -1;
	}
	l->spec.fds[l->spec.n_fds].fd = fd;
	l->spec.fds[l->spec.n_fds++].as = l->next;
	return l->next++;
}

static void lay_out(struct layout *l, const struct vm_spec *s, const struct disk_fds *d, const struct machine_fds *f,
		    int report_fd)
{
	l->next = SHIM_FD_LIFELINE;
	(void)place(l, f->lifeline);
	(void)place(l, report_fd);
	l->plan.monitor = place(l, f->monitor);
	l->plan.console = place(l, f->console);
	l->plan.link = place(l, f->link);
	l->plan.kernel = place(l, d->kernel);
	l->plan.initrd = place(l, d->initrd);
	for (uint32_t i = 0; i < s->n_disks; i++) {
		for (uint32_t k = 0; k < s->disks[i].n_layers; k++)
			l->plan.layers[i][k] = place(l, d->layers[i][k]);
		l->plan.ephemeral[i] = place(l, d->ephemeral[i]);
	}
	l->plan.ram = place(l, d->ram);
	/* That of a source goes by its linkd. */
	l->plan.state = s->start == VM_START_CLONE ? place(l, d->state) : -1;
	l->plan.gui = place(l, d->gui);
}

/* "Pid:" of /proc/self/fdinfo of a pidfd: the number by which we know a process that the shim knows by another. */
static int pid_of(int pidfd, uint32_t *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[48], num[16];
	const char *p;
	uint64_t v;
	int r = str_printf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);

	if (r >= 0)
		r = fs_read(AT_FDCWD, path, 4096, &text, NULL, NULL);
	if (r < 0)
		return r;
	p = strstr(text, "\nPid:");
	if (!p)
		return -ESRCH;
	p += 5 + strspn(p + 5, " \t");
	if (str_printf(num, sizeof num, "%.*s", (int)strspn(p, "0123456789"), p) < 0 || str_u64(num, INT32_MAX, &v) < 0 || v == 0)
		return -ESRCH;
	*ret = (uint32_t)v;
	return 0;
}

static int wait_report(int fd, uint32_t *ret_pid, uint64_t *ret_start, struct err *e)
{
	_cleanup_msg_ struct msg m = { 0 };
	struct pollfd pf = { .fd = fd, .events = POLLIN };
	char text[ERR_MSG_MAX];
	struct rd rd;
	int r;

	do {
		r = poll(&pf, 1, REPORT_TIMEOUT_MS);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		return err_set(e, ETIMEDOUT, "the shim did not start QEMU in time");
	r = msg_recv(fd, &m);
	if (r <= 0)
		return err_set(e, ECHILD, "the shim ended before it started QEMU");
	rd = msg_rd(&m);
	rd_lstr(&rd, text, sizeof text);
	if (m.type != SHIM_STARTED || m.n_fds != 1)
		return err_set(e, ECHILD, "%s", rd_done(&rd) && text[0] ? text : "the shim could not start QEMU");
	r = pid_of(m.fds[0], ret_pid);
	if (r >= 0)
		r = proc_start_time((pid_t)*ret_pid, ret_start);
	return r < 0 ? err_errno(e, -r, "QEMU ended at once") : 0;
}

/* What a qube may cost its host in memory, also after an escape into QEMU. The address sanitizer of a test build of the shim needs all
   addresses. */
#ifdef __SANITIZE_ADDRESS__
#define SHIM_LIMITS 1
#else
#define SHIM_LIMITS 2
#endif

/* In system mode: the group that may open the driver's device. */
static void device_group(struct proc_spec *spec, const char *device, struct stat *st)
{
	if (!spec->set_ids || !device || stat(device, st) < 0)
		return;
	spec->groups = &st->st_gid;
	spec->n_groups = 1;
}

/* The shim's environment, which it hands on: that of our roles, and what the driver adds. */
static int shim_env(const char *env[SHIM_ENV_MAX + 1], const struct vmm_launch *how)
{
	const char *const *parts[] = { spawner_env(), how->env };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		for (const char *const *p = parts[i]; p && *p; p++) {
			if (n == SHIM_ENV_MAX)
				return -E2BIG;
			env[n++] = *p;
		}
	env[n] = NULL;
	return 0;
}

static int spawn(struct layout *l, struct proc *ret, const struct vm_spec *s, const char *shim, struct vmm_launch *how, struct err *e)
{
	struct stat device;
	char last[16], reopened[16];
	const char *argv[VMM_ARGS_MAX + 5] = { "qube-shim", last, reopened }, *env[SHIM_ENV_MAX + 1];
	size_t n = 3;
	_cleanup_fd_ int log = log_open("qemu", s->name, e);

	if (log < 0)
		return log;
	if (str_printf(last, sizeof last, "%d", l->next - 1) < 0 ||
	    str_printf(reopened, sizeof reopened, "%d", (l->plan.kernel >= 0) + (l->plan.initrd >= 0)) < 0 || l->full || l->spec.n_fds == PROC_FDS_MAX ||
	    how->n_files == VMM_FILES_MAX || shim_env(env, how) < 0)
		return err_set(e, E2BIG, "the machine has too many image files");
	for (; how->args.v[n - 3]; n++)
		argv[n] = how->args.v[n - 3];
	how->files[how->n_files++] = (struct proc_bind){ .path = shim };
	l->spec.path = shim;
	l->spec.argv = argv;
	l->spec.envp = env;
	l->spec.new_session = true;
	l->spec.fds[l->spec.n_fds].fd = log;
	l->spec.fds[l->spec.n_fds++].as = STDERR_FILENO;
	set_identity(&l->spec, ID_QUBE + s->qid);
	device_group(&l->spec, how->device, &device);
	l->spec.rlimits[0].resource = RLIMIT_CORE;
	l->spec.rlimits[1].resource = RLIMIT_AS;
	l->spec.rlimits[1].soft = l->spec.rlimits[1].hard = (s->memory_mib + s->gui_mib + how->room_mib) << 20;
	l->spec.n_rlimits = SHIM_LIMITS;
	l->spec.confine = (struct proc_confine){ .userns = true, .netns = true, .ipcns = true, .pidns = true, .utsns = true,
						 .no_new_privs = true, .root = how->files, .n_root = how->n_files };
	return proc_spawn(ret, &l->spec, e);
}

int machine_start(struct proc *ret, const struct vm_spec *s, const struct vmm_ops *vmm, uint8_t accel, const struct disk_fds *d,
		  const struct machine_fds *f, struct machine_facts *ret_facts, struct err *e)
{
	_cleanup_(vmm_launch_fini) struct vmm_launch how = { .n_files = 0 };
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_fd_ int ours = -1, theirs = -1;
	struct layout l = { .next = 0 };
	char shim[PATH_MAX];
	int pair[2], r;

	if (unix_pair(SOCK_SEQPACKET, pair) < 0)
		return err_errno(e, errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	vmm_plan_init(&l.plan);
	l.plan.accel = accel;
	l.plan.host_cpus = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
	lay_out(&l, s, d, f, theirs);
	r = vmm->launch(s, &l.plan, &how, e);
	if (r >= 0)
		r = spawn(&l, &p, s, path_program(shim, "qube-shim"), &how, e);
	if (r < 0)
		return r;
	fd_closep(&theirs);
	r = wait_report(ours, &ret_facts->pid, &ret_facts->start, e);
	ret_facts->state_fd = l.plan.state;
	ret_facts->gui_fd = l.plan.gui;
	if (r < 0)
		return r;
	*ret = p;
	p = PROC_INIT;
	return 0;
}
