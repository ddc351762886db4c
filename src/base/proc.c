/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Starting programs: the parent's half prepares everything that allocates, the child's half (proc_child.c) only makes
 * system calls. The child borrows the parent's memory until exec (as vfork does), so the cost does not grow with the parent.
 */
#include "base/proc.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/proc_child.h"
#include "base/str.h"

/* Not there in the static programs of a qube, which would need the libc's modules at run time: they give groups by number. */
#pragma weak getgrouplist

#define CHILD_STACK (128 * 1024)
#define GROUPS_MAX 256

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

/* A sanitizer's shadow memory must not be shared with the child: there it gets a copy, as fork would give. */
#ifdef SANITIZED
#define CLONE_HOW (CLONE_VFORK | CLONE_PIDFD | SIGCHLD)
#define MAP_HOW MAP_SHARED
#else
#define CLONE_HOW (CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD)
#define MAP_HOW MAP_PRIVATE
#endif

static int check_spec(const struct proc_spec *s, struct err *e)
{
	if (!s->path || s->path[0] != '/')
		return err_set(e, EINVAL, "'%s' is not an absolute path of a program", s->path ? s->path : "");
	if (!s->argv || !s->argv[0])
		return err_set(e, EINVAL, "starting '%s': no arguments", s->path);
	if (s->n_fds > PROC_FDS_MAX || s->n_rlimits > ARRAY_SIZE(s->rlimits) ||
	    s->confine.n_root > ROOTFS_BINDS_MAX)
		return err_set(e, E2BIG, "starting '%s': too many descriptors, limits or binds", s->path);
	for (size_t i = 0; i < s->n_fds; i++)
		if (s->fds[i].fd < 0 || s->fds[i].as < 0)
			return err_set(e, EBADF, "starting '%s': descriptor %zu is not open", s->path, i);
	return 0;
}

static int supplementary_groups(struct proc_child *c, struct err *e)
{
	const struct proc_spec *s = c->spec;
	int n = GROUPS_MAX;

	c->n_groups = 0;
	if (!s->set_ids)
		return 0;
	if (!s->init_groups) {
		if (s->n_groups > GROUPS_MAX)
			return err_set(e, E2BIG, "more than %d groups", GROUPS_MAX);
		if (s->n_groups)
			memcpy(c->groups, s->groups, s->n_groups * sizeof *s->groups);
		c->n_groups = s->n_groups;
		return 0;
	}
	if (!getgrouplist)
		return err_set(e, ENOSYS, "a static program cannot look up the groups of '%s'", s->init_groups);
	if (getgrouplist(s->init_groups, s->gid, c->groups, &n) < 0)
		return err_set(e, E2BIG, "user '%s' is in more than %d groups", s->init_groups, GROUPS_MAX);
	c->n_groups = (size_t)n;
	return 0;
}

static int namespace_flags(const struct proc_child *c)
{
	const struct proc_confine *k = &c->spec->confine;
	int flags = 0;

	/* With another uid the user namespace is entered after the change, which needs the outer privileges. */
	if (k->userns && !c->change_ids)
		flags |= CLONE_NEWUSER;
	flags |= k->netns ? CLONE_NEWNET : 0;
	flags |= k->ipcns ? CLONE_NEWIPC : 0;
	flags |= k->pidns ? CLONE_NEWPID : 0;
	flags |= k->utsns ? CLONE_NEWUTS : 0;
	flags |= k->root ? CLONE_NEWNS : 0;
	return flags;
}

/* The child's writes to its /proc files need a dumpable process; the changed state is shared memory, hence restored. */
static int start_child(struct proc_child *c, char *stack, int *ret_pidfd)
{
	int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	sigset_t all, old;
	int pid, saved;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (c->spec->confine.userns && dumpable == 0)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	pid = clone(proc_child_main, stack + CHILD_STACK, CLONE_HOW | namespace_flags(c), c,
		    ret_pidfd);
	saved = errno;
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != dumpable)
		prctl(PR_SET_DUMPABLE, dumpable == 1 ? 1 : 0, 0, 0, 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid < 0 ? -saved : pid;
}

