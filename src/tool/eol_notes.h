/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ends of life of this computer's systems: the host's own release, its distribution, the templates. */
#ifndef TOOL_EOL_NOTES_H
#define TOOL_EOL_NOTES_H

#include "proto/eol.h"
#include "tool/util.h"

/* tool_today: days since 1970. Session mode obeys $BULKHEAD_TODAY (YYYY-MM-DD). */
int64_t tool_today(void);
/* Told about one system: what it is ("debian 12"), its end. */
typedef void eol_told(const char *name, const char *release, const struct eol *x, void *arg);
/* eol_host tells about this system's release and the host's distribution; eol_templates about each template (nothing without a daemon). */
void eol_host(eol_told *told, void *arg);
void eol_templates(eol_told *told, void *arg);
/* eol_qubes tells about the picked qubes: what they or their templates say about themselves. */
void eol_qubes(const struct adm_qubes *all, const bool *picked, eol_told *told, void *arg);
/* eol_warn is an eol_told that prints a line on standard error when the end is near or over; arg: the tool. */
void eol_warn(const char *name, const char *release, const struct eol *x, void *arg);

#endif
