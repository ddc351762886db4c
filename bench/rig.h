/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of the benchmarks: how a figure is printed, and a real, confined policyd for which this process plays the core. */
#ifndef BENCH_RIG_H
#define BENCH_RIG_H

#include "base/proc.h"

struct rig {
	char root[64], sock[96]; /* the instance; its policy.sock */
	struct proc proc;
	int core;   /* the core's end of the channel */
	int daemon; /* the channel of the first qube's qrexec-daemon */
};

/* rig_start makes an instance below /tmp with this policy and these qubes (NULL-terminated) and starts policyd; ends the program when it cannot. */
void rig_start(struct rig *g, const char *policy, const char *const *qubes);
/* rig_stop ends policyd and removes the instance. */
int rig_stop(struct rig *g);
/* figure prints "name value unit n=… p10=… p50=… p95=…"; the value is the median, the note (may be NULL) goes into brackets. Sorts v. */
void figure(const char *name, double *v, size_t n, const char *unit, const char *note);
double median(double *v, size_t n);
/* must ends the program when r is negative. */
void must(int r, const char *what);

#endif
