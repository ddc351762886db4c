/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Our own roles: their sockets, logs, descriptors and command lines. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/policyd/fds.h"
#include "daemon/qrexec-daemon/fds.h"
#include "daemon/qubesdb-daemon/fds.h"
#include "daemon/spawner/spawner.h"
#include "proto/names.h"

static const struct {
	const char *fmt; /* %s: the qid, or the name */
	enum path_id where;
	bool by_name;
	int type;
	mode_t mode;
} socks[RS_N] = {
	[RS_LINKD_CTL] = { "/%s/linkd.ctl", PATH_QUBE_RUN, false, SOCK_SEQPACKET, 0600 },
	[RS_CHAN] = { "/%s/chan.sock", PATH_QUBE_RUN, false, SOCK_SEQPACKET, 0660 },
	[RS_CONSOLE] = { "/%s/console.sock", PATH_QUBE_RUN, false, SOCK_STREAM, 0660 },
	[RS_QREXEC_CTL] = { "/%s/qrexec.ctl", PATH_QUBE_RUN, false, SOCK_SEQPACKET, 0600 },
	[RS_QREXEC] = { "/qrexec.%s", PATH_RUN, false, SOCK_STREAM, 0660 },
	[RS_QDB] = { "/qubesdb.%s.sock", PATH_RUN, true, SOCK_STREAM, 0660 },
	[RS_QDB_RO] = { "/qubesdb.%s.ro.sock", PATH_RUN, true, SOCK_STREAM, 0666 },
};

const char *sock_path(char out[PATH_MAX], enum role_sock w, uint32_t qid, const char *name)
{
	const char *fmt = socks[w].fmt, *at = strstr(fmt, "%s");
	char number[16];

	if (str_printf(number, sizeof number, "%u", qid) < 0)
		abort();
	return path_fmt(out, socks[w].where, "%.*s%s%s", (int)(at - fmt), fmt, socks[w].by_name ? name : number, at + 2);
}

/* Clients of the reference know a qube's socket by its name too. */
static const char *qrexec_link(char out[PATH_MAX], const char *name)
{
	return path_fmt(out, PATH_RUN, "/qrexec.%s", name);
}

int sock_bind(enum role_sock w, uint32_t qid, const char *name, struct err *e)
{
	char path[PATH_MAX], link[PATH_MAX], target[32];
	int fd = unix_listen_replace(sock_path(path, w, qid, name), socks[w].type, socks[w].mode, e);

	if (fd < 0)
		return fd;
	/* The core connects to all of them; which group may, the directory says. */
	if (paths_system_mode() && lchown(path, ID_CORE, (gid_t)-1) < 0) {
		close(fd);
		unlink(path);
		return err_errno(e, errno, "giving '%s' to the core", path);
	}
	if (w != RS_QREXEC)
		return fd;
	qrexec_link(link, name);
	if (unlink(link) < 0 && errno != ENOENT)
		goto fail;
	if (str_printf(target, sizeof target, "qrexec.%u", qid) < 0 || symlink(target, link) < 0)
		goto fail;
	return fd;
fail:
	close(fd);
	unlink(path);
	return err_errno(e, errno, "linking '%s'", link);
}

void sock_unbind(enum role_sock w, uint32_t qid, const char *name)
{
	char path[PATH_MAX];

	unlink(sock_path(path, w, qid, name));
	if (w == RS_QREXEC)
		unlink(qrexec_link(path, name));
}

/* Removed by the core with the other files of the run. */
static const char *quiet_mark(char out[PATH_MAX], const char *name)
{
	return path_fmt(out, PATH_RUN, "/ram-only.%s", name);
}

int roles_quiet(const char *name, struct err *e)
{
	char path[PATH_MAX];
	_cleanup_fd_ int fd = open(quiet_mark(path, name), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? err_errno(e, errno, "'%s'", path) : 0;
}

int log_open(const char *role, const char *name, struct err *e)
{
	char path[PATH_MAX];
	int fd;

	if (name && access(quiet_mark(path, name), F_OK) == 0)
		(void)!str_copy(path, sizeof path, "/dev/null");
	else
		path_fmt(path, PATH_LOG, "/%s%s%s.log", role, name ? "." : "", name ? name : "");
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? err_errno(e, errno, "opening '%s'", path) : fd;
}

int on_forget(struct spawner *s, struct msg *m, struct err *e)
{
	static const char *const roles[] = { "guest", "qemu", "linkd", "qrexec-daemon", "qubesdb-daemon" };
	struct ipc_sp_forget q;
	struct rd rd = msg_rd(m);
	struct qname name;
	char path[PATH_MAX];
	uint64_t number;

	/* no other qube's, whatever the core says */
	if (ipc_get_sp_forget(&rd, &q) < 0 || !rd_done(&rd) || qname_parse(&name, q.name, e) < 0 || !str_starts(name.s, "disp") ||
	    str_u64(name.s + strlen("disp"), UINT32_MAX, &number) < 0)
		return err_set(e, EBADMSG, "malformed request");
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		(void)unlink(path_fmt(path, PATH_LOG, "/%s.%s.log", roles[i], name.s));
	reply(s, m, NULL, NULL, 0);
	return 0;
}

const char *const *spawner_env(void)
{
	static const char *const passed[] = { "BULKHEAD_LOG", "BULKHEAD_SANDBOX", "ASAN_OPTIONS", "UBSAN_OPTIONS" };
	static const char *env[ARRAY_SIZE(passed) + 3] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
							   "LANG=C.UTF-8" };
	static bool ready;
	size_t n = 2;

	if (ready)
		return env;
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
		const char *v = getenv(passed[i]);

		if (v)
			env[n++] = xasprintf("%s=%s", passed[i], v);
	}
	ready = true;
	return env;
}

