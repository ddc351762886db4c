/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qrexec's wire format (docs/protocol/qrexec.md): framing, bodies, the command line form, and the cleaning of what a qube asks.
 * Pure functions. A decoder gives a negative code when the peer broke the format (its connection is closed) and never allocates, except for
 * qx_command, whose memory is bounded by QX_COMMAND_MAX.
 */
#ifndef PROTO_QREXEC_H
#define PROTO_QREXEC_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define QX_VERSION 4	     /* ours */
#define QX_VERSION_MIN 2     /* accepted from agents and on data channels */
#define QX_VERSION_CLIENT 3  /* spoken on the daemon's unix socket */
#define QX_HDR_LEN 8
#define QX_PARAMS_LEN 8	     /* connect_domain, connect_port */
#define QX_IDENT_LEN 32
#define QX_NAME_LEN 64	     /* source and target fields of TRIGGER_SERVICE3/4 */
#define QX_NAME_LEN_V2 32    /* target field of TRIGGER_SERVICE */
#define QX_SERVICE_LEN_V2 64
#define QX_SERVICE_CAP 65000 /* service descriptor with its NUL */
#define QX_CLIENT_MSG_MAX 65535 /* body, from a dom0 client to the daemon */
#define QX_CONTROL_MSG_MAX (2 * QX_NAME_LEN + QX_IDENT_LEN + QX_SERVICE_CAP) /* body, from an agent */
#define QX_COMMAND_MAX (QX_CLIENT_MSG_MAX + 64) /* command line with NUL, daemon to agent (the user name was put in) */
#define QX_USER_CAP 64
#define QX_CHUNK_V2 4096
#define QX_CHUNK 65536

#define QX_PORT_CONTROL 512
#define QX_PORT_FIRST 513
#define QX_PORT_N 256

#define QX_EXIT_PROBLEM 125
#define QX_EXIT_REFUSED 126
#define QX_EXIT_NOT_FOUND 127

/* X(symbol, value, least and greatest body) */
#define QX_MESSAGES(X)                                                                             \
	X(DATA_STDIN, 0x190, 0, QX_CHUNK)                                                          \
	X(DATA_STDOUT, 0x191, 0, QX_CHUNK)                                                         \
	X(DATA_STDERR, 0x192, 0, QX_CHUNK)                                                         \
	X(DATA_EXIT_CODE, 0x193, 0, QX_CHUNK)                                                      \
	X(EXEC_CMDLINE, 0x200, QX_PARAMS_LEN, QX_PARAMS_LEN + QX_COMMAND_MAX)                      \
	X(JUST_EXEC, 0x201, QX_PARAMS_LEN, QX_PARAMS_LEN + QX_COMMAND_MAX)                         \
	X(SERVICE_CONNECT, 0x202, QX_PARAMS_LEN, QX_PARAMS_LEN + QX_IDENT_LEN)                     \
	X(SERVICE_REFUSED, 0x203, QX_IDENT_LEN, QX_IDENT_LEN)                                      \
	X(TRIGGER_SERVICE, 0x210, 128, 128)                                                        \
	X(CONNECTION_TERMINATED, 0x211, QX_PARAMS_LEN, QX_PARAMS_LEN)                              \
	X(TRIGGER_SERVICE3, 0x212, QX_NAME_LEN + QX_IDENT_LEN + 1,                                 \
	  QX_NAME_LEN + QX_IDENT_LEN + QX_SERVICE_CAP)                                             \
	X(TRIGGER_SERVICE4, 0x213, 2 * QX_NAME_LEN + QX_IDENT_LEN + 1, QX_CONTROL_MSG_MAX)         \
	X(HELLO, 0x300, 4, 4)

enum qx_type {
#define X(symbol, value, min, max) QX_##symbol = value,
	QX_MESSAGES(X)
#undef X
};

/* qx_name gives the symbol of a message type for logs, "unknown" otherwise. */
const char *qx_name(uint32_t type);
/* qx_len_ok is true when a body of len bytes is possible for this type; false for unknown types. */
bool qx_len_ok(uint32_t type, uint32_t len);

