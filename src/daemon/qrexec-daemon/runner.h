/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runners of dom0 services for the direct wiring. After the first call one of them waits for the next call, already started. */
#ifndef QREXEC_DAEMON_RUNNER_H
#define QREXEC_DAEMON_RUNNER_H

#include "base/proc.h"

struct runner_call {
	const char *user, *source, *target, *service; /* target "@keyword" or a name */
	uint32_t source_id;
};

struct runners {
	struct proc spare;
	int order; /* the spare's order goes here; -1 = there is none */
};
#define RUNNERS_INIT ((struct runners){ PROC_INIT, -1 })

/* runners_run hands the call and its data channel (stays the caller's) to a runner; *ret is its process. */
int runners_run(struct runners *r, struct proc *ret, const struct runner_call *call, int chan, struct err *e);
/* runners_prepare starts the runner that waits. */
void runners_prepare(struct runners *r);
void runners_fini(struct runners *r);

#endif
