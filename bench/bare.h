/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server that does nothing: how fast this machine lets two processes exchange a request and an answer. What a real server cannot undercut. */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* bare_start starts a process that listens on path and answers each connection with these bytes: after the first ones it got, or (until_eof) when
   the client has ended its request. Its connections are otherwise treated as our servers treat them. -errno. */
pid_t bare_start(const char *path, const void *answer, size_t n, bool until_eof);
void bare_stop(pid_t pid);

#endif
