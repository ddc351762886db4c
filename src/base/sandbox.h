/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sandbox profiles as data (sandbox.def). A role calls sandbox_enter once, after it has its descriptors and libraries and before
 * it reads a foreign byte: namespaces, a minimal or empty root, rlimits, no_new_privs, dumpable=0, Landlock, and seccomp last.
 * Forbidden calls kill the process (SECCOMP_RET_KILL_PROCESS), but: socket() of a family other than AF_UNIX fails with EPERM, calls that
 * name a path fail with EACCES in profiles without files, and io_uring and clone3 with ENOSYS (libraries then fall back).
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include "base/err.h"

enum sandbox_profile {
#define SANDBOX(symbol, name, ...) SB_##symbol,
#include "base/sandbox.def"
	SB_N
};

/* File trees that a profile may reach. They keep their absolute paths; in profiles with a minimal root nothing else exists. */
struct sandbox_path {
	const char *path; /* absolute; one that does not exist is left out */
	bool write;
	bool dev; /* a device node */
};

/* sandbox_enter confines this process for good. It must have a single thread. paths: the only file trees that stay reachable (profiles with
   SBF_ROOT or SBF_LANDLOCK; at most 60). Fails closed: when a part cannot be set up the process must exit; the text says which.
   Builds with the address sanitizer leave out the seccomp part, whose lists do not cover its run-time, and honour
   $BULKHEAD_SANDBOX=off, which leaves out everything; other builds ignore the variable. */
int sandbox_enter(enum sandbox_profile profile, const struct sandbox_path *paths, size_t n_paths, struct err *e);
/* sandbox_prepare does beforehand what sandbox_enter needs of the system call filter, which is most of its time; optional. Without
   memory or library it does nothing, and sandbox_enter does it all. A forked process has what its parent prepared. */
void sandbox_prepare(enum sandbox_profile profile);
const char *sandbox_name(enum sandbox_profile profile);
/* sandbox_has_seccomp is false in builds that leave out the seccomp part. */
bool sandbox_has_seccomp(void);

#endif
