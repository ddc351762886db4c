/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server that does nothing: how fast this machine lets two processes exchange a request and an answer. What a real server cannot undercut. */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include "base/proc.h"

enum bare_kind { BARE_POLICY, BARE_ADMIN };

/* bare_start starts this very program once more, as a server on path that answers each connection as policy.sock (after the first bytes it got) or the Admin API
   (when the client has ended its request) does, and waits until it listens. Ended by proc_fini. -errno. */
int bare_start(struct proc *ret, const char *path, enum bare_kind kind);
/* bare_main is called first of all in main: it serves, and does not come back, when the program was started so. */
void bare_main(int argc, char **argv);
/* one_cpu keeps this process and the process pid on the first processor that this one may use, so that a figure has no wake-up of another processor in it (on a virtual
   machine those alone can take 30 us each); 0 lets both run everywhere again. -errno. */
int one_cpu(pid_t pid, bool on);

#endif
