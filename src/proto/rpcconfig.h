/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Per-service configuration (rpc-config): the subset of TOML that the reference reads, one `key = value` a line.
 * Keys are rows of RPC_KEYS. Unknown keys are counted, not errors; everything else that is odd is an error.
 */
#ifndef PROTO_RPCCONFIG_H
#define PROTO_RPCCONFIG_H

#include "base/err.h"
#include "base/rd.h"

#define RPC_CONFIG_MAX 65536
#define RPC_USER_CAP 64

/* X(field, key, kind): BOOL, BOOL01 (also 0 and 1), TEXT */
#define RPC_KEYS(X)                                                                                \
	X(wait_for_session, "wait-for-session", BOOL01)                                            \
	X(force_user, "force-user", TEXT)                                                          \
	X(skip_descriptor, "skip-service-descriptor", BOOL)                                        \
	X(exit_on_service_eof, "exit-on-service-eof", BOOL)                                        \
	X(exit_on_client_eof, "exit-on-client-eof", BOOL)

struct rpc_config {
	bool wait_for_session, skip_descriptor, exit_on_service_eof, exit_on_client_eof;
	char force_user[RPC_USER_CAP]; /* "" = not given */
	unsigned unknown;	       /* keys that were ignored */
};

/* rpc_config_parse reads a whole file. -EINVAL with "line N: …". */
int rpc_config_parse(struct rpc_config *ret, struct rd r, struct err *e) _must_check_;
/* rpc_config_socket_keys is true when one of the keys that only make sense for socket services is set. */
static inline bool rpc_config_socket_keys(const struct rpc_config *c)
{
	return c->skip_descriptor || c->exit_on_service_eof || c->exit_on_client_eof;
}

#endif
