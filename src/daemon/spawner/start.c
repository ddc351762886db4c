/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SP_START_QUBE as one transaction. Order: everything that can fail by itself first, then QEMU, the roles, and linkd last. Until linkd
 * runs this process alone holds the other end of QEMU's lifeline and of the roles' channels, so if it is killed they all end;
 * from then on they hang on linkd. When a step fails, what was made is undone.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/spawner/spawner.h"
#include "proto/fds.h"

enum pair_name { P_QMP, P_LINK, P_CONSOLE, P_LIFELINE, P_QREXEC, P_QUBESDB, P_N };

struct pair {
	int host, other; /* host: linkd's end */
};

struct start {
	struct spawner *s;
	uint8_t flags; /* enum sp_start_flag */
	struct vm_spec spec;
	int state_fd, gui_fd;
	const struct vmm_ops *vmm;
	uint8_t accel;
	bool dir_made, quiet, done;
	bool bound[RS_N];
	int socks[RS_N];
	struct pair pairs[P_N];
	struct disk_fds disks;
	struct proc shim, linkd, qrexec, qubesdb;
	struct ipc_sp_started reply;
};

static const int pair_types[P_N] = { [P_QMP] = SOCK_STREAM,	 [P_LINK] = SOCK_STREAM,      [P_CONSOLE] = SOCK_STREAM,
				     [P_LIFELINE] = SOCK_STREAM, [P_QREXEC] = SOCK_SEQPACKET, [P_QUBESDB] = SOCK_SEQPACKET };

static const char *qube_dir(char out[PATH_MAX], const struct start *t)
{
	return path_fmt(out, PATH_QUBE_RUN, "/%u", t->spec.qid);
}

static void start_init(struct start *t)
{
	memset(t, 0, sizeof *t);
	for (size_t i = 0; i < RS_N; i++)
		t->socks[i] = -1;
	for (size_t i = 0; i < P_N; i++)
		t->pairs[i] = (struct pair){ -1, -1 };
	disks_init(&t->disks);
	t->shim = t->linkd = t->qrexec = t->qubesdb = PROC_INIT;
}

/* Ends and removes everything that was not handed on. */
static void start_fini(struct start *t)
{
	char dir[PATH_MAX];

	proc_fini(&t->linkd);
	proc_fini(&t->qubesdb);
	proc_fini(&t->qrexec);
	proc_fini(&t->shim);
	for (size_t i = 0; i < RS_N; i++) {
		fd_closep(&t->socks[i]);
		if (t->bound[i] && !t->done)
			sock_unbind((enum role_sock)i, t->spec.qid, t->spec.name);
	}
	for (size_t i = 0; i < P_N; i++) {
		fd_closep(&t->pairs[i].host);
		fd_closep(&t->pairs[i].other);
	}
	disks_fini(&t->disks);
	if (t->quiet && !t->done)
		(void)unlink(path_fmt(dir, PATH_RUN, "/ram-only.%s", t->spec.name));
	if (t->dir_made && !t->done)
		(void)fs_rm_rf(AT_FDCWD, qube_dir(dir, t), NULL);
}

/* By descriptor: the core owns the directory above and could have put something else there. */
static int give_dir(const char *dir, struct err *e)
{
	_cleanup_fd_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "opening '%s'", dir);
	if (st.st_uid != geteuid() || st.st_mode & 0077)
		return err_set(e, EPERM, "'%s' is not the directory that was made", dir);
	return fchown(fd, ID_CORE, (gid_t)-1) < 0 || fchmod(fd, 02711) < 0 ? err_errno(e, errno, "giving '%s' to the core", dir) : 0;
}

