/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Facts about this host that decide how well qubes are isolated and how fast they are. Read from /proc and /sys only, without privileges;
 * what cannot be read is HOST_UNKNOWN, never guessed.
 */
#ifndef VMM_HOSTFACTS_H
#define VMM_HOSTFACTS_H

#include "base/err.h"

enum host_verdict { HOST_NO, HOST_YES, HOST_UNKNOWN };

struct host_facts {
	char cpu[80], microcode[24], kernel[80], distribution[80], machine[120], bios[80];
	unsigned cpus;	  /* online */
	uint64_t memory_kib;
	enum host_verdict vmx_svm, slat; /* VT-x or AMD-V; EPT or NPT */
	enum host_verdict iommu, intremap;
	unsigned iommu_groups;
	enum host_verdict tpm;
	char tpm_version[8]; /* "1.2", "2.0" or "" */
	enum host_verdict smt_off; /* YES: no sibling threads are active */
	enum host_verdict swap_plain; /* YES: swap on a device that is not device-mapper or zram */
	enum host_verdict userns;     /* unprivileged user namespaces */
	enum host_verdict landlock, secure_boot, ksm_off, nested_guest; /* nested_guest: this host is itself a virtual machine */
	char vulnerable[400]; /* names of CPU weaknesses that the kernel reports as not mitigated, blank separated */
};

/* host_facts fills everything; it cannot fail as a whole. */
void host_facts(struct host_facts *ret);
/* host_cpu_flag is true when /proc/cpuinfo's flags name it. */
bool host_cpu_flag(const char *flag);
const char *host_verdict_word(enum host_verdict v); /* yes, no, unknown */

#endif
