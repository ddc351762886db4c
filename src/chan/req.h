/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of chan: a request and the two transports that can carry it. */
#ifndef CHAN_REQ_H
#define CHAN_REQ_H

#include "base/err.h"

struct chan_req {
	bool unix_transport, server, gui;
	int fd;		/* what the caller polls: LC socket, listening socket, or (unix client) the timer of the next try, -1 before there is one */
	unsigned tries; /* unix client */
	char path[108];
	int memory; /* of a GUI request that was answered, -1 */
};

/* unix_req_start opens a request of the unix transport; unix_req_finish as chan_req_finish. A client has nothing to poll before its first try: unix_req_ready
   gives it a descriptor that is readable at once, for callers that finish from an event loop. It costs 50 us, which those who try first need not pay. */
int unix_req_start(struct chan_req *q, uint32_t peer, uint32_t port, struct err *e);
int unix_req_ready(struct chan_req *q, struct err *e);
int unix_req_finish(struct chan_req *q, struct err *e);

#endif
