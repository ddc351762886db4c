/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Priority of our daemons over the system's while a clone wakes (docs/states.md §4). Needs a kernel without automatic groups (noautogroup), in which
   such priorities would count only within a session. */
#ifndef AGENT_EARLY_CALM_H
#define AGENT_EARLY_CALM_H

#include <sys/types.h>

#include "base/rd.h"

#define CALM_MAX 128

/* Who waits. Zero: nobody. */
struct calm {
	pid_t pids[CALM_MAX], net;
	size_t n;
};

/* calm_begin makes root's programs wait (SCHED_IDLE) but this one, the n given and their children; at most CALM_MAX / 2. */
void calm_begin(struct calm *c, const pid_t *ours, size_t n);
/* calm_end lets them and what they have started meanwhile go on as before, unless those are more than CALM_MAX in all; c is zero then. */
void calm_end(struct calm *c);
/* calm_network lets the daemon of the network devices go on. */
void calm_network(const struct calm *c);
/* calm_parent finds the parent in the text of /proc/PID/stat; 0 = it is not such a text. */
pid_t calm_parent(struct rd stat);

#endif
