/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Descriptors that the spawner gives to uplink-filter. */
#ifndef UPLINK_FILTER_FDS_H
#define UPLINK_FILTER_FDS_H

#define FILTER_FD_MACHINE 3 /* the NetVM's end of its way out: frames, each behind its length in four bytes, big endian */
#define FILTER_FD_NETWORK 4 /* passt's, the same */

#endif
