/* SPDX-License-Identifier: GPL-3.0-or-later */
/* May the host take one more machine: is there memory for it, and would its memory stay in memory. */
#ifndef SPAWNER_ADMIT_H
#define SPAWNER_ADMIT_H

#include "base/err.h"

/* Memory that a starting machine has not touched yet, kept apart for it so long. */
#define ADMIT_WARM_UP_US (60ull * 1000000)
#define ADMIT_RESERVE_MIB 256 /* the host's own */

struct admit {
	struct admit_start {
		uint32_t pid;
		uint64_t start;	 /* of the process, see proc_start_time */
		uint64_t need_mib, until_us;
	} starts[64]; /* the oldest gives way */
	size_t next;
};

/* admit_memory: -AE_MEMORY's text and -ENOMEM when need_mib and what is kept apart for others do not fit into what the host has free without swapping.
   root: "" or a directory in whose place of / the kernel's files are read (tests). */
int admit_memory(const struct admit *a, const char *root, uint64_t now_us, uint64_t need_mib, const char *name, struct err *e);
/* admit_started keeps the memory of a machine apart until it has touched it, or for ADMIT_WARM_UP_US. */
void admit_started(struct admit *a, uint32_t pid, uint64_t start, uint64_t need_mib, uint64_t now_us);
/* admit_secret: 0 when every active swap of the host is encrypted or in memory; else -EPERM with a text that names the one that is not. */
int admit_secret(const char *root, struct err *e);

#endif