/* A directory that is there already belongs to a qube that runs, or is what a killed one left. */
static int make_dir(struct start *t, struct err *e)
{
	char dir[PATH_MAX], ctl[PATH_MAX];
	int r, fd;

	qube_dir(dir, t);
	if (mkdir(dir, 0700) < 0) {
		if (errno != EEXIST)
			return err_errno(e, errno, "creating '%s'", dir);
		fd = unix_connect(sock_path(ctl, RS_LINKD_CTL, t->spec.qid, t->spec.name), SOCK_SEQPACKET, NULL);
		if (fd >= 0) {
			close(fd);
			return err_set(e, EBUSY, "qube %u runs already", t->spec.qid);
		}
		r = fs_rm_rf(AT_FDCWD, dir, e);
		if (r < 0)
			return r;
		if (mkdir(dir, 0700) < 0)
			return err_errno(e, errno, "creating '%s'", dir);
	}
	t->dir_made = true;
	/* The core keeps notes of its own beside the sockets. The group is the clients', given by the directory above. */
	return paths_system_mode() ? give_dir(dir, e) : 0;
}

static int make_sockets(struct start *t, struct err *e)
{
	/* A source has no name that anybody could call. */
	for (size_t i = 0; i < (t->spec.start == VM_START_SOURCE ? RS_OF_SOURCE : RS_N); i++) {
		t->socks[i] = sock_bind((enum role_sock)i, t->spec.qid, t->spec.name, e);
		if (t->socks[i] < 0)
			return t->socks[i];
		t->bound[i] = true;
	}
	for (size_t i = 0; i < P_N; i++) {
		int fds[2];

		if (unix_pair(pair_types[i], fds) < 0)
			return err_errno(e, errno, "socketpair");
		t->pairs[i] = (struct pair){ fds[0], fds[1] };
	}
	return 0;
}

static int start_machine(struct start *t, struct err *e)
{
	struct machine_fds f = { .monitor = t->pairs[P_QMP].other, .console = t->pairs[P_CONSOLE].other, .link = t->pairs[P_LINK].other,
				 .lifeline = t->pairs[P_LIFELINE].other };
	struct machine_facts facts = { .state_fd = -1, .gui_fd = -1 };
	int r = machine_start(&t->shim, &t->spec, t->vmm, t->accel, &t->disks, &f, &facts, e);

	t->reply.qemu_pid = facts.pid;
	t->reply.qemu_start = facts.start;
	t->state_fd = facts.state_fd;
	t->gui_fd = facts.gui_fd;
	return r < 0 ? r : pids_append(t->spec.qid, ROLE_QEMU, (pid_t)t->reply.qemu_pid, t->reply.qemu_start, e);
}

static int remember(const struct start *t, uint8_t role, const struct proc *p, struct err *e)
{
	uint64_t start;
	int r = proc_start_time(p->pid, &start);

	return r < 0 ? err_errno(e, -r, "%s ended at once", ipc_role_name(role)) : pids_append(t->spec.qid, role, p->pid, start, e);
}

static int start_roles(struct start *t, struct err *e)
{
	struct ipc_sp_start_role q = { .qid = t->spec.qid };
	int r;

	if (t->spec.start == VM_START_SOURCE)
		return 0;
	memcpy(q.name, t->spec.name, sizeof q.name);
	memcpy(q.uuid, t->spec.uuid, sizeof q.uuid);
	memcpy(q.default_user, t->spec.default_user, sizeof q.default_user);
	r = start_qrexec_daemon(&t->qrexec, &q, t->socks, t->pairs[P_QREXEC].other, e);
	if (r >= 0)
		r = remember(t, ROLE_QREXEC_DAEMON, &t->qrexec, e);
	if (r >= 0)
		r = start_qubesdb_daemon(&t->qubesdb, &q, t->socks, t->pairs[P_QUBESDB].other, e);
	return r < 0 ? r : remember(t, ROLE_QUBESDB_DAEMON, &t->qubesdb, e);
}

/* What only some machines have: arguments from argv[n] on, and descriptors. */
struct linkd_extra {
	char state_fd[16], gui_mib[16], gui_fd[16];
};

