/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The half of proc_spawn that runs in the child before exec. Private to base/proc.c. */
#ifndef BASE_PROC_CHILD_H
#define BASE_PROC_CHILD_H

#include "base/proc.h"

struct proc_child {
	const struct proc_spec *spec;
	int null_fd;
	pid_t parent;
	uid_t euid;
	gid_t egid;
	bool change_ids; /* the child gets an identity other than the caller's */
	gid_t groups[256];
	size_t n_groups;
	/* results, read by the parent after the child has called exec or ended */
	const char *step;
	int error; /* positive errno; 0 = exec succeeded */
};

int proc_child_main(void *arg);

#endif