void set_identity(struct proc_spec *s, uid_t uid)
{
	if (!paths_system_mode())
		return;
	s->set_ids = true;
	s->uid = uid;
	s->gid = uid;
}

int role_spawn(struct proc *ret, const char *program, const char *const *argv, uid_t uid, const struct fd_place *fds, size_t n,
	       int log, struct err *e)
{
	_cleanup_fd_ int log_fd = log;
	char path[PATH_MAX];
	struct proc_spec s = { .path = path_program(path, program), .argv = argv, .envp = spawner_env(), .new_session = true };

	if (log < 0)
		return log;
	for (size_t i = 0; i < n; i++) {
		s.fds[s.n_fds].fd = fds[i].fd;
		s.fds[s.n_fds++].as = fds[i].as;
	}
	s.fds[s.n_fds].fd = log_fd;
	s.fds[s.n_fds++].as = STDERR_FILENO;
	s.rlimits[0].resource = RLIMIT_CORE;
	s.n_rlimits = 1;
	s.confine.no_new_privs = true;
	set_identity(&s, uid);
	return proc_spawn(ret, &s, e);
}

static const char *number(char out[16], uint32_t v)
{
	if (str_printf(out, 16, "%u", v) < 0)
		abort();
	return out;
}

int start_qrexec_daemon(struct proc *ret, const struct ipc_sp_start_role *q, const int *fds, int channel, struct err *e)
{
	char id[16];
	const char *argv[] = { "qrexec-daemon", "--link", "--qid", number(id, q->qid), "--name", q->name, "--uuid", q->uuid,
			       "--default-user", q->default_user, NULL };
	struct fd_place places[] = { { channel, QREXECD_FD_LINK }, { fds[RS_QREXEC], QREXECD_FD_CLIENTS },
				     { fds[RS_QREXEC_CTL], QREXECD_FD_CTL } };

	return role_spawn(ret, "qrexec-daemon", argv, ID_QUBE + q->qid, places, ARRAY_SIZE(places), log_open("qrexec-daemon", q->name, e), e);
}

int start_qubesdb_daemon(struct proc *ret, const struct ipc_sp_start_role *q, const int *fds, int channel, struct err *e)
{
	const char *name = q->name;
	char id[16];
	const char *argv[] = { "qubesdb-daemon", "--link", "--qid", number(id, q->qid), "--name", name, NULL };
	struct fd_place places[] = { { channel, QUBESDBD_FD_LINK }, { fds[RS_QDB], QUBESDBD_FD_RW }, { fds[RS_QDB_RO], QUBESDBD_FD_RO } };

	return role_spawn(ret, "qubesdb-daemon", argv, ID_QUBE + q->qid, places, ARRAY_SIZE(places), log_open("qubesdb-daemon", name, e), e);
}

static void close_all(int (*fds)[RS_N])
{
	for (size_t i = 0; i < RS_N; i++)
		fd_closep(&(*fds)[i]);
}

/* The sockets of the dead role are bound anew: nobody else has their descriptors. */
static int restart(struct proc *ret, const struct ipc_sp_start_role *q, int channel, struct err *e)
{
	_cleanup_(close_all) int fds[RS_N] = { -1, -1, -1, -1, -1, -1, -1 };
	bool qrexec = q->role == ROLE_QREXEC_DAEMON;
	const enum role_sock a = qrexec ? RS_QREXEC : RS_QDB, b = qrexec ? RS_QREXEC_CTL : RS_QDB_RO;

	fds[a] = sock_bind(a, q->qid, q->name, e);
	if (fds[a] < 0)
		return fds[a];
	fds[b] = sock_bind(b, q->qid, q->name, e);
	if (fds[b] < 0)
		return fds[b];
	return qrexec ? start_qrexec_daemon(ret, q, fds, channel, e) : start_qubesdb_daemon(ret, q, fds, channel, e);
}

