/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * proc_spawn: the only place of the project that starts a program. The caller describes the child; everything that is not
 * described is closed or reset: descriptors, signals, environment, session. There is no shell and no PATH search.
 */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <sys/types.h>

#include "base/err.h"
#include "base/rootfs.h"

#define PROC_FDS_MAX 48

/* Confinement before exec, for foreign programs such as QEMU. All zero = none. Roles of our own use sandbox_enter instead. */
struct proc_confine {
	bool userns; /* new user namespace, the child's uid mapped to itself; all capabilities dropped unless keep_caps */
	bool netns, ipcns, pidns, utsns;
	const struct proc_bind *root; /* new mount namespace whose root holds only these binds (and /proc if pidns, a tmpfs /tmp) */
	size_t n_root;
	bool no_new_privs;
	bool keep_caps;
};

struct proc_spec {
	const char *path;	  /* absolute path of the program (never searched for) */
	const char *const *argv;  /* NULL-terminated */
	const char *const *envp;  /* NULL = empty environment but PATH and LANG=C.UTF-8 */
	const char *cwd;	  /* NULL = "/" */
	struct {
		int fd, as;
	} fds[PROC_FDS_MAX];	  /* descriptors the child gets; 0, 1, 2 not named become /dev/null */
	size_t n_fds;
	bool keep_stderr;	  /* child's 2 is our 2 (logs) */
	bool new_session;	  /* setsid */
	int death_signal;	  /* 0 = none */
	uid_t uid;		  /* used when set_ids */
	gid_t gid;
	bool set_ids;
	const char *init_groups;  /* user name for initgroups when set_ids; NULL = no supplementary groups */
	const gid_t *groups;	  /* or the groups themselves, for programs without name service; used when init_groups is NULL */
	size_t n_groups;
	struct {
		int resource;
		uint64_t soft, hard;
	} rlimits[16];
	size_t n_rlimits;
	struct proc_confine confine;
};

struct proc {
	pid_t pid;
	int pidfd; /* readable when the child has ended; -1 when not running */
};

/* proc_spawn starts the program and waits until its exec succeeded or failed; on failure the text names the step that failed and
   no child is left. *ret is the caller's: end it with proc_wait or proc_kill, then proc_fini. */
int proc_spawn(struct proc *ret, const struct proc_spec *s, struct err *e);
/* proc_wait waits up to timeout_ms (-1 = for ever) and gives the wait status through ret_status; -ETIMEDOUT. */
int proc_wait(struct proc *p, int timeout_ms, int *ret_status);
int proc_kill(struct proc *p, int signum);
/* proc_fini kills and reaps a child that still runs and closes the pidfd. NULL-safe, idempotent. */
void proc_fini(struct proc *p);
/* proc_run spawns, waits, and fails with -ECHILD and a text when the status is not 0. */
int proc_run(const struct proc_spec *s, struct err *e);
/* proc_capture is proc_run that also gives up to max bytes of the child's stdout (caller frees, NUL-terminated). */
int proc_capture(const struct proc_spec *s, size_t max, char **ret, size_t *ret_len, struct err *e);
/* proc_exit_code maps a wait status as a shell does: code, or 128 + signal. */
int proc_exit_code(int status);
/* proc_start_time gives field 22 of /proc/PID/stat (clock ticks since boot); proc_cpu_ms user + system time. -ESRCH. */
int proc_start_time(pid_t pid, uint64_t *ret);
int proc_cpu_ms(pid_t pid, uint64_t *ret);
/* proc_open_checked gives a pidfd of pid only if its start time is start; -ESRCH otherwise. */
int proc_open_checked(pid_t pid, uint64_t start);

#define _cleanup_proc_ _cleanup_(proc_fini)
#define PROC_INIT ((struct proc){ .pid = 0, .pidfd = -1 })

#endif
