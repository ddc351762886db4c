/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of qubes from the JSON of internal.GetSystemInfo; for stand-alone policyd and qrexec-policy-eval only. */
#ifndef POLICYD_SYSJSON_H
#define POLICYD_SYSJSON_H

#include "core/policy/sysinfo.h"

struct json_t;
/* sysjson_table reads {"domains": {…}} into *si (empty before). */
int sysjson_table(struct pol_sysinfo *si, const struct json_t *root, struct err *e);
/* sysjson_fetch asks qubesd's internal socket, waiting at most 5 s. */
int sysjson_fetch(struct pol_sysinfo *si, const char *socket_path, struct err *e);

#endif
