/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encoders and decoders of ipc.def, and error replies. */
#include "proto/ipc.h"

#include "base/str.h"

#define U8(f) wr_u8(w, m->f);
#define U32(f) wr_u32le(w, m->f);
#define U64(f) wr_u64le(w, m->f);
#define S(f, cap) wr_lstr(w, m->f);
#define IPC(symbol, number, name, fields)                                                          \
	void ipc_put_##name(struct wr *w, const struct ipc_##name *m)                              \
	{                                                                                          \
		fields                                                                             \
	}
#include "proto/ipc.def"
#undef IPC
#undef U8
#undef U32
#undef U64
#undef S

#define U8(f) m.f = rd_u8(r);
#define U32(f) m.f = rd_u32le(r);
#define U64(f) m.f = rd_u64le(r);
#define S(f, cap) rd_lstr(r, m.f, sizeof m.f);
#define IPC(symbol, number, name, fields)                                                          \
	int ipc_get_##name(struct rd *r, struct ipc_##name *ret)                                   \
	{                                                                                          \
		struct ipc_##name m;                                                               \
                                                                                                   \
		memset(&m, 0, sizeof m);                                                           \
		fields                                                                             \
		if (!rd_ok(r))                                                                     \
			return -EBADMSG;                                                           \
		*ret = m;                                                                          \
		return 0;                                                                          \
	}
#include "proto/ipc.def"
#undef IPC
#undef U8
#undef U32
#undef U64
#undef S

const char *ipc_type_name(uint32_t type)
{
	switch (type) {
#define IPC(symbol, number, name, fields)                                                          \
	case number:                                                                               \
		return #symbol;
#include "proto/ipc.def"
#undef IPC
	default:
		return "?";
	}
}

const char *ipc_role_name(uint8_t role)
{
	static const char *const names[ROLE_N] = {
		[ROLE_QEMU] = "qemu",
		[ROLE_LINKD] = "linkd",
		[ROLE_QREXEC_DAEMON] = "qrexec-daemon",
		[ROLE_QUBESDB_DAEMON] = "qubesdb-daemon",
		[ROLE_POLICYD] = "policyd",
		[ROLE_IMAGE_WORKER] = "image-worker",
		[ROLE_SVC_RUNNER] = "svc-runner",
		[ROLE_DOM0_CLIENT] = "dom0-client",
		[ROLE_STATE_HOLDER] = "state-holder", [ROLE_UPLINK] = "uplink",
	};

	return role < ROLE_N ? names[role] : "?";
}

int ipc_send_err(int fd, uint32_t type, uint32_t serial, int code, const struct err *e)
{
	uint8_t buf[ERR_MSG_MAX + 16];
	struct wr w = wr_mem(buf, sizeof buf);

	wr_u32le(&w, (uint32_t)(code < 0 ? -code : code));
	wr_lstr(&w, err_text(e, code));
	return msg_send(fd, type, serial, MSG_F_REPLY | MSG_F_ERROR, &w, NULL, 0);
}

int ipc_send_ok(int fd, uint32_t type, uint32_t serial)
{
	return msg_send(fd, type, serial, MSG_F_REPLY, NULL, NULL, 0);
}

int ipc_reply_err(const struct msg *m, struct err *e)
{
	struct rd r = msg_rd(m);
	char text[ERR_MSG_MAX];
	uint32_t code;

	if (!(m->flags & MSG_F_ERROR))
		return 0;
	code = rd_u32le(&r);
	rd_lstr(&r, text, sizeof text);
	if (!rd_done(&r) || code == 0 || code > 65535)
		return err_set(e, EBADMSG, "malformed error reply");
	return err_set(e, (int)code, "%s", text);
}
