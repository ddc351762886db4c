/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When the phases of a call ended, on the monotonic clock in microseconds; 0 = not reached. Filled by whoever sees the phase. */
#ifndef QREXEC_TRACE_H
#define QREXEC_TRACE_H

#include "base/defs.h"

struct call_trace {
	uint64_t begin;	    /* the caller of this library */
	uint64_t autostart; /* the target runs */
	uint64_t request;   /* the order is accepted and has its data channel's number */
	uint64_t connect;   /* both ends of the data channel have said HELLO */
	uint64_t first;	    /* the service's first byte of output came */
	uint64_t exit;	    /* its exit code came */
};

#endif