static int linkd_extras(struct start *t, struct linkd_extra *x, const char **argv, size_t n, struct fd_place *places, size_t *n_places)
{
	if (t->spec.start == VM_START_SOURCE) {
		t->state_fd = LINKD_FD_STATE;
		places[(*n_places)++] = (struct fd_place){ t->disks.state, LINKD_FD_STATE };
	}
	if (str_printf(x->state_fd, sizeof x->state_fd, "%d", t->state_fd) < 0 || str_printf(x->gui_fd, sizeof x->gui_fd, "%d", t->gui_fd) < 0 ||
	    str_printf(x->gui_mib, sizeof x->gui_mib, "%u", t->spec.gui_mib) < 0)
		return -EINVAL;
	if (t->spec.start != VM_START_COLD) {
		argv[n++] = "--state-fd";
		argv[n++] = x->state_fd;
	}
	if (t->disks.gui_reading >= 0) {
		argv[n++] = "--gui-mib";
		argv[n++] = x->gui_mib;
		argv[n++] = "--gui-machine-fd";
		argv[n++] = x->gui_fd;
		places[(*n_places)++] = (struct fd_place){ t->disks.gui_reading, LINKD_FD_GUI };
	}
	return 0;
}

static int start_linkd(struct start *t, struct err *e)
{
	static const char *const starts[VM_START_N] = { [VM_START_COLD] = "cold", [VM_START_SOURCE] = "source", [VM_START_CLONE] = "clone" };
	char qid[16], pid[16], ticks[24];
	struct linkd_extra x;
	size_t n_places = LINKD_FD_N - LINKD_FD_QMP;
	_cleanup_fd_ int console_log = log_open("guest", t->spec.name, e);
	struct fd_place places[LINKD_FD_N - LINKD_FD_QMP + 2] = {
		{ t->pairs[P_QMP].host, LINKD_FD_QMP },	      { t->pairs[P_LINK].host, LINKD_FD_LINK },
		{ t->pairs[P_CONSOLE].host, LINKD_FD_CONSOLE }, { t->socks[RS_LINKD_CTL], LINKD_FD_CTL },
		{ t->socks[RS_CHAN], LINKD_FD_CHAN },	      { t->socks[RS_CONSOLE], LINKD_FD_CONSOLE_LISTEN },
		{ t->pairs[P_QREXEC].host, LINKD_FD_QREXEC },  { t->pairs[P_QUBESDB].host, LINKD_FD_QUBESDB },
		{ console_log, LINKD_FD_LOG },		      { t->pairs[P_LIFELINE].host, LINKD_FD_LIFELINE },
	};
	const char *argv[24] = { "linkd", "--qid", qid, "--name", t->spec.name, "--start-id", t->spec.start_id, "--vmm",
			       t->vmm->name, "--accel", vmm_accel_name(t->accel), "--qemu-pid", pid, "--qemu-start", ticks,
			       "--start", starts[t->spec.start] };
	int r;

	if (console_log < 0)
		return console_log;
	if (linkd_extras(t, &x, argv, 17, places, &n_places) < 0 || str_printf(qid, sizeof qid, "%u", t->spec.qid) < 0 || str_printf(pid, sizeof pid, "%u", t->reply.qemu_pid) < 0 ||
	    str_printf(ticks, sizeof ticks, "%llu", (unsigned long long)t->reply.qemu_start) < 0)
		return err_set(e, EINVAL, "numbers of linkd");
	r = role_spawn(&t->linkd, "linkd", argv, ID_QUBE + t->spec.qid, places, n_places, log_open("linkd", t->spec.name, e), e);
	if (r >= 0)
		r = remember(t, ROLE_LINKD, &t->linkd, e);
	if (r >= 0)
		r = proc_start_time(t->linkd.pid, &t->reply.linkd_start);
	t->reply.linkd_pid = (uint32_t)t->linkd.pid;
	return r;
}

#define MACHINE_MIB 64 /* what a machine's program takes beside the guest's memory */

