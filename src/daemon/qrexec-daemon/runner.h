/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runners of dom0 services for the direct wiring. From the first call on one of them waits for the next call (svc-runner --keep). */
#ifndef QREXEC_DAEMON_RUNNER_H
#define QREXEC_DAEMON_RUNNER_H

#include "base/proc.h"

struct runner_call {
	const char *user, *source, *target, *service; /* target "@keyword" or a name */
	uint32_t source_id, port;		      /* of the data channel, which the runner connects */
};

struct runners {
	struct proc keeper;
	int order; /* orders go here; -1 = no keeper runs */
};
#define RUNNERS_INIT ((struct runners){ PROC_INIT, -1 })

/* runners_run hands the call to a runner. *ret_life (the caller's) ends when the runner does; *ret is its process in the rare case that it is
   a child of this one. */
int runners_run(struct runners *r, struct proc *ret, const struct runner_call *call, int *ret_life, struct err *e);
/* runners_fini lets the keeper go; runners with a call go on. */
void runners_fini(struct runners *r);

#endif
