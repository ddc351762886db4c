/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests of the reference's sockets: policy.sock and the two EvalX services. Decoders only. */
#ifndef POLICYD_REQUEST_H
#define POLICYD_REQUEST_H

#include "base/err.h"
#include "base/rd.h"

#define PD_REQUEST_MAX 70000 /* a service with its argument may have 65000 bytes */

struct pd_request {
	char source[256], target[256], requested_source[256];
	char *service; /* own memory; "name" */
	char *argument; /* own memory; "+…" */
	bool assume_yes, just_evaluate;
};

/* pd_request_parse decodes the lines of policy.sock including the empty last one: 1, 0 when the empty line is not there yet, -EBADMSG.
   Release with pd_request_fini. */
int pd_request_parse(struct pd_request *ret, struct rd r);
/* pd_eval_parse decodes descriptor + NUL + SOURCE NUL TARGET, after the end of file; caller gets the calling qube. 0 or -EBADMSG. */
int pd_eval_parse(struct pd_request *ret, char *caller, size_t cap, struct rd r);
void pd_request_fini(struct pd_request *q);

#endif
