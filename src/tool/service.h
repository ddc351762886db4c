/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls of a qube's service by tools, with a text for input and a bounded answer. */
#ifndef TOOL_SERVICE_H
#define TOOL_SERVICE_H

#include "tool/tool.h"

/* service_call sends text to a service (with argument) of a running qube and gives its answer, at most max bytes (caller frees). Gives the exit
   status of the call, or -errno with a text; an answer that is too long is -EFBIG. */
/* service_call_quiet drops what the service writes to its standard error. */
int service_call_quiet(const char *qube, const char *service, const char *text, size_t max, char **ret, size_t *ret_len, struct err *e);
int service_call(const char *qube, const char *service, const char *text, size_t max, char **ret, size_t *ret_len, struct err *e);
/* service_send is service_call with any bytes. */
int service_send(const char *qube, const char *service, const void *data, size_t len, size_t max, char **ret, size_t *ret_len, struct err *e);

#endif
