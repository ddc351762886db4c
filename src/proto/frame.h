/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What of a NetVM's frames may leave this machine (docs/network.md §4): ARP, and IPv4 to an address that is neither this machine's nor a group's. Pure; the bytes
 * are those of a machine that may have been taken over.
 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include "base/rd.h"

#define FRAME_MAX 65550u /* the largest IPv4 packet with its Ethernet head */
#define FRAME_OWN_MAX 1024 /* addresses of this machine */

struct frame_own {
	uint32_t addr[FRAME_OWN_MAX];
	size_t n;
	bool full; /* there are more than fit: nothing may leave */
};

/* frame_leaves: whether this frame (from its Ethernet head on) may go on to the network. */
bool frame_leaves(struct rd frame, const struct frame_own *own);
/* frame_own_read takes one datagram of the kernel's answer to RTM_GETADDR and adds the IPv4 addresses in it. *ret_end: it was the last one. False: not such an
   answer. */
bool frame_own_read(struct frame_own *own, struct rd datagram, bool *ret_end);

#endif
