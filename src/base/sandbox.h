/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sandbox profiles as data (sandbox.def). A role calls sandbox_enter once, after it has its descriptors and libraries and before
 * it reads a foreign byte: namespaces, an empty root, rlimits, no_new_privs, dumpable=0, Landlock, and seccomp last.
 * Forbidden calls kill the process (SECCOMP_RET_KILL_PROCESS).
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include "base/err.h"

enum sandbox_profile {
#define SANDBOX(symbol, name, ...) SB_##symbol,
#include "base/sandbox.def"
#undef SANDBOX
	SB_N
};

/* Directories that a profile with Landlock rules may reach. */
struct sandbox_path {
	const char *path;
	bool write;
};

/* sandbox_enter confines this process for good. paths: the only file trees that stay reachable (profiles with SBF_FS). Fails
   closed: when a part cannot be set up the process must exit; the text says which. $BULKHEAD_SANDBOX=off is honoured only by builds
   with sanitizers, whose run-time needs more calls than the profiles allow; they keep everything but the seccomp part. */
int sandbox_enter(enum sandbox_profile profile, const struct sandbox_path *paths, size_t n_paths, struct err *e);
const char *sandbox_name(enum sandbox_profile profile);

#endif