/* A clone shares most of its memory with its state. */
static uint64_t need_mib(const struct vm_spec *s)
{
	return (s->start == VM_START_CLONE ? s->memory_mib / 4 : s->memory_mib) + MACHINE_MIB;
}

static int admit(struct start *t, struct err *e)
{
	int r = t->flags & SP_MEMORY_UNSEEN ? 0 : admit_memory(&t->s->admit, "", now_us(), need_mib(&t->spec), t->spec.name, e);
	char old[PATH_MAX];

	if (r == 0 && !(t->flags & SP_RAM_ONLY))
		(void)unlink(path_fmt(old, PATH_RUN, "/ram-only.%s", t->spec.name)); /* of an earlier qube of this name that nobody could tidy up after */
	if (r < 0 || !(t->flags & (SP_RAM_ONLY | SP_RAM_DISKS)))
		return r;
	r = t->flags & SP_SWAP_OK ? 0 : admit_secret("", e);
	if (r < 0)
		return r;
	t->disks.in_memory = true;
	t->quiet = t->flags & SP_RAM_ONLY;
	return t->quiet ? roles_quiet(t->spec.name, e) : 0;
}

/* What the qube writes to its disks is memory of the machine's program, when it is kept in memory. */
static uint64_t disks_mib(const struct start *t)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; t->disks.in_memory && i < t->spec.n_disks; i++)
		sum += t->spec.disks[i].ephemeral_size >> 20;
	return sum;
}

/* Everything of the qube is bounded before its first instruction. */
static int limit_all(const struct start *t, struct err *e)
{
	const pid_t pids[] = { t->shim.pid, (pid_t)t->reply.qemu_pid, t->qrexec.pid, t->qubesdb.pid, t->linkd.pid };
	int r = limits_set(t->s, t->spec.qid, t->spec.memory_mib, t->vmm->overhead_mib + disks_mib(t) + t->spec.gui_mib, e);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(pids); i++)
		r = pids[i] <= 0 ? 0 : limits_enter(t->s, t->spec.qid, pids[i], e);
	return r;
}

static int start_all(struct start *t, const int state[STATE_FDS], struct err *e)
{
	int r = vmm_choose(t->spec.accel, &t->vmm, &t->accel, NULL, e);

	if (r >= 0 && t->spec.start != VM_START_COLD && !t->vmm->can_save(t->accel))
		r = err_set(e, ENOTSUP, "machines of this kind cannot be saved here");
	if (r >= 0 && t->spec.start == VM_START_SOURCE)
		r = source_prepare(&t->disks, &t->spec, e);
	if (r >= 0 && t->spec.start == VM_START_CLONE)
		r = clone_prepare(&t->disks, &t->spec, state, e);
	if (r >= 0)
		r = admit(t, e);
	if (r >= 0)
		r = gui_prepare(&t->disks, &t->spec, e);
	if (r >= 0)
		r = disks_open(&t->disks, &t->spec, t->accel, e);
	if (r >= 0)
		r = make_dir(t, e);
	if (r >= 0)
		r = make_sockets(t, e);
	if (r >= 0)
		r = start_machine(t, e);
	if (r >= 0)
		r = start_roles(t, e);
	if (r >= 0)
		r = start_linkd(t, e);
	if (r >= 0)
		r = limit_all(t, e);
	return r < 0 || t->spec.start != VM_START_SOURCE ? r : source_started(t->s, &t->spec, &t->disks, e);
}

/* given: the descriptor of a disk that came with the request, -1 = none; taken over when the qube starts. */
static int start_qube(struct spawner *s, const struct msg *m, const struct vm_spec *spec, uint8_t flags, const int state[STATE_FDS], int *given,
		      struct err *e)
{
	_cleanup_(start_fini) struct start t;
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	uint32_t qid = spec->qid;
	int r;