static int check_role(const struct ipc_sp_start_role *q, struct err *e)
{
	struct qname name;
	struct uuid uuid;
	char path[PATH_MAX];
	int r = qname_parse(&name, q->name, e), fd;

	if (r < 0)
		return r;
	if (q->role != ROLE_QREXEC_DAEMON && q->role != ROLE_QUBESDB_DAEMON)
		return err_set(e, EINVAL, "role %u is not started alone", q->role);
	if (uuid_parse(&uuid, q->uuid) < 0)
		return err_set(e, EINVAL, "uuid is not valid");
	if (!q->default_user[0] || q->default_user[0] == '-' || !str_chars(q->default_user, "_-."))
		return err_set(e, EINVAL, "default user is not valid");
	fd = unix_connect(sock_path(path, RS_CHAN, q->qid, q->name), SOCK_SEQPACKET, e);
	if (fd < 0)
		return err_add(e, fd, "qube %u does not run", q->qid);
	close(fd);
	return 0;
}

int on_start_role(struct spawner *s, struct msg *m, struct err *e)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_fd_ int ours = -1, theirs = -1;
	struct ipc_sp_start_role q;
	struct rd rd = msg_rd(m);
	uint64_t start = 0;
	int pair[2], r;

	if (ipc_get_sp_start_role(&rd, &q) < 0 || !rd_done(&rd))
		return err_set(e, EBADMSG, "malformed request");
	r = check_role(&q, e);
	if (r < 0)
		return r;
	if (unix_pair(SOCK_SEQPACKET, pair) < 0)
		return err_errno(e, errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	r = restart(&p, &q, theirs, e);
	if (r < 0)
		return r;
	r = limits_enter(s, q.qid, p.pid, e);
	if (r < 0)
		return r;
	if (proc_start_time(p.pid, &start) == 0)
		(void)pids_append(q.qid, q.role, p.pid, start, NULL);
	child_add(s, &p, (uint32_t)p.pid, q.qid, q.role);
	reply(s, m, NULL, &ours, 1);
	return 0;
}

/* Readable too: who writes it moves it aside when it is full. The group of the directory, whose members may look into all logs, may read it. */
static int open_kept_log(enum path_id id, struct err *e)
{
	_cleanup_fd_ int fd = open(path_get(id), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat dir;

	if (fd < 0)
		return err_errno(e, errno, "opening '%s'", path_get(id));
	if (paths_system_mode() && (stat(path_get(PATH_LOG), &dir) < 0 || fchown(fd, (uid_t)-1, dir.st_gid) < 0 || fchmod(fd, 0640) < 0))
		return err_errno(e, errno, "'%s'", path_get(id));
	return STEAL_FD(fd);
}

int on_start_policyd(struct spawner *s, struct msg *m, struct err *e)
{
	const char *argv[] = { "policyd", paths_system_mode() ? NULL : "--root", paths_root(), NULL };
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_fd_ int ours = -1, theirs = -1;
	struct ipc_sp_start_policyd q;
	struct rd rd = msg_rd(m);
	_cleanup_fd_ int log = -1, old = -1;
	struct fd_place places[3];
	int pair[2], r;

	if (ipc_get_sp_start_policyd(&rd, &q) < 0 || !rd_done(&rd))
		return err_set(e, EBADMSG, "malformed request");
	if (unix_pair(SOCK_SEQPACKET, pair) < 0)
		return err_errno(e, errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	log = open_kept_log(PATH_POLICY_LOG, e);
	old = open_kept_log(PATH_POLICY_LOG_OLD, e);
	if (log < 0 || old < 0)
		return log < 0 ? log : old;
	places[0] = (struct fd_place){ theirs, POLICYD_FD_CORE };
	places[1] = (struct fd_place){ log, POLICYD_FD_LOG };
	places[2] = (struct fd_place){ old, POLICYD_FD_LOG_OLD };
	r = role_spawn(&p, "policyd", argv, ID_POLICYD, places, 3, log_open("policyd", NULL, e), e);
	if (r < 0)
		return r;
	child_add(s, &p, (uint32_t)p.pid, 0, ROLE_POLICYD);
	reply(s, m, NULL, &ours, 1);
	return 0;
}

int on_trace_log(struct spawner *s, struct msg *m, struct err *e)
{
	_cleanup_fd_ int log = open_kept_log(PATH_TRACE_LOG, e);
	_cleanup_fd_ int old = log < 0 ? -1 : open_kept_log(PATH_TRACE_LOG_OLD, e);
	struct ipc_sp_trace_log q;
	struct rd rd = msg_rd(m);

	if (ipc_get_sp_trace_log(&rd, &q) < 0 || !rd_done(&rd))
		return err_set(e, EBADMSG, "malformed request");
	if (old < 0)
		return log < 0 ? log : old;
	reply(s, m, NULL, (int[]){ log, old }, 2);
	return 0;
}