static void reap(int pidfd)
{
	siginfo_t si;

	while (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED) < 0 && errno == EINTR)
		;
}

int proc_spawn(struct proc *ret, const struct proc_spec *s, struct err *e)
{
	size_t size = CHILD_STACK + sizeof(struct proc_child);
	_cleanup_fd_ int null = -1;
	struct proc_child *c;
	int r = check_spec(s, e), pidfd = -1;
	char *map;

	if (r < 0)
		return r;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return err_errno(e, errno, "opening /dev/null");
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_HOW | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return err_errno(e, errno, "memory for a child");
	c = (struct proc_child *)(void *)(map + CHILD_STACK);
	c->spec = s;
	c->null_fd = null;
	c->parent = getpid();
	c->euid = geteuid();
	c->egid = getegid();
	c->change_ids = s->set_ids && (c->euid == 0 || s->uid != c->euid || s->gid != c->egid);
	c->step = "clone";
	r = supplementary_groups(c, e);
	if (r == 0) {
		r = start_child(c, map, &pidfd);
		if (r < 0)
			(void)err_errno(e, -r, "starting '%s': clone", s->path);
	}
	if (r > 0 && c->error) {
		reap(pidfd);
		close(pidfd);
		r = err_errno(e, c->error, "starting '%s': %s", s->path, c->step);
	}
	munmap(map, size);
	if (r < 0)
		return r;
	*ret = (struct proc){ .pid = r, .pidfd = pidfd };
	return 0;
}

static int status_of(const siginfo_t *si)
{
	if (si->si_code == CLD_EXITED)
		return (si->si_status & 0xff) << 8;
	return (si->si_status & 0x7f) | (si->si_code == CLD_DUMPED ? 0x80 : 0);
}

int proc_wait(struct proc *p, int timeout_ms, int *ret_status)
{
	uint64_t end = now_us() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000;
	struct pollfd pf = { .fd = p->pidfd, .events = POLLIN };
	siginfo_t si;

	if (p->pidfd < 0)
		return -ECHILD;
	for (;;) {
		uint64_t now = now_us();
		int left = timeout_ms < 0 ? -1 : now >= end ? 0 : (int)((end - now + 999) / 1000);
		int n = poll(&pf, 1, left);

		if (n > 0)
			break;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
	}
	while (waitid(P_PIDFD, (id_t)p->pidfd, &si, WEXITED) < 0)
		if (errno != EINTR)
			return -errno;
	if (ret_status)
		*ret_status = status_of(&si);
	fd_closep(&p->pidfd);
	p->pid = 0;
	return 0;
}

int proc_kill(struct proc *p, int signum)
{
	if (p->pidfd < 0)
		return -ESRCH;
	return syscall(SYS_pidfd_send_signal, p->pidfd, signum, NULL, 0) < 0 ? -errno : 0;
}

void proc_fini(struct proc *p)
{
	if (!p || p->pidfd < 0)
		return;
	(void)proc_kill(p, SIGKILL);
	(void)proc_wait(p, -1, NULL);
	fd_closep(&p->pidfd);
}

int proc_exit_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int check_status(const struct proc_spec *s, int status, struct err *e)
{
	if (status == 0)
		return 0;
	if (WIFEXITED(status))
		return err_set(e, ECHILD, "'%s' failed with code %d", s->path, WEXITSTATUS(status));
	return err_set(e, ECHILD, "'%s' was ended by signal %d", s->path, WTERMSIG(status));
}

int proc_run(const struct proc_spec *s, struct err *e)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	int status = 0, r = proc_spawn(&p, s, e);

	if (r < 0)
		return r;
	r = proc_wait(&p, -1, &status);
	return r < 0 ? err_errno(e, -r, "waiting for '%s'", s->path) : check_status(s, status, e);
}

