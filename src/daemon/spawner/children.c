/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Processes: their ends, the right to end them, and what they use. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/spawner/spawner.h"

struct child {
	struct child *next;
	struct spawner *s;
	struct proc p;
	struct ev_io *io;
	uint64_t start;
	uint32_t told, qid;
	uint8_t role;
};

static void unlink_child(struct child *c)
{
	for (struct child **p = &c->s->children; *p; p = &(*p)->next) {
		if (*p != c)
			continue;
		*p = c->next;
		return;
	}
}

static void on_end(struct ev_io *io, int fd, int events, void *arg)
{
	struct child *c = arg;
	struct ipc_sp_exit m = { .pid = c->told, .qid = c->qid, .role = c->role };
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	int status = 0, r = proc_wait(&c->p, 0, &status);

	if (r == -ETIMEDOUT)
		return;
	/* proc_wait has closed the descriptor: a process started below may get its number, which must not be watched any more then. */
	ev_io_free(c->io);
	m.status = (uint32_t)status;
	ipc_put_sp_exit(&w, &m);
	/* A worker's end is part of its answer. */
	if (c->role != ROLE_IMAGE_WORKER)
		log_info("%s of qube %u (pid %u) ended, code %d", ipc_role_name(c->role), c->qid, c->told, proc_exit_code(status));
	if (c->role != ROLE_IMAGE_WORKER &&
	    msg_send(SPAWNER_FD_CORE, IPC_SP_EXIT, 0, 0, &w, NULL, 0) < 0)
		ev_stop(c->s->loop, 1);
	if (c->role == ROLE_QEMU)
		source_ended(c->s, c->qid);
	if (c->role == ROLE_SVC_RUNNER)
		runner_refill(c->s);
	unlink_child(c);
	free(c);
}

void child_add(struct spawner *s, struct proc *p, uint32_t told, uint32_t qid, uint8_t role)
{
	struct child *c = xcalloc(1, sizeof *c);

	*c = (struct child){ .next = s->children, .s = s, .p = *p, .told = told, .qid = qid, .role = role };
	*p = PROC_INIT;
	if (proc_start_time(c->p.pid, &c->start) < 0)
		c->start = 0;
	s->children = c;
	c->io = ev_io_new(s->loop, c->p.pidfd, EV_READ, on_end, c);
	if (!c->io)
		log_error("cannot watch pid %d", (int)c->p.pid);
}

static int pids_path(char out[PATH_MAX], const char *qid)
{
	path_fmt(out, PATH_QUBE_RUN, "/%s/pids", qid);
	return 0;
}

int pids_append(uint32_t qid, uint8_t role, pid_t pid, uint64_t start, struct err *e)
{
	char path[PATH_MAX], line[80];
	_cleanup_fd_ int fd = -1;
	int r;

	path_fmt(path, PATH_QUBE_RUN, "/%u/pids", qid);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(e, errno, "'%s'", path);
	r = str_printf(line, sizeof line, "%s %d %llu\n", ipc_role_name(role), (int)pid, (unsigned long long)start);
	if (r >= 0)
		r = write_full(fd, line, strlen(line));
	return r < 0 ? err_errno(e, -r, "'%s'", path) : 0;
}

/* One line "ROLE PID START". */
static bool line_names(struct rd line, pid_t pid, uint64_t start)
{
	struct rd role = rd_until(&line, ' '), number = rd_until(&line, ' ');
	char want_pid[24], want_start[24];

	if (!rd_ok(&role) || !rd_ok(&number) || str_printf(want_pid, sizeof want_pid, "%d", (int)pid) < 0 ||
	    str_printf(want_start, sizeof want_start, "%llu", (unsigned long long)start) < 0)
		return false;
	return rd_eq(&number, want_pid) && rd_eq(&line, want_start);
}

static bool file_names(const char *qid, pid_t pid, uint64_t start)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	struct rd r, line;
	struct stat st;
	size_t len;

	/* In system mode the directory is the core's, which must not be able to name processes by a file of its own. */
	if (pids_path(path, qid) < 0 || lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1 ||
	    fs_read(AT_FDCWD, path, 65536, &text, &len, NULL) < 0)
		return false;
	r = rd_mem(text, len);
	while (rd_line(&r, &line))
		if (line_names(line, pid, start))
			return true;
	return false;
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

bool child_known(const struct spawner *s, pid_t pid, uint64_t start)
{
	_cleanup_(closedirp) DIR *d = NULL;
	struct dirent *ent;
	uint64_t qid;

	for (const struct child *c = s->children; c; c = c->next)
		if (c->p.pid == pid && c->start == start && start)
			return true;
	d = opendir(path_get(PATH_QUBE_RUN));
	while (d && (ent = readdir(d)))
		if (str_u64(ent->d_name, UINT32_MAX, &qid) == 0 && file_names(ent->d_name, pid, start))
			return true;
	return false;
}

/* A held process: its number cannot come to mean another one while the descriptor is open. */
static int hold(const struct spawner *s, uint32_t pid, uint64_t start, struct err *e)
{
	int fd;

	if (pid == 0 || pid > INT_MAX || !child_known(s, (pid_t)pid, start))
		return err_set(e, EPERM, "pid %u is not a process of this instance", pid);
	fd = proc_open_checked((pid_t)pid, start);
	return fd < 0 ? err_errno(e, -fd, "pid %u", pid) : fd;
}

int on_kill(struct spawner *s, struct msg *m, struct err *e)
{
	struct ipc_sp_kill q;
	struct rd r = msg_rd(m);
	_cleanup_fd_ int fd = -1;

	if (ipc_get_sp_kill(&r, &q) < 0 || !rd_done(&r))
		return err_set(e, EBADMSG, "malformed request");
	fd = hold(s, q.pid, q.start, e);
	if (fd < 0)
		return fd;
	if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0)
		return err_errno(e, errno, "killing pid %u", q.pid);
	reply(s, m, NULL, NULL, 0);
	return 0;
}

/* A "Key:   N kB" line. */
static uint64_t kib_of(const char *text, const char *key)
{
	const char *p = strstr(text, key);
	char num[24];
	uint64_t v;

	if (!p)
		return 0;
	p += strlen(key);
	p += strspn(p, ": \t");
	if (str_printf(num, sizeof num, "%.*s", (int)strspn(p, "0123456789"), p) < 0 || str_u64(num, UINT64_MAX, &v) < 0)
		return 0;
	return v;
}

int on_usage(struct spawner *s, struct msg *m, struct err *e)
{
	struct ipc_sp_usage_req q;
	struct ipc_sp_usage u = { 0 };
	struct rd rd = msg_rd(m);
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = -1;
	char path[48];
	int r;

	if (ipc_get_sp_usage_req(&rd, &q) < 0 || !rd_done(&rd))
		return err_set(e, EBADMSG, "malformed request");
	fd = hold(s, q.pid, q.start, e);
	if (fd < 0)
		return fd;
	r = proc_cpu_ms((pid_t)q.pid, &u.cpu_ms);
	if (r < 0)
		return err_errno(e, -r, "pid %u", q.pid);
	if (str_printf(path, sizeof path, "/proc/%u/smaps_rollup", q.pid) == 0 &&
	    fs_read(AT_FDCWD, path, 65536, &text, NULL, NULL) >= 0) {
		u.rss_kib = kib_of(text, "\nRss");
		u.private_kib = kib_of(text, "\nPrivate_Dirty");
	}
	ipc_put_sp_usage(&w, &u);
	reply(s, m, &w, NULL, 0);
	return 0;
}