struct qx_frame {
	uint32_t type;
	struct rd body;
	size_t size; /* header and body, to be dropped from the buffer */
};
/* qx_frame looks at the n bytes at p: 1 and *ret when a whole message is there (borrowed), 0 when more is needed, -EMSGSIZE or -EBADMSG
   when its header breaks qx_len_ok or the body would exceed max_body. */
int qx_frame(struct qx_frame *ret, const void *p, size_t n, size_t max_body);

void qx_put_hdr(struct wr *w, uint32_t type, uint32_t len);
void qx_put_hello(struct wr *w, uint32_t version);
/* qx_put_params writes a message that is the 8 bytes of exec_params and n further bytes. */
void qx_put_params(struct wr *w, uint32_t type, uint32_t domain, uint32_t port, const void *rest, size_t n);
void qx_put_refused(struct wr *w, const uint8_t ident[QX_IDENT_LEN]);

int qx_get_hello(struct rd body, uint32_t *ret_version) _must_check_;

/* Body of EXEC_CMDLINE and JUST_EXEC. command: NUL-terminated, inside the frame; NULL when the body is the parameters alone. */
struct qx_exec {
	uint32_t domain, port;
	const char *command;
	size_t command_len; /* without NUL */
};
int qx_get_exec(struct qx_exec *ret, struct rd body) _must_check_;

struct qx_connect {
	uint32_t domain, port;
	uint8_t ident[QX_IDENT_LEN];
};
int qx_get_connect(struct qx_connect *ret, struct rd body) _must_check_;
int qx_get_params(struct rd body, uint32_t *ret_domain, uint32_t *ret_port) _must_check_;

/* A request of a qube, already cleaned: only the characters that the reference lets through. */
struct qx_trigger {
	char source[QX_NAME_LEN], target[QX_NAME_LEN];
	uint8_t ident[QX_IDENT_LEN]; /* as received: it is echoed */
	size_t service_len;
};
/* qx_get_trigger decodes and cleans TRIGGER_SERVICE, 3 or 4. service receives the descriptor, always with a '+'. Gives 0; 1 when the request
   must be refused (ident is valid for the answer); -EBADMSG when the message is malformed. */
int qx_get_trigger(struct qx_trigger *ret, char service[QX_SERVICE_CAP + 1], uint32_t type, struct rd body) _must_check_;
/* qx_trigger_version is the least protocol version that may send this type, and for TRIGGER_SERVICE the greatest is 2. */
bool qx_trigger_allowed(uint32_t type, uint32_t version);
/* qx_put_trigger4 is what a qube's client sends; ident and texts must fit their fields. */
void qx_put_trigger4(struct wr *w, const char *source, const char *target, const char *ident, const char *service);

/* A command line as an agent or the dom0 runner gets it: "user:[nogui:]QUBESRPC svc+arg source [type target]" or "user:[nogui:]text". */
struct qx_command {
	char *mem;		/* holds all texts below */
	const char *user;
	bool nogui, rpc;
	const char *text;	/* !rpc: the command; rpc: the descriptor after "QUBESRPC " */
	const char *full;	/* rpc: "svc" or "svc+arg" as received */
	const char *name;	/* rpc: the part before the first '+' */
	const char *arg;	/* rpc: the part after it; NULL without '+' */
	const char *source, *target_type, *target; /* rpc; the last two "" for a qube */
};
/* qx_command_parse takes n bytes without NUL. -EINVAL with a text; release with qx_command_fini (safe on a zeroed one). */
int qx_command_parse(struct qx_command *ret, const char *s, size_t n, struct err *e) _must_check_;
void qx_command_fini(struct qx_command *c);

/* qx_put_command appends the command line for a qube: "user:QUBESRPC service source" and NUL; service gets its '+' when absent. */
void qx_put_command(struct wr *w, const char *user, const char *service, const char *source);

/* qx_filter replaces every byte outside 0x20..0x7e but TAB LF CR BS BEL by '_'. */
void qx_filter(uint8_t *p, size_t n);
/* qx_chunk_max is the longest data body that a peer of this version takes. */
static inline size_t qx_chunk_max(uint32_t version)
{
	return version >= 3 ? QX_CHUNK : QX_CHUNK_V2;
}

#endif
