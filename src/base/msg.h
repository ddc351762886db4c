/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages between the project's own processes: SOCK_SEQPACKET, one datagram a message. Header (16 bytes,
 * little-endian): u32 type, u32 serial, u32 payload length, u32 flags; then the payload, at most MSG_PAYLOAD_MAX bytes;
 * up to MSG_FDS_MAX descriptors beside it. Payloads are written and read only by wr_*, rd_* (proto/ipc.h).
 */
#ifndef BASE_MSG_H
#define BASE_MSG_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define MSG_PAYLOAD_MAX 65536
#define MSG_HDR_LEN 16
#define MSG_FDS_MAX 4
#define MSG_F_REPLY 1u /* answers the request of the same serial */
#define MSG_F_ERROR 2u /* reply payload is an error (ipc_put_err / ipc_get_err) */

struct msg {
	uint32_t type, serial, flags;
	uint8_t *data; /* payload; memory of the msg */
	size_t len;
	int fds[MSG_FDS_MAX]; /* received descriptors, close-on-exec; -1 = none. Take one with STEAL_FD */
	size_t n_fds;
};

/* msg_send sends one message; w may be NULL (empty payload). Descriptors stay the caller's. Blocks while the socket is full
   unless it is non-blocking: then -EAGAIN. -EMSGSIZE when the payload is too long or w is poisoned. -EPIPE when the peer left. */
int msg_send(int fd, uint32_t type, uint32_t serial, uint32_t flags, const struct wr *w, const int *fds, size_t n_fds);
/* msg_recv receives one message into ret (release with msg_fini in every case of success). Gives 1, 0 at end of file, or
   -errno: -EAGAIN when there is none, -EBADMSG when the datagram is malformed (its descriptors are closed). */
int msg_recv(int fd, struct msg *ret);
void msg_fini(struct msg *m);
static inline struct rd msg_rd(const struct msg *m)
{
	return rd_mem(m->data, m->len);
}

#define _cleanup_msg_ _cleanup_(msg_fini)

#endif
