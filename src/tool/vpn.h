/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-vpn in parts: a configuration and its files are packed (vpn_pack.c), given to a qube, and never kept in dom0. */
#ifndef TOOL_VPN_H
#define TOOL_VPN_H

#include "proto/netport.h"
#include "proto/vpnconf.h"
#include "tool/util.h"

#define VPN_FEATURE "service.bulkhead-vpn"
#define VPN_SERVICE "bulkhead.Vpn"
#define VPN_ANSWER_MAX (1u << 20)

/* vpn_pack reads FILE ("-": standard input) and the files that it names, beside it, and packs them for the qube (wr_free; wipe it). auth: the file of user name and
   password, NULL: the one that FILE names, or a question at the terminal. 0 or an exit status (printed). */
int vpn_pack(struct tool *t, const char *file, const char *auth, struct wr *ret);

#endif