	start_init(&t);
	t.s = s;
	t.spec = *spec;
	t.flags = flags;
	r = disks_given(&t.disks, spec, given, e);
	if (r >= 0)
		r = start_all(&t, state, e);
	if (r < 0)
		return err_add(e, r, "starting '%s'", t.spec.name);
	t.done = true;
	admit_started(&s->admit, t.reply.qemu_pid, t.reply.qemu_start, need_mib(&t.spec), now_us());
	child_add(s, &t.shim, t.reply.qemu_pid, qid, ROLE_QEMU);
	if (t.qrexec.pid > 0)
		child_add(s, &t.qrexec, (uint32_t)t.qrexec.pid, qid, ROLE_QREXEC_DAEMON);
	if (t.qubesdb.pid > 0)
		child_add(s, &t.qubesdb, (uint32_t)t.qubesdb.pid, qid, ROLE_QUBESDB_DAEMON);
	child_add(s, &t.linkd, t.reply.linkd_pid, qid, ROLE_LINKD);
	ipc_put_sp_started(&w, &t.reply);
	log_info("started %s (qid %u) qemu=%u linkd=%u accel=%s%s", t.spec.name, qid, t.reply.qemu_pid, t.reply.linkd_pid,
		 vmm_accel_name(t.accel), spec->start == VM_START_CLONE ? " clone" : spec->start == VM_START_SOURCE ? " source" : "");
	reply(s, m, &w, NULL, 0);
	return 0;
}

/* A clone that waits for its state. */
struct waiting {
	struct msg m; /* only type and serial */
	struct vm_spec spec;
	uint8_t flags;
};

static void on_state(struct spawner *s, struct msg *m, const struct err *why, void *arg)
{
	_cleanup_free_ struct waiting *w = arg;
	struct err e = { 0 };
	int r, none = -1;

	if (m)
		r = ipc_reply_err(m, &e);
	else
		r = err_set(&e, ENOENT, "%s", why->msg);
	if (r >= 0 && m->n_fds != STATE_FDS)
		r = err_set(&e, EBADMSG, "the holder gave no state");
	if (r >= 0)
		r = start_qube(s, &w->m, &w->spec, w->flags, m->fds, &none, &e);
	if (r >= 0)
		return;
	log_warn("%s: %s", ipc_type_name(w->m.type), err_text(&e, r));
	refuse(s, w->m.type, w->m.serial, r, &e);
}

static int start_clone(struct spawner *s, const struct msg *m, const struct vm_spec *spec, uint8_t flags, struct err *e)
{
	struct waiting *w = xcalloc(1, sizeof *w);
	struct ipc_ho_get q = { .key = "" };
	uint8_t buf[64];
	struct wr b = wr_mem(buf, sizeof buf);
	int r;

	w->m.type = m->type;
	w->m.serial = m->serial;
	w->spec = *spec;
	w->flags = flags;
	memcpy(q.key, spec->state, sizeof q.key);
	ipc_put_ho_get(&b, &q);
	r = holder_request(s, IPC_HO_GET, &b, NULL, 0, on_state, w, e);
	if (r < 0)
		free(w);
	return r;
}

int on_start_qube(struct spawner *s, struct msg *m, struct err *e)
{
	struct ipc_sp_start_qube q;
	struct rd rd = msg_rd(m);
	int r, none = -1, *given = m->n_fds ? &m->fds[0] : &none;
	struct vm_spec spec;

	if (ipc_get_sp_start_qube(&rd, &q) < 0)
		return err_set(e, EBADMSG, "malformed request");
	r = vm_spec_get(&rd, &spec, e);
	if (r >= 0 && spec.qid != q.qid)
		r = err_set(e, EBADMSG, "two different qids");
	if (r < 0)
		return err_add(e, r, "starting a qube");
	return spec.start == VM_START_CLONE ? start_clone(s, m, &spec, q.flags, e) : start_qube(s, m, &spec, q.flags, NULL, given, e);
}
