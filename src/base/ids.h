/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * User ids of system mode (docs/trust.md). They need no entry in /etc/passwd, lie between the ranges that accounts, containers and service
 * managers take their numbers from, and are never given to anything else. Each is a group id too.
 */
#ifndef BASE_IDS_H
#define BASE_IDS_H

#include <sys/types.h>

#define ID_QUBE 0x70000000u /* + qid: 0x70000001 to 0x700fffff */
#define ID_LAST 0x7010ffffu

enum {
#define ID(symbol, number, program) ID_##symbol = number,
#include "base/ids.def"
#undef ID
};

/* ids_client_group gives the group whose members may talk to the daemons (name "qubes"), or ID_CORE when this host has none. */
gid_t ids_client_group(void);

#endif
