/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to sandbox*.c and to qube-shim, which confines QEMU: groups, flags and the two kernel filters. */
#ifndef BASE_SANDBOX_PARTS_H
#define BASE_SANDBOX_PARTS_H

#include "base/sandbox.h"

#define SANDBOX_PATHS_MAX 60

enum sandbox_group_index {
#define GROUP(symbol, ...) GI_##symbol,
#include "base/sandbox.def"
	GI_N
};
enum sandbox_group {
#define GROUP(symbol, ...) G_##symbol = 1 << GI_##symbol,
#include "base/sandbox.def"
};
enum sandbox_flag { SBF_NS = 1, SBF_ROOT = 2, SBF_LANDLOCK = 4, SBF_LOOSE = 8 };

/* Builds and loads the filter of a set of groups; no_new_privs is set already. */
int sandbox_load_seccomp(unsigned groups, struct err *e);
/* Builds it for a later sandbox_load_seccomp with the same groups. */
void sandbox_build_seccomp(unsigned groups);
/* Restricts this process to the paths. A kernel without Landlock is accepted: the minimal root has the same limits. */
int sandbox_load_landlock(const struct sandbox_path *paths, size_t n, struct err *e);
/* The same for a program that may connect to servers (it may not bind). */
int sandbox_load_landlock_inet(const struct sandbox_path *paths, size_t n, struct err *e);

#endif
