/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Between the agent and the fork server of a user's session: a header {i32 type, i32 domain, i32 port, u32 length} in the machine's order and a command
 * line with its NUL, without the "user:" part. The server connects the data channel itself; with FORKSRV_CHAN in the type the channel comes along
 * as a descriptor, HELLO was exchanged (version in the place of the port), and the session was waited for. The connection ends with the call.
 */
#ifndef AGENT_QREXEC_AGENT_FORKSRV_H
#define AGENT_QREXEC_AGENT_FORKSRV_H

#include "proto/qrexec.h"

#define FORKSRV_HDR 16
#define FORKSRV_CHAN 0x40000000u

struct forksrv {
	uint32_t type, domain, port, len;
};

static inline void forksrv_put(struct wr *w, const struct forksrv *f)
{
	wr_u32le(w, f->type);
	wr_u32le(w, f->domain);
	wr_u32le(w, f->port);
	wr_u32le(w, f->len);
}

static inline struct forksrv forksrv_get(struct rd *r)
{
	struct forksrv f = { 0 };

	f.type = rd_u32le(r);
	f.domain = rd_u32le(r);
	f.port = rd_u32le(r);
	f.len = rd_u32le(r);
	return f;
}

#endif
