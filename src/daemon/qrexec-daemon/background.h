/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qrexec-daemon without --direct: a detached daemon, and a parent that waits for it. */
#ifndef QREXEC_DAEMON_BACKGROUND_H
#define QREXEC_DAEMON_BACKGROUND_H

#include "base/err.h"

/* background_start starts the daemon with the same arguments and gives this process's exit status: 0 when the agent was met (at once with
   $QREXEC_STARTUP_NOWAIT), 3 when it was not in time or there is no vchan, 1 when nothing could be started. paths_init was called. */
int background_start(int argc, char **argv, const char *name, bool quiet);
/* background_ready tells that parent, from the daemon, that the agent is there. Once. */
void background_ready(void);
/* background_timeout_s: how long an agent may take, from $QREXEC_STARTUP_TIMEOUT. */
unsigned background_timeout_s(void);

#endif
