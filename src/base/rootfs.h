/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The minimal root of a confined process: a small read-only tmpfs that holds nothing but the binds named by the caller. Shared by
 * proc_spawn (in the child before exec) and sandbox_enter (in the role itself). Safe in a child that shares its parent's memory: no
 * allocation, no lock, nothing written but the caller's stack.
 */
#ifndef BASE_ROOTFS_H
#define BASE_ROOTFS_H

#include "base/defs.h"

#define ROOTFS_BINDS_MAX 64

/* A bind mount of the minimal root. */
struct proc_bind {
	const char *path; /* absolute; source and place in the new root are the same; symbolic links in it are followed */
	bool rw, dev, optional;
};

/* rootfs_enter replaces this process's root by the binds (in their order, each with the mounts below it), a private /tmp, and /proc
   when proc is set (left empty where the kernel refuses it). The caller is alone in a new mount namespace and has
   CAP_SYS_ADMIN there. Ends with the working directory "/". 0, or -errno with *ret_step naming the step that failed. */
int rootfs_enter(const struct proc_bind *binds, size_t n, bool proc, const char **ret_step);

/* userns_map writes the identity map of one uid and one gid for this process, which has just entered a new user namespace.
   procfd: descriptor of /proc/self opened before the root was replaced. 0 or -errno. */
int userns_map(int procfd, uid_t uid, gid_t gid);

/* caps_drop_all empties the bounding, ambient and own capability sets. 0 or -errno. */
int caps_drop_all(void);

#endif
