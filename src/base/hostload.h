/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the whole machine uses, as its kernel counts it in /proc. The two files are opened once, before a sandbox closes the file system, and
 * read anew each time. Knows nothing of qubes: who takes which share is the caller's to find out.
 */
#ifndef BASE_HOSTLOAD_H
#define BASE_HOSTLOAD_H

#include "base/defs.h"

struct hostload {
	int stat_fd, mem_fd; /* -1 = not there */
	unsigned cpus;	     /* that were on line when it was opened, at least 1 */
	unsigned ticks;	     /* of the kernel's counters a second */
};

struct hostload_now {
	uint64_t busy_ms; /* CPU time of all processors since the boot, without idling, waiting for disks, and what a hypervisor took */
	uint64_t mem_total_kib, mem_available_kib, swap_used_kib;
};

/* hostload_open never fails: without /proc every later read says so. */
struct hostload hostload_open(void);
void hostload_close(struct hostload *h);
/* hostload_read gives the present numbers; -ENODATA when the kernel does not tell them. */
int hostload_read(const struct hostload *h, struct hostload_now *ret) _must_check_;
/* The two texts by themselves: the first line of /proc/stat, and /proc/meminfo. -ENODATA when a number is missing. */
int hostload_parse_stat(const char *text, unsigned ticks, struct hostload_now *ret) _must_check_;
int hostload_parse_mem(const char *text, struct hostload_now *ret) _must_check_;

#endif
