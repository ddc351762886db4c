/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The channel of a role (qrexec-daemon, qubesdb-daemon) to its linkd: many LC_ requests at a time over one inherited SEQPACKET
 * socket. For the event loop of a daemon: watch lc_fd for reading and call lc_dispatch. Programs with one request use chan.h.
 */
#ifndef CHAN_LC_H
#define CHAN_LC_H

#include "base/err.h"

struct lc;

/* The end of a request. fd >= 0: the vchan (non-blocking; the callee's; -1 for a grant); fd < 0 and code < 0: why it failed. */
typedef void (*lc_fn)(int fd, int code, const char *text, void *arg);

/* lc_new takes fd, a connected SEQPACKET socket, for the life of the process. */
struct lc *lc_new(int fd);
int lc_fd(const struct lc *lc);
/* lc_connect (peer is the qube, not told to the mux), lc_grant: fn is called once, from lc_dispatch. A CONNECT to a qube whose
   agent is not there yet waits, through restarts of the agent. Gives the request's id (> 0) or -errno. At most 256 at a time. */
int lc_connect(struct lc *lc, uint32_t port, lc_fn fn, void *arg);
/* lc_grant lets one dom0 client LISTEN on a data port of this qube, once, within 130 s. */
int lc_grant(struct lc *lc, uint32_t port, lc_fn fn, void *arg);
/* lc_dispatch handles what has arrived. Gives 0, or a negative code when linkd has gone or broke the protocol (then the role ends). */
int lc_dispatch(struct lc *lc, struct err *e) _must_check_;

#endif
