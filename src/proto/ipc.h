/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Payloads of the messages between our own processes, made from ipc.def. For each row NAME: struct ipc_NAME,
 * ipc_put_NAME (appends to a writer; poisons it when a text is too long) and ipc_get_NAME (0, or -EBADMSG when short; leaves the rest
 * of the reader, so that rows with a trailing payload can go on; check rd_done afterwards when there is none).
 */
#ifndef PROTO_IPC_H
#define PROTO_IPC_H

#include "base/err.h"
#include "base/msg.h"
#include "base/rd.h"
#include "base/wr.h"

#define IPC_VERSION 1

enum ipc_type {
#define IPC(symbol, number, name, fields) IPC_##symbol = number,
#include "proto/ipc.def"
#undef IPC
};

#define U8(f) uint8_t f;
#define U32(f) uint32_t f;
#define U64(f) uint64_t f;
#define S(f, cap) char f[cap];
#define IPC(symbol, number, name, fields) struct ipc_##name { fields };
#include "proto/ipc.def"
#undef IPC
#undef U8
#undef U32
#undef U64
#undef S

#define IPC(symbol, number, name, fields)                                                          \
	void ipc_put_##name(struct wr *w, const struct ipc_##name *m);                             \
	int ipc_get_##name(struct rd *r, struct ipc_##name *ret) _must_check_;
#include "proto/ipc.def"
#undef IPC

/* ipc_name gives the symbol of a type for logs, "?" when unknown. */
const char *ipc_type_name(uint32_t type);

/* Error replies: i32 code + text. ipc_send_err answers a request with MSG_F_REPLY | MSG_F_ERROR. */
int ipc_send_err(int fd, uint32_t type, uint32_t serial, int code, const struct err *e);
int ipc_send_ok(int fd, uint32_t type, uint32_t serial);
/* ipc_reply_err: 0 for a good reply; for an error reply its negative code, with the text put into e. */
int ipc_reply_err(const struct msg *m, struct err *e);

enum ipc_role {
	ROLE_QEMU, ROLE_LINKD, ROLE_QREXEC_DAEMON, ROLE_QUBESDB_DAEMON, ROLE_POLICYD, ROLE_IMAGE_WORKER, ROLE_SVC_RUNNER, ROLE_DOM0_CLIENT,
	ROLE_STATE_HOLDER, ROLE_UPLINK, ROLE_N
};
const char *ipc_role_name(uint8_t role);

enum sp_start_flag {
	SP_RAM_ONLY = 1,      /* nothing that the qube writes or prints reaches a file: disks in memory, no logs */
	SP_SWAP_OK = 2,	      /* although the host swaps to a disk that is not encrypted */
	SP_RAM_DISKS = 8,     /* disks that end with the qube are in memory (volumes that are ephemeral) */
	SP_MEMORY_UNSEEN = 4, /* start without asking whether there is memory for it */
};

/* The second row: saved states, docs/states.md §3 */
enum ld_cmd {
	LD_CONT, LD_STOP, LD_POWERDOWN, LD_QUIT,
	LD_FREEZE, LD_SAVE, LD_LOAD, LD_WAKE,
	LD_CMD_N
};
enum ld_event {
	LD_EV_CONSOLE = 1, /* first byte from the guest's console */
	LD_EV_LINK_UP,	   /* agentd said hello */
	LD_EV_LINK_DOWN,
	LD_EV_PAUSED,
	LD_EV_RUNNING,
	LD_EV_SHUTDOWN,	   /* guest powered off; QEMU is about to end */
	LD_EV_CRASHED,	   /* guest panic or QEMU internal error */
	LD_EV_ROLE_GONE,   /* detail = enum ipc_role */
	LD_EV_CALL,	   /* a data channel has ended: detail = port, text = peer and the time of the other end's first byte after HELLO */
	LD_EV_READY,	   /* the guest of a source has started everything and waits for LD_FREEZE */
	LD_EV_DISK_ERROR,  /* detail = enum ld_disk_error bits, text = disk, operation and reason; told again after LD_HELLO while it lasts */
	LD_EV_NIC_GONE,	   /* detail = root port that is free again */
	LD_EV_N
};
enum ld_disk_error { LD_DISK_STOPPED = 1, LD_DISK_FULL = 2 }; /* the machine stands still because of it; there is no room */
enum ld_state { LD_ST_PRELAUNCH, LD_ST_RUNNING, LD_ST_PAUSED, LD_ST_SHUTDOWN, LD_ST_CRASHED, LD_ST_N };
enum ipc_accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };
enum qd_event { QD_EV_AGENT_UP = 1, QD_EV_AGENT_DOWN, QD_EV_CALL_DONE, QD_EV_REQUEST };
/* of QD_EV_REQUEST: peer = the request that policyd is asked about, port = the low half of now_us */

#endif
