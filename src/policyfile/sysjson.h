/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of qubes from the JSON of internal.GetSystemInfo; for whoever has no typed messages of the core: stand-alone policyd, tools. */
#ifndef POLICYFILE_SYSJSON_H
#define POLICYFILE_SYSJSON_H

#include "core/policy/sysinfo.h"

struct json_t;
/* sysjson_table reads {"domains": {…}} into *si (empty before). */
int sysjson_table(struct pol_sysinfo *si, const struct json_t *root, struct err *e);
/* sysjson_fetch asks qubesd's internal socket, waiting at most 5 s. */
int sysjson_fetch(struct pol_sysinfo *si, const char *socket_path, struct err *e);

#endif