/* Reads until end of file; -EFBIG as soon as there is more than max. */
static int drain(int fd, size_t max, char **ret, size_t *ret_len)
{
	size_t cap = MIN(max, (size_t)4096) + 1, n = 0;
	_cleanup_free_ char *buf = xmalloc(cap + 1);

	for (;;) {
		ssize_t r = read_full(fd, buf + n, cap - n);

		if (r < 0)
			return (int)r;
		n += (size_t)r;
		if (n > max)
			return -EFBIG;
		if (n < cap)
			break;
		cap = MIN(cap * 2, max + 1);
		buf = xreallocarray(buf, cap + 1, 1);
	}
	buf[n] = '\0';
	*ret = STEAL_PTR(buf);
	if (ret_len)
		*ret_len = n;
	return 0;
}

int proc_capture(const struct proc_spec *s, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_fd_ int in = -1, out = -1;
	_cleanup_free_ char *text = NULL;
	struct proc_spec own = *s;
	int fds[2], status = 0, r;
	size_t len = 0;

	if (own.n_fds >= PROC_FDS_MAX)
		return err_set(e, E2BIG, "starting '%s': too many descriptors", s->path);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	in = fds[0];
	out = fds[1];
	own.fds[own.n_fds].fd = out;
	own.fds[own.n_fds++].as = STDOUT_FILENO;
	r = proc_spawn(&p, &own, e);
	if (r < 0)
		return r;
	fd_closep(&out);
	r = drain(in, max, &text, &len);
	if (r < 0)
		return err_errno(e, -r, "output of '%s'", s->path);
	r = proc_wait(&p, -1, &status);
	if (r < 0)
		return err_errno(e, -r, "waiting for '%s'", s->path);
	r = check_status(s, status, e);
	if (r < 0)
		return r;
	*ret = STEAL_PTR(text);
	if (ret_len)
		*ret_len = len;
	return 0;
}

/* Field n (1-based, n > 2) of /proc/PID/stat. The second field is a name in brackets that may hold anything. */
static int stat_field(const char *stat, int n, uint64_t *ret)
{
	const char *p = strrchr(stat, ')');
	char digits[24];
	size_t len;

	if (!p)
		return -EBADMSG;
	p++;
	for (int field = 2; field < n; field++) {
		p = strchr(p, ' ');
		if (!p)
			return -EBADMSG;
		p++;
	}
	len = strcspn(p, " \n");
	if (len >= sizeof digits)
		return -EBADMSG;
	memcpy(digits, p, len);
	digits[len] = '\0';
	return str_u64(digits, UINT64_MAX, ret);
}

/* Field numbers as in proc(5): the name is 2, so the first blank after it starts field 3. */
static int read_fields(pid_t pid, const int *fields, size_t n, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[40];
	int r;

	if (pid <= 0 || str_printf(path, sizeof path, "/proc/%d/stat", (int)pid) < 0)
		return -ESRCH;
	r = fs_read(AT_FDCWD, path, 8192, &text, NULL, NULL);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	for (size_t i = 0; i < n; i++) {
		r = stat_field(text, fields[i], &ret[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int proc_start_time(pid_t pid, uint64_t *ret)
{
	static const int fields[] = { 22 };

	return read_fields(pid, fields, 1, ret);
}

int proc_cpu_ms(pid_t pid, uint64_t *ret)
{
	static const int fields[] = { 14, 15 };
	uint64_t t[2], hz = (uint64_t)sysconf(_SC_CLK_TCK);
	int r = read_fields(pid, fields, 2, t);

	if (r < 0)
		return r;
	*ret = (t[0] + t[1]) * 1000 / hz;
	return 0;
}

int proc_open_checked(pid_t pid, uint64_t start)
{
	_cleanup_fd_ int fd = -1;
	uint64_t now;
	int r;

	if (pid <= 0)
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	/* Read after the descriptor is held: the number cannot come to mean another process any more. */
	r = proc_start_time(pid, &now);
	if (r < 0)
		return r;
	return now == start ? STEAL_FD(fd) : -ESRCH;
}
