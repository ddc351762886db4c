/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a child does between clone and exec, in one fixed order. It shares the parent's memory and thread-local data, so it makes raw
 * system calls only: no allocation, no stdio, no libc wrapper that takes a lock or talks to other threads (setuid and friends).
 */
#include "base/proc_child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static const char *const default_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", NULL
};

static int reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < 65; i++)
		if (i != SIGKILL && i != SIGSTOP)
			(void)sigaction(i, &dfl, NULL);
	sigemptyset(&none);
	return syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8) < 0 ? -errno : 0;
}

/* Copies every wanted descriptor above all final places, so that no final place overwrites one that is still needed. */
static int lift_fds(const struct proc_spec *s, int null_fd, int high[PROC_FDS_MAX + 3],
		    int as[PROC_FDS_MAX + 3], size_t *ret_n)
{
	bool have[3] = { false };
	int base = 3;
	size_t n = 0;

	for (size_t i = 0; i < s->n_fds; i++) {
		high[n] = s->fds[i].fd;
		as[n++] = s->fds[i].as;
		base = MAX(base, s->fds[i].as + 1);
		if (s->fds[i].as < 3)
			have[s->fds[i].as] = true;
	}
	for (int i = 0; i < 3; i++) {
		if (have[i])
			continue;
		high[n] = i == 2 && s->keep_stderr ? 2 : null_fd;
		as[n++] = i;
	}
	for (size_t i = 0; i < n; i++) {
		high[i] = fcntl(high[i], F_DUPFD_CLOEXEC, base);
		if (high[i] < 0)
			return -errno;
	}
	*ret_n = n;
	return 0;
}

static int place_fds(const int *high, const int *as, size_t n)
{
	if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	for (size_t i = 0; i < n; i++)
		if (dup2(high[i], as[i]) < 0)
			return -errno;
	return 0;
}

static int set_rlimits(const struct proc_spec *s)
{
	for (size_t i = 0; i < s->n_rlimits; i++) {
		struct rlimit64 rl = { s->rlimits[i].soft, s->rlimits[i].hard };

		if (syscall(SYS_prlimit64, 0, s->rlimits[i].resource, &rl, NULL) < 0)
			return -errno;
	}
	return 0;
}

static int set_ids(const struct proc_child *c)
{
	const struct proc_spec *s = c->spec;

	if (syscall(SYS_setgroups, c->n_groups, c->groups) < 0)
		return -errno;
	if (syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0)
		return -errno;
	return syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0 ? -errno : 0;
}

/* The namespace of a child with another identity: made after the change, mapped to that identity. */
static int late_userns(const struct proc_spec *s, int procfd)
{
	/* The change of identity made this process undumpable, and then its own /proc files are not writable. */
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (syscall(SYS_unshare, CLONE_NEWUSER) < 0)
		return -errno;
	return userns_map(procfd, s->uid, s->gid);
}

static int death_signal(const struct proc_child *c)
{
	const struct proc_spec *s = c->spec;

	if (!s->death_signal)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, s->death_signal, 0, 0, 0) < 0)
		return -errno;
	/* A parent that died before the call sends nothing. In a new pid namespace its number is always seen as 0. */
	if (!s->confine.pidns && syscall(SYS_getppid) != c->parent)
		return -ESRCH;
	return 0;
}

#define STEP(text, call)                                                                           \
	do {                                                                                       \
		c->step = (text);                                                                  \
		r = (call);                                                                        \
		if (r < 0)                                                                         \
			return r;                                                                  \
	} while (0)

static int enter_root(struct proc_child *c)
{
	const struct proc_confine *k = &c->spec->confine;

	return k->root ? rootfs_enter(k->root, k->n_root, k->pidns, &c->step) : 0;
}

static int identity(struct proc_child *c, int procfd)
{
	const struct proc_confine *k = &c->spec->confine;
	int r;

	if (c->change_ids)
		STEP("identity", set_ids(c));
	if (k->userns && c->change_ids)
		STEP("user namespace", late_userns(c->spec, procfd));
	if (k->userns && !k->keep_caps)
		STEP("capabilities", caps_drop_all());
	return 0;
}

static int open_proc(void)
{
	int fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int prepare(struct proc_child *c)
{
	const struct proc_spec *s = c->spec;
	const struct proc_confine *k = &s->confine;
	int high[PROC_FDS_MAX + 3], as[PROC_FDS_MAX + 3], procfd = -1, r;
	size_t n = 0;

	STEP("signals", reset_signals());
	if (s->new_session)
		STEP("setsid", setsid() < 0 ? -errno : 0);
	STEP("descriptors", lift_fds(s, c->null_fd, high, as, &n));
	if (k->userns)
		STEP("opening /proc/self", procfd = open_proc());
	if (k->userns && !c->change_ids)
		STEP("user namespace", userns_map(procfd, c->euid, c->egid));
	r = enter_root(c);
	if (r < 0)
		return r;
	STEP("working directory", chdir(s->cwd ? s->cwd : "/") < 0 ? -errno : 0);
	STEP("limits", set_rlimits(s));
	if (k->no_new_privs)
		STEP("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0);
	r = identity(c, procfd);
	if (r < 0)
		return r;
	/* After the change of identity, which clears it. */
	STEP("death signal", death_signal(c));
	STEP("close_range", place_fds(high, as, n));
	c->step = "exec";
	syscall(SYS_execve, s->path, s->argv, s->envp ? s->envp : default_env);
	return -errno;
}

int proc_child_main(void *arg)
{
	struct proc_child *c = arg;

	c->error = -prepare(c);
	/* Not _exit, whose noreturn makes a sanitizer look for a stack that this child does not have. */
	for (;;)
		syscall(SYS_exit_group, 127);
}
