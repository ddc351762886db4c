/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The text with which a policy daemon or program answers (docs/protocol/qrexec.md): lines key=value. Pure. */
#ifndef PROTO_POLICY_REPLY_H
#define PROTO_POLICY_REPLY_H

#include "base/err.h"
#include "base/rd.h"

#define POLICY_REPLY_MAX 4096

struct policy_reply {
	bool allow, autostart;
	char user[64], target[96], target_uuid[96], requested_target[96], policy_source[64];
	char service[1024]; /* "" = as asked */
	unsigned unknown;   /* keys that were ignored */
};

/* policy_reply_parse: -EBADMSG for anything that is not a complete reply of the format; the caller then denies. */
int policy_reply_parse(struct policy_reply *ret, struct rd r, struct err *e) _must_check_;

#endif
