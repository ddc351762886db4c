/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Complete reads and writes, clocks, unix sockets. */
#ifndef BASE_IO_H
#define BASE_IO_H

#include "base/err.h"

/* read_full reads until n bytes or end of file; gives the count or -errno. EINTR is retried; EAGAIN waits by poll. */
ssize_t read_full(int fd, void *buf, size_t n);
/* write_full writes everything or gives -errno; EAGAIN waits by poll. */
int write_full(int fd, const void *buf, size_t n);
/* now_us: CLOCK_MONOTONIC in microseconds. */
uint64_t now_us(void);
int fd_nonblock(int fd, bool on);
int fd_cloexec(int fd, bool on);
/* unix_listen binds a socket of the given SOCK_ type at path (a stale one is replaced, a live one gives -EADDRINUSE),
   mode as given; non-blocking, close-on-exec. Gives the descriptor. */
int unix_listen(const char *path, int type, unsigned mode, struct err *e);
/* unix_listen_replace is the same without the check for a live one: for paths that a lock makes ours, where the last owner may be
   ending at this moment. */
int unix_listen_replace(const char *path, int type, unsigned mode, struct err *e);
/* unix_connect gives a connected, close-on-exec socket or -errno. */
int unix_connect(const char *path, int type, struct err *e);
/* unix_pair makes a close-on-exec socketpair. */
int unix_pair(int type, int ret[2]);

#endif
