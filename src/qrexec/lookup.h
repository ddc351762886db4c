/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a service is: search of the service and configuration paths. Reads directories, starts nothing. */
#ifndef QREXEC_LOOKUP_H
#define QREXEC_LOOKUP_H

#include <limits.h>

#include "base/err.h"
#include "proto/qrexec.h"
#include "proto/rpcconfig.h"

enum svc_kind { SVC_EXEC, SVC_SOCKET, SVC_TCP };

struct svc {
	enum svc_kind kind;
	char path[PATH_MAX]; /* of the program or socket */
	char host[64];	     /* SVC_TCP: numeric */
	uint16_t port;
};

/* svc_lookup searches every directory of search (colon list) for the service with its argument, then all for the name alone. -ENOENT: there is no
   such service (exit 127); anything else negative is a problem (125). */
int svc_lookup(struct svc *ret, const char *search, const struct qx_command *c, struct err *e) _must_check_;
/* svc_config reads the service's configuration by the same search; defaults when there is none. */
int svc_config(struct rpc_config *ret, const char *search, const struct qx_command *c, struct err *e) _must_check_;
/* svc_tcp_parse understands the text of a /dev/tcp link; arg may be NULL. -EINVAL. */
int svc_tcp_parse(struct svc *ret, const char *text, const char *arg, struct err *e) _must_check_;

#endif
