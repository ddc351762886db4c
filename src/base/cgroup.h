/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Control groups of version 2, where the service manager delegates a tree to us (system mode): the daemons in its group "daemon", each running
 * qube in a group of its own with limits. Touches nothing outside a delegated tree.
 */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H

#include <sys/types.h>

#include "base/err.h"

#define CGROUP_DAEMON "daemon"
#define CGROUP_QUBE "qube-" /* + qid */

struct cgroup_limits {
	uint64_t memory_max; /* bytes */
	uint32_t pids_max;   /* processes and threads */
	uint32_t cpu_weight; /* 1 to 10000; 100 is the usual share */
};

/* cgroup_delegate moves this process, which is alone in a delegated group, to the group "daemon" in it and hands the controllers that there are
   down. Idempotent. -ENOENT: no version 2 hierarchy, or this group is not delegated (attribute user.delegate of systemd's Delegate=). */
int cgroup_delegate(struct err *e);
/* cgroup_release takes the controllers back from the tree, for a process in one of its groups: while they are handed down a service manager
   cannot start a daemon in it again. The limits of qubes that run are gone until cgroup_restore. */
void cgroup_release(void);
/* cgroup_tree gives a descriptor of the tree whose group "daemon" this process is in; -ENOENT when it is in none. */
int cgroup_tree(struct err *e);
/* cgroup_make makes the group or finds it there, and sets its limits; a controller that the tree lacks is passed over: its bit stays clear in
   *ret_set (bit 0 memory, 1 pids, 2 cpu). */
int cgroup_make(int tree, const char *name, const struct cgroup_limits *l, unsigned *ret_set, struct err *e);
/* cgroup_restore sets the limits of all qubes' groups again, as the last cgroup_make of each did. */
void cgroup_restore(int tree);
int cgroup_enter(int tree, const char *name, pid_t pid, struct err *e);
/* cgroup_sweep removes the groups of qubes that have no process any more; the others are given to inotify descriptor watch (unless -1), which then
   becomes readable when one of them is empty. */
void cgroup_sweep(int tree, int watch);

#endif
